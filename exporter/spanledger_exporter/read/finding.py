"""Finding events in the store: by case, by trace, by id, by place, by criteria (`newest.py`).

Rules
- `tenant`, where given, limits every query; nothing of another tenant is read.
- `unshipped` is what the spool of this data directory holds beyond the store, read before (`unshipped.py`): a case, a
  trace or an event includes it. A search does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from spanledger_exporter.errors import UsageError
from spanledger_exporter.read.at_once import at_once
from spanledger_exporter.read.criteria import Criteria
from spanledger_exporter.read.envelopes import read_events
from spanledger_exporter.read.event import BEGIN, Event, fold, in_causal_order
from spanledger_exporter.read.newest import newest_events, newest_stored_us
from spanledger_exporter.read.states import load_coverage
from spanledger_exporter.read.unshipped import NOTHING, Unshipped
from spanledger_exporter.store.connection import Store

_PLACE: Final = re.compile(r"([0-9a-fA-F]{32}):([0-9]{1,15})")
"""As the pages' links name a row: found by the sort key."""


def find_case(store: Store, case_id: str, *, tenant: str = "", unshipped: Unshipped = NOTHING) -> list[Event]:
    """Return a case in causal order: its events, and what its traces did without naming any case."""
    traces = f"SELECT trace_id FROM {store.database}.rows WHERE case_id = {{case:String}} AND trace_id != ''"
    spooled = [e for e in unshipped.events if e.text("context", "case_id") == case_id]
    spooled_traces = sorted({trace for event in spooled if (trace := event.text("trace_id"))})
    unnamed = f"(trace_id GLOBAL IN ({traces}) OR trace_id IN {{traces:Array(String)}})"
    where = f"case_id = {{case:String}} OR (case_id = '' AND {unnamed})"
    stored = read_events(store, where, {"case": case_id, "traces": spooled_traces}, tenant=tenant)
    own = {*spooled_traces, *(trace for event in stored if (trace := event.text("trace_id")))}

    def belongs(event: Event) -> bool:
        case = event.text("context", "case_id")
        return case == case_id or (not case and event.text("trace_id") in own)

    return _ordered(store, _about(store, stored, belongs, tenant=tenant, unshipped=unshipped))


def find_trace(store: Store, trace_id: str, *, tenant: str = "", unshipped: Unshipped = NOTHING) -> list[Event]:
    """Return a trace in causal order, with what people recorded about its events."""
    trace = trace_id.lower()
    stored = read_events(store, "trace_id = {trace:String}", {"trace": trace}, tenant=tenant)

    def belongs(event: Event) -> bool:
        return event.text("trace_id") == trace

    return _ordered(store, _about(store, stored, belongs, tenant=tenant, unshipped=unshipped))


def find_event(store: Store, event_id: str, *, tenant: str = "", unshipped: Unshipped = NOTHING) -> list[Event]:
    """Return the rows of one event; more than one means that several rows claim the id."""
    wanted = event_id.removesuffix(BEGIN)
    found = read_events(store, "event_id IN {ids:Array(String)}", {"ids": [wanted, wanted + BEGIN]}, tenant=tenant)
    return _ordered(store, found + [event for event in unshipped.without(found) if event.event_id == wanted])


def find_named(store: Store, name: str, *, tenant: str = "", unshipped: Unshipped = NOTHING) -> list[Event]:
    """Return the event that stands at the place `CHAIN:SEQ`, or else the rows that have `name` for their event id.

    Blanks around it are not part of it: lines of a CSV file, from which shells take ids, end with a carriage return.

    Raises UsageError when nothing is left: rows without an id are not meant.
    """
    name = name.strip()
    if not name:
        raise UsageError("expected an event id, got an empty one")
    place = _PLACE.fullmatch(name)
    found = find_row(store, place[1], int(place[2]), tenant=tenant, unshipped=unshipped) if place else []
    return found or find_event(store, name, tenant=tenant, unshipped=unshipped)


def find_row(store: Store, chain: str, seq: int, *, tenant: str = "", unshipped: Unshipped = NOTHING) -> list[Event]:
    """Return the event at a place of a chain (hex)."""
    parameters = {"chain": chain.lower(), "seq": seq}
    where = "chain_id = toFixedString(unhex({chain:String}), 16) AND seq = {seq:UInt64}"
    found, coverage = at_once(
        store,
        lambda one: read_events(one, where, parameters, tenant=tenant),
        lambda other: load_coverage(other, [chain.lower()]),
    )
    spooled = [e for e in unshipped.without(found) if (e.chain, e.seq) == (chain.lower(), seq)]
    return in_causal_order(coverage.mark(fold(found + spooled)))


def find_reviews(store: Store, event_id: str, *, tenant: str = "", unshipped: Unshipped = NOTHING) -> list[Event]:
    """Return the reviews of one event, oldest first."""
    of_event = "parent_event_id = {subject:String} AND event_type = 'human_review'"
    found = read_events(store, of_event, {"subject": event_id}, tenant=tenant)
    spooled = [e for e in unshipped.without(found) if e.text("parent_event_id") == event_id]
    return _ordered(store, found + [event for event in spooled if event.event_type == "human_review"])


def search(store: Store, criteria: Criteria) -> list[Event]:
    """Return the newest events that meet all criteria, newest first."""
    events = fold(newest_events(store, criteria))
    return sorted(events, key=lambda event: (event.start_ns, event.time_ns, event.seq), reverse=True)


def search_page(store: Store, criteria: Criteria, *, as_of_us: int | None) -> tuple[list[Event], int]:
    """Return a page of a search, and as of when its other pages are to be asked for (Unix microseconds).

    `as_of_us` is None for the first page. What the store took later is left out of a page by a column of the whole
    table, which costs a tenth of a search: where nothing came in meanwhile, the first page goes without it.
    """
    if as_of_us is None:
        as_of_us = newest_stored_us(store)
        found = search(store, criteria)
        if newest_stored_us(store) == as_of_us:
            return found, as_of_us
    return search(store, replace(criteria, as_of_us=as_of_us)), as_of_us


def _about(
    store: Store, stored: list[Event], belongs: Callable[[Event], bool], *, tenant: str, unshipped: Unshipped
) -> list[Event]:
    """Return `stored`, what `belongs` to it in the spool, and the rows that are about one of these."""
    spooled = unshipped.without(stored)
    found = stored + [event for event in spooled if belongs(event)]
    ids = {event.event_id for event in found}
    if not ids:
        return found
    about = read_events(store, "parent_event_id IN {ids:Array(String)}", {"ids": sorted(ids)}, tenant=tenant)
    known = unshipped.without(stored + about)
    return found + about + [event for event in known if not belongs(event) and event.text("parent_event_id") in ids]


def _ordered(store: Store, events: Sequence[Event]) -> list[Event]:
    folded = fold(events)
    coverage = load_coverage(store, {event.chain for event in folded})
    return in_causal_order(coverage.mark(folded))
