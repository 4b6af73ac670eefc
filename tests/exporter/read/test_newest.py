"""Pages of a search against the plain reading of all rows: windows, ties, copies, and intents that ended elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ledgers import MONDAY_NS, Chain, Ledger, part
from spanledger_exporter.config import load_settings
from spanledger_exporter.read import finding, intents, newest, span_rows, texts
from spanledger_exporter.read.criteria import Criteria
from spanledger_exporter.read.event import BEGIN, Event
from spanledger_exporter.read.finding import search, search_page
from spanledger_exporter.read.newest import newest_stored_us
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema

CALLS = 300
STARTED_TOGETHER = 25
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Told:
    """A store, and every row in it as an event."""

    store: Store
    rows: tuple[Event, ...]

    def expected(self, criteria: Criteria) -> list[str]:
        """Return the event ids, as they stand in the rows, of the page that `criteria` ask for."""
        completed = {(e.text("event_id"), e.text("trace_id")) for e in self.rows if e.text("span_id")}
        met = [row for row in self.rows if _meets(row, criteria, completed)]
        met.sort(key=lambda e: (-e.start_ns, -e.time_ns, e.chain, -e.seq))
        page = [e.text("event_id") for e in met[criteria.offset : criteria.offset + criteria.limit]]
        return [event_id for event_id in page if event_id.removesuffix(BEGIN) == event_id or event_id[:-6] not in page]


def _meets(row: Event, criteria: Criteria, completed: set[tuple[str, str]]) -> bool:
    event_id = row.text("event_id")
    base, is_intent = event_id.removesuffix(BEGIN), event_id.endswith(BEGIN)
    if criteria.outcome == "incomplete":
        told = not is_intent and row.text("outcome") == "incomplete"
        if not (told or (is_intent and base not in {ended for ended, _ in completed})):
            return False
    elif (is_intent and (base, row.text("trace_id")) in completed) or criteria.outcome not in ("", row.text("outcome")):
        return False
    return (
        criteria.tenant in ("", row.text("tenant"))
        and criteria.model in ("", row.model)
        and criteria.text in ("", *row.text("says").split())
        and (criteria.since_ns is None or row.start_ns >= criteria.since_ns)
        and (criteria.until_ns is None or row.start_ns < criteria.until_ns)
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Yield a store where calls begin together, end in other chains, late, twice, or never."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path_factory.mktemp("newest"))}, working_directory=Path("/"))
    ledger, other = Ledger(), Ledger(tenant="other")
    chains = [ledger.open_chain() for _ in range(6)] + [other.open_chain()]
    for number in range(CALLS):
        call(chains, number)
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        for pressed in (ledger, other):
            pressed.write(store)
        ledger.write(store, token="delivered twice")
        rows = (*ledger.rows, *other.rows)
        events = [Event.from_row(r.chain_id.hex(), r.seq, r.row_hash.hex(), r.time_ns, r.env) for r in rows]
        yield Told(store, tuple(events))


def call(chains: list[Chain], number: int) -> None:
    """Write the intent of a call, and its completion in one of ten ways."""
    own, elsewhere = chains[number % 6], chains[(number + 1) % 6]
    start = MONDAY_NS + number // STARTED_TOGETHER * SECOND_NS
    trace, span = f"{number // 7:032x}", f"{number:016x}"
    says = "every" + (" third" if number % 3 == 0 else "") + (" rare" if number in {17, 210} else "")
    event: dict[str, Any] = {
        "event_type": "model_call",
        "event_id": f"{trace}:{span}",
        "trace_id": trace,
        "span_id": span,
        "time": {"start": str(start)},
        "snapshot": {"model": "m1" if number % 2 else "m2"},
        "says": says,
        "input": [part(own.ledger.text(f"{says} {number}"), role="user")],
    }
    intent, completion = event | {"event_id": event["event_id"] + BEGIN}, event | {"outcome": "success"}
    way = number % 10
    if way == 0:
        own.append(intent)
    elif way == 1:
        own.append(intent)
        elsewhere.append(completion)
    elif way == 2:  # the completion says another start, long after every window
        own.append(intent)
        elsewhere.append(completion | {"time": {"start": str(start - 3600 * SECOND_NS)}})
    elif way == 3:
        elsewhere.append(completion)
        own.append(intent)
    elif way == 4:
        own.append(completion | {"outcome": "incomplete"})
    elif way == 5:  # an intent that has an outcome is an intent
        own.append(intent | {"outcome": "error"})
        own.append(completion | {"outcome": "error"})
    elif way == 6:  # completed by a row of another tenant
        own.append(intent)
        chains[-1].append(completion)
    elif way == 7:  # a row with the right id that is no span completes nothing
        own.append(intent)
        own.append({**completion, "span_id": "", "event_type": "decision"})
    else:
        own.append(intent)
        own.append(completion | ({"outcome": "error"} if number % 20 == 8 else {}))


SMALL_WINDOWS = {
    "windows of 8": {(intents, "WINDOW_ROWS"): 8, (texts, "WINDOW_ROWS"): 8},
    "windows of 8, then chains": {(intents, "WINDOW_ROWS"): 8, (intents, "MAX_WINDOW_ROWS"): 8},
    "windows of 8, then all": {
        (intents, "WINDOW_ROWS"): 8,
        (intents, "MAX_WINDOW_ROWS"): 8,
        (intents, "MOST_OPEN_CHAINS"): 0,
    },
    "windows of 8, then all for their number": {
        (intents, "WINDOW_ROWS"): 8,
        (intents, "MAX_WINDOW_ROWS"): 8,
        (intents, "MOST_CANDIDATES"): 10,
    },
    "released windows, few ids at once": {(newest, "PLACES_PER_QUERY"): 100, (span_rows, "IDS_PER_QUERY"): 50},
}
CRITERIA = {
    "everything": Criteria(),
    "unfinished": Criteria(outcome="incomplete"),
    "errors": Criteria(outcome="error"),
    "a model": Criteria(model="m1"),
    "unfinished of a model": Criteria(outcome="incomplete", model="m1"),
    "unfinished since": Criteria(outcome="incomplete", since_ns=MONDAY_NS + 3 * SECOND_NS),
    "unfinished until": Criteria(outcome="incomplete", until_ns=MONDAY_NS + 9 * SECOND_NS),
    "unfinished of a tenant": Criteria(outcome="incomplete", tenant="default"),
    "a common text": Criteria(text="every"),
    "a text of a third": Criteria(text="third"),
    "a rare text": Criteria(text="rare"),
    "a text in what is unfinished": Criteria(text="third", outcome="incomplete"),
}


@pytest.mark.parametrize("windows", SMALL_WINDOWS)
@pytest.mark.parametrize("asked", CRITERIA)
def test_pages_hold_what_a_plain_reading_finds(
    told: Told, monkeypatch: pytest.MonkeyPatch, asked: str, windows: str
) -> None:
    """The first page, a later one and one that begins within a tie are those of a sorted list of all rows."""
    for (module, name), value in SMALL_WINDOWS[windows].items():
        monkeypatch.setattr(module, name, value)
    if windows.startswith("windows"):
        monkeypatch.setattr(texts, "FEW_ROWS", 20)
        monkeypatch.setattr(texts, "FEW_CONTENTS", 20)
    for limit, offset in ((10, 0), (30, 17), (1_000, 0)):
        criteria = replace(CRITERIA[asked], limit=limit, offset=offset)
        found = [event.text("event_id") for event in search(told.store, criteria)]
        assert found == told.expected(criteria), (limit, offset)


def test_the_ledger_has_every_kind_of_intent(told: Told) -> None:
    """A tenth never ended, a tenth said that it did not, a tenth "ended" in what is no span."""
    assert len(told.expected(Criteria(outcome="incomplete", limit=1_000))) == 3 * CALLS // 10


def test_a_first_page_that_rows_came_in_on_is_read_again_without_them(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would not fit the pages behind it; where nothing came in it is read once, without asking each row."""
    asked: list[int | None] = []
    moments = iter([newest_stored_us(told.store) - 1, newest_stored_us(told.store)])

    def watched(store: Store, criteria: Criteria) -> list[Event]:
        asked.append(criteria.as_of_us)
        return search(store, criteria)

    monkeypatch.setattr(finding, "search", watched)
    page, as_of_us = search_page(told.store, Criteria(limit=20), as_of_us=None)
    assert (asked, as_of_us) == ([None], newest_stored_us(told.store))
    assert page == search(told.store, Criteria(limit=20))
    monkeypatch.setattr(finding, "newest_stored_us", lambda _store: next(moments))
    page, as_of_us = search_page(told.store, Criteria(limit=20), as_of_us=None)
    assert asked == [None, None, as_of_us]
    assert as_of_us == newest_stored_us(told.store) - 1


def test_pages_as_of_the_first_hold_nothing_twice_while_rows_arrive(told: Told) -> None:
    """Newer rows would push the end of each page onto the next; the last test of this store, which it adds to."""
    asked = Criteria(limit=20, as_of_us=newest_stored_us(told.store))
    expected = [told.expected(replace(asked, offset=offset)) for offset in (0, 20, 40)]
    pages: list[list[str]] = []
    for offset in (0, 20, 40):
        pages.append([event.text("event_id") for event in search(told.store, replace(asked, offset=offset))])
        late = Ledger(tenant=f"late-{offset}")
        chain = late.open_chain()
        for start_ns in (MONDAY_NS, MONDAY_NS + 10**15):
            chain.append({"event_type": "decision", "name": "late", "time": {"start": str(start_ns)}})
        late.write(told.store)
    assert pages == expected
    assert "late" in {event.text("name") for event in search(told.store, replace(asked, as_of_us=None))}
