"""Which intents (`…:begin` rows) were completed, and finding those that were not.

Rules
- An intent is completed by a row of a span with its event id, in whatever chain, whenever it was written. The whole
  table is asked before a page calls an intent unfinished.
- An honest completion says the same start as its intent. So a window of time shows nearly every completion of the
  intents in it, and the whole table is asked for the few that are left.
- Where the window holds too few, a larger one is taken, as large as what was found lets expect.
- In the end the chains are looked at whose intents and completions do not add up, hash by hash: a chain in which every
  call ended costs no comparison of ids. Where too many chains do not, the whole table is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from spanledger_exporter.read.criteria import Conditions, Criteria
from spanledger_exporter.read.event import BEGIN
from spanledger_exporter.read.places import FROM_TIME, IN_CHAINS, Fetch, Place, Rows
from spanledger_exporter.read.span_rows import rows_of_spans
from spanledger_exporter.store.connection import Store
from spanledger_semconv.events import WITH_INTENT

WINDOW_ROWS: Final = 4_096
MAX_WINDOW_ROWS: Final = 32 * WINDOW_ROWS
"""A larger window costs what the whole table does."""

MOST_OPEN_CHAINS: Final = 5_000
MOST_CANDIDATES: Final = 50_000
"""Intents that have no completion in their own chain; more of them are compared by the engine."""

_IS_INTENT: Final = f"endsWith(event_id, '{BEGIN}')"
_COMPLETED_ID: Final = f"if({_IS_INTENT}, substring(event_id, 1, length(event_id) - {len(BEGIN)}), event_id)"
_ENDS_CALL: Final = f"(span_id != '' AND event_type IN {tuple(sorted(WITH_INTENT))})"
_SPAN: Final = "trace_id, tenant, capture_tier = 'ingested'"
_NO_SPAN: Final = "'', '', 0"


def completed_intents(store: Store, intents: Sequence[tuple[str, str]], *, tenant: str = "") -> set[str]:
    """Return which of `intents`, event ids with the ids of their traces, have a completion in their trace."""
    return _completed(store, intents, Conditions.of(Criteria(tenant=tenant)))


def _completed(
    store: Store, intents: Sequence[tuple[str, str]], within: Conditions, *, in_traces: bool = True
) -> set[str]:
    ends = [(event_id.removesuffix(BEGIN), trace_id) for event_id, trace_id in intents]
    found = rows_of_spans(store, ends, within.also("span_id != ''"), in_traces=in_traces)
    return {event_id + BEGIN for _, event_id in found}


def unfinished_fetch(rows: Rows, criteria: Criteria) -> Fetch:
    """Return how to find what was begun and not ended, or says itself that it is incomplete."""
    conditions = Conditions.of(replace(criteria, outcome=""))
    within = Conditions.of(Criteria(until_ns=criteria.until_ns))
    # How large a window is need not be exact: these two would cost a column of the whole table each.
    counted = Conditions.of(replace(criteria, outcome="", with_housekeeping=True, as_of_us=None))

    def fetch(taken: int) -> list[Place]:
        size = WINDOW_ROWS
        while size <= MAX_WINDOW_ROWS:
            first_ns = rows.start_of_window(counted, size)
            if first_ns is None and size == WINDOW_ROWS:
                return _among_few(rows, Conditions.of(criteria))[:taken]
            if first_ns is None:
                break
            window = within.also(FROM_TIME, first=first_ns)
            found = _without_completed(rows, _open(rows, conditions, window, taken=taken))
            if len(found) >= taken:
                return found
            size = size * 3 * taken // (2 * len(found)) if found else MAX_WINDOW_ROWS + 1
        found_in_chains = _in_open_chains(rows, conditions)
        if found_in_chains is not None:
            return found_in_chains[:taken]
        return rows.newest(Conditions.of(criteria).also(not_completed(rows)), taken=taken)

    return fetch


def _in_open_chains(rows: Rows, conditions: Conditions) -> list[Place] | None:
    """Return every unfinished place, newest first, or None where too many chains may hold one.

    A chain whose intents have the same sum of hashes as its completions has no open intent: who could make sums agree
    could write the completion. What the sum does not clear is compared id by id.
    """
    chains = rows.store.query(
        f"SELECT lower(hex(chain_id)) FROM {rows.table} WHERE {_IS_INTENT} OR {_ENDS_CALL} GROUP BY chain_id "
        f"HAVING sumIf(cityHash64({_COMPLETED_ID}), {_IS_INTENT}) != sumIf(cityHash64(event_id), NOT {_IS_INTENT}) "
        f"LIMIT {MOST_OPEN_CHAINS + 1}"
    )
    if len(chains) > MOST_OPEN_CHAINS:
        return None
    completed = f"SELECT event_id FROM {rows.table} WHERE {IN_CHAINS} AND span_id != '' AND NOT {_IS_INTENT}"
    is_open = f"{_IS_INTENT} AND {IN_CHAINS} AND {_COMPLETED_ID} GLOBAL NOT IN ({completed})"
    begun = conditions.also(is_open, chains=[chain for (chain,) in chains])
    told = conditions.also(f"NOT {_IS_INTENT} AND outcome = 'incomplete'")
    candidates = replace(rows, with_ids=True).newest(begun, told, taken=MOST_CANDIDATES)
    return None if len(candidates) == MOST_CANDIDATES else _without_completed(rows, candidates)


def not_completed(rows: Rows) -> str:
    """Return the condition that a row is no completed intent: a set of all completions of the table."""
    completed = f"SELECT event_id FROM {rows.table} WHERE span_id != '' AND NOT {_IS_INTENT}"
    return f"(NOT {_IS_INTENT} OR {_COMPLETED_ID} GLOBAL NOT IN ({completed}))"


def _open(rows: Rows, conditions: Conditions, window: Conditions, *, taken: int) -> list[Place]:
    """Return the newest places that meet `conditions` and have no completion in a window of the table.

    Rows of one event are brought together by its id: one reading of the ids instead of two. For the whole table that
    would be dearer than a set of all completions.
    """
    place = f"(time, time_ns, chain_id, seq, {_IS_INTENT}, {_SPAN if rows.with_ids else _NO_SPAN})"
    return rows.places(
        "SELECT toUnixTimestamp64Nano(place.1), place.2, lower(hex(place.3)), place.4, 1, "
        f"if(place.5, concat(id, '{BEGIN}'), id), place.6, place.7, place.8 FROM ("
        "SELECT id, arrayJoin(arrayConcat(told, if(ended, [], begun))) AS place FROM ("
        f"SELECT {_COMPLETED_ID} AS id, groupArrayIf({place}, {_IS_INTENT} AND ({conditions})) AS begun, "
        f"groupArrayIf({place}, NOT {_IS_INTENT} AND outcome = 'incomplete' AND ({conditions})) AS told, "
        f"countIf(NOT {_IS_INTENT} AND notEmpty(span_id)) > 0 AS ended FROM {rows.table} WHERE {window} GROUP BY id)) "
        "ORDER BY place.1 DESC, place.2 DESC, place.3, place.4 DESC LIMIT {taken:UInt64}",
        conditions.parameters | window.parameters | {"taken": taken},
    )


def _among_few(rows: Rows, unfinished: Conditions) -> list[Place]:
    """Return the unfinished ones of a window's rows, and of those that were stored since they were counted."""
    return _without_completed(rows, replace(rows, with_ids=True).newest(unfinished, taken=2 * WINDOW_ROWS))


def _without_completed(rows: Rows, places: Sequence[Place]) -> list[Place]:
    """Return the places without the intents that have a completion anywhere, whatever trace it names."""
    intents = [(place.event_id, place.trace_id) for place in places if place.event_id.endswith(BEGIN)]
    completed = _completed(rows.store, intents, Conditions((), {}), in_traces=False)
    return [place for place in places if place.event_id not in completed]
