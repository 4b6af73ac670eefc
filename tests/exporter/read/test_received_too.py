"""A span that its own process recorded, and that came over OTLP too, is one event; both rows stay where they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ledgers import Ledger
from received_spans import TRACE, span
from spanledger_exporter.config import load_settings
from spanledger_exporter.read.criteria import Criteria
from spanledger_exporter.read.finding import find_case, find_event, find_row, find_trace, search
from spanledger_exporter.read.queue import waiting
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema
from spanledger_exporter.store.views import ensure_views

CALLS = 7


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield calls that were captured and received, one that was only received, and one that was only begun here."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path_factory.mktemp("received"))}, working_directory=Path("/"))
    ledger, other = Ledger(), Ledger(tenant="other")
    process, collector = ledger.open_chain(), ledger.open_chain(role="collector")
    for number in range(1, CALLS + 1):
        intent = span(number, "captured", context={"case_id": "C"}, outcome="", cost={})
        process.append(intent | {"event_id": intent["event_id"] + ":begin"})
        process.append(span(number, "captured", context={"case_id": "C"}))
    for number in range(1, CALLS + 1):
        collector.append(span(number, "ingested"))
    collector.append(span(100, "ingested"))  # a sender in another language
    begun = span(101, "captured", outcome="")
    process.append(begun | {"event_id": begun["event_id"] + ":begin"})
    collector.append(span(101, "ingested"))
    decision = {"event_type": "decision", "decision": {"name": "d", "is_default": True}}
    process.append(span(200, "captured", **decision))
    collector.append(span(200, "ingested", **decision))
    other.open_chain(role="collector").append(span(1, "ingested"))
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        ensure_views(store)
        ledger.write(store)
        other.write(store)
        yield store


def test_costs_and_calls_count_a_span_once(store: Store) -> None:
    """Seven of both, one only received, one whose process died before its end; the other tenant has its own."""
    sums = "SELECT tenant, count(), sum(cost_usd), uniqExact(event_id) FROM costs GROUP BY tenant ORDER BY tenant"
    found = [(tenant, calls, float(usd), ids) for tenant, calls, usd, ids in store.query(sums)]
    assert found == [("default", 9, 4.5, 9), ("other", 1, 0.5, 1)]


def test_the_row_that_counts_is_the_process_own(store: Store) -> None:
    """It has the case and the content, which did not travel."""
    sql = "SELECT DISTINCT capture_tier, case_id FROM events WHERE tenant = 'default' AND event_id = {id:String}"
    assert store.query(sql, {"id": f"{TRACE}:{1:016x}"}) == [("captured", "C")]


def test_both_rows_stay_in_the_table(store: Store) -> None:
    """Folding is reading; nothing is left out of the record."""
    sql = "SELECT countIf(capture_tier = 'ingested') FROM rows WHERE tenant = 'default'"
    assert store.query(sql) == [(CALLS + 3,)]


@pytest.mark.parametrize("tenant", ["default", "other"])
@pytest.mark.parametrize("outcome", ["", "success", "incomplete"])
def test_pages_of_a_search_show_each_event_once_and_are_full(store: Store, tenant: str, outcome: str) -> None:
    """Whichever page the two rows of a span would have come to stand on."""
    asked = Criteria(tenant=tenant, event_type="model_call", outcome=outcome, limit=2)
    pages = [search(store, replace(asked, offset=offset)) for offset in range(0, 12, 2)]
    counts = {"default": 9, "other": 1} if outcome != "incomplete" else {"default": 0, "other": 0}
    found = [event.event_id for page in pages for event in page]
    assert len(found) == len(set(found)) == counts[tenant]
    assert all(len(page) == 2 for page in pages[: len(found) // 2])


def test_an_event_names_the_row_that_was_received(store: Store) -> None:
    """Whoever wants to compare them finds it at its place."""
    (event,) = find_event(store, f"{TRACE}:{1:016x}", tenant="default")
    (place,) = event.as_record()["received"]
    (row,) = find_row(store, place["chain"], place["seq"], tenant="default")
    assert (event.text("capture", "tier"), row.text("capture", "tier")) == ("captured", "ingested")
    assert event.intent is not None


def test_a_case_and_a_trace_show_each_span_once(store: Store) -> None:
    """A received row names no case and would stand beside its own original."""
    assert len(find_case(store, "C", tenant="default")) == CALLS + 3
    assert len(find_trace(store, TRACE, tenant="default")) == CALLS + 3


def test_what_waits_for_a_person_waits_once(store: Store) -> None:
    """In the view and on the page."""
    assert store.query("SELECT count() FROM review_queue") == [(1,)]
    assert len(waiting(store, limit=10)) == 1
