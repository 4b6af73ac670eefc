"""What waits for a person, oldest first: the view `review_queue`, read in steps that a page can wait for.

Rules
- The answer is that of the view (a test compares them); the view is for people who write SQL.
- Places first, from narrow columns: candidates that no later review in their case has settled. Then, for as many as a
  page shows, whether a review names them, and what the page says of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from spanledger_exporter.read.envelopes import of_tenant
from spanledger_exporter.read.places import AT_PLACES, at_places
from spanledger_exporter.store.connection import Store
from spanledger_exporter.store.views import QUEUE_CANDIDATE, QUEUE_WHY

SPARE: Final = 50
"""Candidates beyond a page that are looked at at once: some may be settled by a review that names no case."""

_DESCRIBED: Final = (
    f"tenant, time, case_id, event_id, event_type, name, {QUEUE_WHY} AS why, escalation_due AS due, "
    "toString(escalation_severity) AS severity, trace_id"
)


def waiting(store: Store, *, tenant: str = "", limit: int, offset: int = 0) -> list[dict[str, Any]]:
    """Return `limit` events that wait for a review, behind `offset` others, as rows of the view, oldest first."""
    found: list[dict[str, Any]] = []
    wanted, looked_at = offset + limit, 0
    step = wanted + SPARE
    while len(found) < wanted:
        places = _unsettled(store, tenant=tenant, limit=step, offset=looked_at)
        described = 0
        while len(found) < wanted and described < len(places):  # what a row says is dear: no more rows than needed
            some = places[described : described + wanted - len(found)]
            found += _described(store, some, tenant=tenant)
            described += len(some)
        if len(places) < step:
            break
        looked_at += step
    return found[offset:wanted]


def _unsettled(store: Store, *, tenant: str, limit: int, offset: int) -> list[tuple[str, int]]:
    """Return places (chain in hex, seq) of candidates that no later review in their case has settled, oldest first."""
    condition, parameters = of_tenant(tenant)
    rows = store.query(
        "SELECT lower(hex(open.2)), open.3 FROM ("
        "SELECT maxIf(time, event_type = 'human_review' AND case_id != '') AS reviewed, arrayJoin(arrayDistinct("
        f"arrayFilter(c -> c.1 >= reviewed, groupArrayIf((time, chain_id, seq), {QUEUE_CANDIDATE})))) AS open "
        f"FROM {store.database}.rows WHERE event_type IN ('escalation', 'decision', 'human_review') {condition}"
        "GROUP BY tenant, case_id) ORDER BY open LIMIT {limit:UInt64} OFFSET {offset:UInt64}",
        {"limit": limit, "offset": offset, **parameters},
    )
    return [(chain, int(seq)) for chain, seq in rows]


def _described(store: Store, places: Sequence[tuple[str, int]], *, tenant: str) -> list[dict[str, Any]]:
    """Return what the page says of these places, without those that a review names."""
    if not places:
        return []
    condition, parameters = of_tenant(tenant)
    names, rows = store.query_table(
        f"SELECT lower(hex(chain_id)) AS chain, seq, {_DESCRIBED} FROM {store.database}.rows "
        f"WHERE {AT_PLACES} {condition}LIMIT 1 BY chain_id, seq, row_hash",
        {**at_places(places), **parameters},
    )
    at = {(row[0], row[1]): dict(zip(names[2:], row[2:], strict=True)) for row in rows}
    items = [at[place] for place in places]
    settled = _named_by_reviews(store, [item["event_id"] for item in items], tenant=tenant)
    return [item for item in items if (item["tenant"], item["event_id"]) not in settled]


def _named_by_reviews(store: Store, event_ids: list[str], *, tenant: str) -> set[tuple[str, str]]:
    """Return tenant and id of the events that a review names: it came later, whatever its host's clock says."""
    condition, parameters = of_tenant(tenant)
    rows = store.query(
        f"SELECT DISTINCT tenant, parent_event_id FROM {store.database}.rows WHERE event_type = 'human_review' "
        f"AND parent_event_id IN {{ids:Array(String)}} {condition}",
        {"ids": event_ids, **parameters},
    )
    return {(of, event_id) for of, event_id in rows}
