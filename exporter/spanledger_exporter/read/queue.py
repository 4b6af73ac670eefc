"""What waits for a person, oldest first: the view `review_queue`, read in steps that a page can wait for.

Rules
- The answer is that of the view (a test compares them); the view is for people who write SQL.
- Moments first, from narrow columns: when something that no later review in its case has settled came up. Then, for as
  many as a page shows, what came up then, and whether a review names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from spanledger_exporter.read.envelopes import of_tenant
from spanledger_exporter.read.received import ReceivedRow, without_recorded_too
from spanledger_exporter.store.connection import Store
from spanledger_exporter.store.views import QUEUE_CANDIDATE, QUEUE_WHY

SPARE: Final = 50
"""Candidates beyond a page that are looked at at once: some may be settled by a review that names no case."""

_OF_CASES: Final = "event_type IN ('escalation', 'decision', 'human_review')"
_CANDIDATE: Final = f"{_OF_CASES} AND {QUEUE_CANDIDATE}"

_Moment = tuple[int, str, str]
"""Time in Unix nanoseconds, tenant and case of what came up."""

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
        moments = _unsettled(store, tenant=tenant, limit=step, offset=looked_at)
        described = 0
        while len(found) < wanted and described < len(moments):  # what a row says is dear: no more rows than needed
            some = moments[described : described + wanted - len(found)]
            found += _described(store, some, tenant=tenant)
            described += len(some)
        if len(moments) < step:
            break
        looked_at += step
    return found[offset:wanted]


def _unsettled(store: Store, *, tenant: str, limit: int, offset: int) -> list[_Moment]:
    """Return when candidates came up that no later review in their case has settled, oldest first."""
    condition, parameters = of_tenant(tenant)
    rows = store.query(
        "SELECT toUnixTimestamp64Nano(open), tenant, case_id FROM ("
        "SELECT tenant, case_id, maxIf(time, event_type = 'human_review' AND case_id != '') AS reviewed, arrayJoin("
        f"arrayDistinct(arrayFilter(at -> at >= reviewed, groupArrayIf(time, {QUEUE_CANDIDATE})))) AS open "
        f"FROM {store.database}.rows WHERE {_OF_CASES} {condition}"
        "GROUP BY tenant, case_id) ORDER BY open, tenant, case_id LIMIT {limit:UInt64} OFFSET {offset:UInt64}",
        {"limit": limit, "offset": offset, **parameters},
    )
    return [(int(time_ns), of, case_id) for time_ns, of, case_id in rows]


def _described(store: Store, moments: Sequence[_Moment], *, tenant: str) -> list[dict[str, Any]]:
    """Return what came up at these moments, without what a review names, in their order."""
    if not moments:
        return []
    condition, parameters = of_tenant(tenant)
    names, rows = store.query_table(
        f"SELECT {_DESCRIBED}, toUnixTimestamp64Nano(time) AS time_ns, capture_tier = 'ingested' AS is_received "
        f"FROM {store.database}.rows WHERE {_CANDIDATE} AND toUnixTimestamp64Nano(time) IN {{times:Array(Int64)}} "
        f"{condition}ORDER BY time, tenant, case_id, chain_id, seq LIMIT 1 BY chain_id, seq, row_hash",
        {"times": [time_ns for time_ns, _, _ in moments], **parameters},
    )
    came_up = frozenset(moments)
    read = (dict(zip(names, row, strict=True)) for row in rows)
    items = [item for item in read if (item.pop("time_ns"), item["tenant"], item["case_id"]) in came_up]
    items = without_recorded_too(store, items, _received)
    settled = _named_by_reviews(store, [item["event_id"] for item in items], tenant=tenant)
    waiting_still = [item for item in items if (item["tenant"], item["event_id"]) not in settled]
    return [{name: value for name, value in item.items() if name != "is_received"} for item in waiting_still]


def _received(item: Mapping[str, Any]) -> ReceivedRow | None:
    return ReceivedRow(item["tenant"], item["event_id"], item["trace_id"]) if item["is_received"] else None


def _named_by_reviews(store: Store, event_ids: list[str], *, tenant: str) -> set[tuple[str, str]]:
    """Return tenant and id of the events that a review names: it came later, whatever its host's clock says."""
    condition, parameters = of_tenant(tenant)
    rows = store.query(
        f"SELECT DISTINCT tenant, parent_event_id FROM {store.database}.rows WHERE event_type = 'human_review' "
        f"AND parent_event_id IN {{ids:Array(String)}} {condition}",
        {"ids": event_ids, **parameters},
    )
    return {(of, event_id) for of, event_id in rows}
