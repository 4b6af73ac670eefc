"""Searching, page by page: by text, where few, many or all contents hold it, and for intents that were completed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ledgers import MONDAY_NS, Ledger, part
from spanledger_exporter.config import load_settings
from spanledger_exporter.read.criteria import Criteria
from spanledger_exporter.read.finding import search
from spanledger_exporter.read.texts import FEW_CONTENTS, FEW_ROWS, WINDOW_ROWS
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema

CALLS = FEW_ROWS + 10
RARE = 7
SYSTEM = "You triage alerts."


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a store where every call says something of its own, and some say something in common."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path_factory.mktemp("find"))}, working_directory=Path("/"))
    ledger = Ledger()
    chain = ledger.open_chain()
    system = part(ledger.text(SYSTEM, content_class="artifact"), role="system")
    for number in range(CALLS):
        words = f"call {number}" + (" shared words" if number <= FEW_CONTENTS else "") + " 100% of all"
        said = part(ledger.text(words), role="user")
        where = {"context": {"case_id": "A"}} if number % 1000 == RARE else {}
        chain.append(
            {
                "event_type": "model_call",
                "event_id": f"t:{number}",
                "name": "chat",
                **where,
                "input": [system, said],
            }
        )
    quoted = part(ledger.document({"answer": 'he said "never"\nand left'}), role="assistant")
    chain.append({"event_type": "model_call", "event_id": "t:quoted", "name": "chat", "output": [quoted]})
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        ledger.write(store)
        ledger.write(store, token="delivered twice")
        intents().write(store)
        yield store


def intents() -> Ledger:
    """Return a tenant of its own with 300 calls, of which the newest was begun and never ended."""
    ledger = Ledger(tenant="busy")
    chain = ledger.open_chain()
    for number in range(300):
        span = {"trace_id": f"{number // 10:032x}", "span_id": f"{number:016x}", "event_type": "model_call"}
        event_id = f"{span['trace_id']}:{span['span_id']}"
        chain.append({**span, "event_id": f"{event_id}:begin", "name": "chat"})
        if number < 299:
            chain.append({**span, "event_id": event_id, "name": "chat", "outcome": "success"})
    return ledger


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CALL 7 ", 1),
        ("shared words", FEW_CONTENTS + 1),
        ("nobody said this", 0),
        ("100_ of", 0),
        ('said "never"\nand', 1),
        ("t:12", 1),
    ],
)
def test_events_are_found_by_what_their_contents_say(store: Store, text: str, found: int) -> None:
    """Few references are looked up, many are found window by window; each event is found once."""
    assert len(search(store, Criteria(text=text, limit=1000))) == found


@pytest.mark.parametrize("text", ["of all", "triage ALERTS"])
def test_a_text_that_everything_holds_is_found_page_by_page(store: Store, text: str) -> None:
    """The pages hold every event once, newest first, whether the text is in many contents or in one that many share."""
    pages = [search(store, Criteria(text=text, limit=8_000, offset=start)) for start in range(0, CALLS, 8_000)]
    assert [e.event_id for page in pages for e in page] == [f"t:{number}" for number in reversed(range(CALLS))]


def test_a_common_text_is_looked_for_among_the_rows_of_a_case_first(store: Store) -> None:
    """A case has few rows; the text may stand in thousands of contents."""
    found = search(store, Criteria(text="of all", case_id="A", limit=1000))
    assert [event.event_id for event in found] == [f"t:{n}" for n in reversed(range(RARE, CALLS, 1000))]


def test_a_common_text_is_found_in_a_time_beyond_the_newest_windows(store: Store) -> None:
    """The first rows of all are some windows away from the newest ones."""
    assert CALLS > WINDOW_ROWS * 4
    found = search(store, Criteria(text="shared words", until_ns=MONDAY_NS + 10_000_000, limit=1000))
    assert 5 <= len(found) <= 10


def test_another_tenants_texts_are_not_searched(store: Store) -> None:
    """Nothing of a tenant is found for another one."""
    assert search(store, Criteria(text="of all", tenant="acme")) == []
    assert len(search(store, Criteria(text="call 7 ", tenant="default"))) == 1


def test_a_completed_intent_takes_no_place_on_a_page(store: Store) -> None:
    """Pages are full to the last one, and hold every call once."""
    calls = Criteria(tenant="busy", event_type="model_call", limit=50)
    pages = [search(store, replace(calls, offset=start)) for start in range(0, 350, 50)]
    assert [len(page) for page in pages] == [50] * 6 + [0]
    assert len({event.event_id for page in pages for event in page}) == 300
    assert pages[0][0].outcome == "incomplete"


def test_what_was_begun_and_never_ended_is_found_by_its_outcome(store: Store) -> None:
    """Of 300 intents one has no completion."""
    [found] = search(store, Criteria(tenant="busy", outcome="incomplete"))
    assert found.is_intent
