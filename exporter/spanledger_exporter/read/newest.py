"""The newest events that meet some criteria, page by page.

Rules
- A search finds completions and unfinished intents; a completed intent is not found a second time, and a row that was
  delivered twice takes one place.
- So is what came over OTLP for a span whose own process recorded its end (`received.py`).
- Keys first (`places.py`), then the envelopes of as many as a page shows: one envelope among 8,000 rows of other chains
  costs as much as a hundred that stand together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spanledger_exporter.read.at_once import at_once
from spanledger_exporter.read.criteria import Conditions, Criteria
from spanledger_exporter.read.envelopes import read_events_at
from spanledger_exporter.read.event import BEGIN, Event
from spanledger_exporter.read.intents import completed_intents, not_completed, unfinished_fetch
from spanledger_exporter.read.places import Fetch, Place, Rows, without_copies
from spanledger_exporter.read.received import ReceivedRow, without_recorded_too
from spanledger_exporter.read.states import load_coverage
from spanledger_exporter.read.texts import text_fetch
from spanledger_exporter.store.connection import Store

PLACES_PER_QUERY: Final = 5_000


def newest_stored_us(store: Store) -> int:
    """Return when the store took its newest row, Unix microseconds of its clock; 0 for an empty one."""
    return int(store.query(f"SELECT toUnixTimestamp64Micro(max(stored_at)) FROM {store.database}.rows")[0][0])


def newest_events(store: Store, criteria: Criteria) -> list[Event]:
    """Return the rows at the places of the page that `criteria` ask for, with their states, in no order."""
    rows = Rows(store, with_ids=criteria.offset > 0)
    fetch = _fetch(rows, criteria)
    wanted = criteria.offset + criteria.limit
    # Half of all rows may be completed intents; they have no outcome, and no reviewer.
    taken = wanted if criteria.outcome or criteria.reviewer else 2 * wanted + 50
    fill = _later_page if criteria.offset else _first_page
    while True:
        candidates = fetch(taken)
        is_full, events = fill(rows, criteria, without_copies(candidates))
        if is_full or len(candidates) < taken:
            return events
        taken *= 4


def _fetch(rows: Rows, criteria: Criteria) -> Fetch:
    is_unfinished = criteria.outcome == "incomplete"
    if is_unfinished and not criteria.text:
        return unfinished_fetch(rows, criteria)
    conditions = Conditions.of(criteria)
    if is_unfinished:
        conditions = conditions.also(not_completed(rows))
    return text_fetch(rows, criteria, conditions) if criteria.text else rows.fetch(conditions)


def _first_page(rows: Rows, criteria: Criteria, places: Sequence[Place]) -> tuple[bool, list[Event]]:
    """Return whether the first page is full, and its rows: the envelopes themselves tell which are intents."""
    kept: dict[tuple[str, int], list[Event]] = {}
    looked_at = 0
    while len(kept) < criteria.limit and looked_at < len(places):
        some = _likely(places[looked_at:], criteria.limit - len(kept))
        looked_at += len(some)
        found = _read(rows.store, some, tenant=criteria.tenant)
        if criteria.outcome != "incomplete":
            completed = _completed_among(rows.store, found, tenant=criteria.tenant)
            found = [event for event in found if event.text("event_id") not in completed]
        found = without_recorded_too(rows.store, found, _received_event)
        at: dict[tuple[str, int], list[Event]] = {}
        for event in found:
            at.setdefault((event.chain, event.seq), []).append(event)
        kept |= {place.key: at[place.key] for place in some if place.key in at}
    page = list(kept.values())[: criteria.limit]
    return len(kept) >= criteria.limit, [event for events in page for event in events]


def _completed_among(store: Store, found: Sequence[Event], *, tenant: str) -> set[str]:
    """Return the ids of the intents among some events that were completed, here or anywhere else.

    An intent and its completion started together and mostly stand on one page: then nothing is asked.
    """
    completed = {event.text("event_id") + BEGIN for event in found if event.text("span_id") and not event.is_intent}
    alone = [
        (intent, event.text("trace_id"))
        for event in found
        if event.is_intent and (intent := event.text("event_id")) not in completed
    ]
    return completed | completed_intents(store, alone, tenant=tenant)


def _received_event(event: Event) -> ReceivedRow | None:
    if not event.is_received:
        return None
    return ReceivedRow(event.text("tenant"), event.text("event_id"), event.text("trace_id"))


def _received_place(place: Place) -> ReceivedRow | None:
    return ReceivedRow(place.tenant, place.event_id, place.trace_id) if place.is_received else None


def _likely(places: Sequence[Place], needed: int) -> Sequence[Place]:
    """Return as many places as will likely hold `needed` events: half of them may be completed intents."""
    some = places[: min(2 * needed, PLACES_PER_QUERY)]
    with_outcome = 0
    for count, place in enumerate(some):
        if with_outcome == needed:
            return some[:count]
        with_outcome += place.has_outcome
    return some


def _later_page(rows: Rows, criteria: Criteria, places: Sequence[Place]) -> tuple[bool, list[Event]]:
    """Return whether a later page is full, and its rows: ids tell what the pages before it leave out."""
    if criteria.outcome != "incomplete":
        intents = [(place.event_id, place.trace_id) for place in places if place.event_id.endswith(BEGIN)]
        completed = completed_intents(rows.store, intents, tenant=criteria.tenant)
        places = [place for place in places if place.event_id not in completed]
    places = without_recorded_too(rows.store, places, _received_place)
    wanted = criteria.offset + criteria.limit
    found = _read(rows.store, places[criteria.offset : wanted], tenant=criteria.tenant)
    return len(places) >= wanted, found


def _read(store: Store, places: Sequence[Place], *, tenant: str) -> list[Event]:
    """Return the rows at some places, each with how far it is secured."""
    chains = {place.chain for place in places}
    found, coverage = at_once(
        store, lambda one: read_events_at(one, places, tenant=tenant), lambda other: load_coverage(other, chains)
    )
    return coverage.mark(found)
