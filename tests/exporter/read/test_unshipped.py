"""Rows that lie in the spool while another process owns the store: recorded, and shown as that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger_story import tell
from ledgers import Ledger
from served_console import command, serving
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.ledger.content import Content, content_ref
from spanledger_exporter.read.contents import load_contents
from spanledger_exporter.read.event import Event
from spanledger_exporter.read.finding import find_case, find_row, find_trace
from spanledger_exporter.read.unshipped import read_unshipped
from spanledger_exporter.recorder import open_recorder
from spanledger_exporter.ship.shipper import drain
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema

TEXT = "text/plain; charset=utf-8"
ANSWER = Content(content_ref(TEXT, b"Block it."), "payload", TEXT, 9, b"Block it.")
TRACE = "ab" * 16


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings of a directory of its own."""
    return load_settings({"SPANLEDGER_DIR": str(tmp_path)}, working_directory=tmp_path)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Yield the store, owned by this process for good, with the story in it; CASE-1 goes on in the spool."""
    with open_store(settings, role="owner", lasting=True) as store:
        ensure_schema(store)
        ledger = Ledger()
        tell(ledger)
        ledger.write(store)
        write_spool(settings, find_case(store, "CASE-1")[0])
        yield store


def write_spool(settings: Settings, stored: Event) -> None:
    """Record a review of `stored`, a call of the case in another trace, and what that trace did without a case."""
    output = [{"role": "assistant", "type": "text", "ref": ANSWER.ref.hex(), "bytes": 9, "media": TEXT}]
    with open_recorder(settings, role="application") as recorder:
        recorder.record({"event_type": "human_review", "name": "late review", "parent_event_id": stored.event_id})
        call = {"event_type": "model_call", "name": "late call", "trace_id": TRACE, "span_id": "cd" * 8}
        recorder.record(
            {**call, "event_id": f"{TRACE}:{'cd' * 8}", "context": {"case_id": "CASE-1"}, "output": output}, [ANSWER]
        )
        recorder.record({"event_type": "tool_call", "name": "late tool", "trace_id": TRACE, "span_id": "ef" * 8})
        recorder.record({"event_type": "decision", "name": "of nobody here", "tenant": "acme"})


def test_a_case_goes_on_in_the_spool(store: Store, settings: Settings) -> None:
    """What names the case, what ran in its traces and what is about its events; nothing else, and in causal order."""
    unshipped = read_unshipped(settings.spool_directory)
    events = find_case(store, "CASE-1", unshipped=unshipped)
    recorded = [event for event in events if event.state == "recorded"]
    assert {event.text("name") for event in recorded} == {"late review", "late call", "late tool"}
    assert {event.state for event in events} == {"recorded", "stored"}
    assert len(events) == len(find_case(store, "CASE-1")) + 3
    assert [e.text("name") for e in find_trace(store, TRACE, unshipped=unshipped)] == ["late call", "late tool"]


def test_a_content_that_only_the_spool_has_is_readable(store: Store, settings: Settings) -> None:
    """Its bytes are compared with the reference like any other's."""
    unshipped = read_unshipped(settings.spool_directory)
    events = find_trace(store, TRACE, unshipped=unshipped)
    assert load_contents(store, events, unshipped=unshipped)[ANSWER.ref.hex()].text == "Block it."


def test_a_row_that_was_shipped_meanwhile_is_shown_once(store: Store, settings: Settings) -> None:
    """The spool is read first, so that it is never missed; the store's word on its state counts."""
    unshipped = read_unshipped(settings.spool_directory)
    drain(settings, store)
    events = find_case(store, "CASE-1", unshipped=unshipped)
    assert {event.state for event in events} == {"stored"}
    assert len({(event.chain, event.seq) for event in events}) == len(events)
    assert read_unshipped(settings.spool_directory).events == ()


def test_a_reader_that_is_a_moment_behind_the_owner_misses_nothing(store: Store, settings: Settings) -> None:
    """What was just shipped is still found in the spool, row and text; what the reader's store shows counts more."""
    before = read_unshipped(settings.spool_directory)
    drain(settings, store)
    bridged = read_unshipped(settings.spool_directory, stale_s=2.0)
    assert set(before.rows) <= set(bridged.rows)
    assert ANSWER.ref.hex() in bridged.contents
    assert {event.state for event in find_case(store, "CASE-1", unshipped=bridged)} == {"stored"}


def test_a_tenants_reader_sees_nothing_of_another_ones_spool(store: Store, settings: Settings) -> None:
    """Not by case, not by place."""
    whole = read_unshipped(settings.spool_directory)
    [theirs] = [event for event in whole.events if event.text("tenant") == "acme"]
    ours = read_unshipped(settings.spool_directory, tenant="default")
    assert theirs not in ours.events
    assert find_row(store, theirs.chain, theirs.seq, tenant="default", unshipped=ours) == []


def test_a_spool_that_is_too_large_to_look_at_is_said(store: Store, settings: Settings) -> None:
    """Never silently: the bytes that were not read are counted."""
    assert store.is_embedded
    few = read_unshipped(settings.spool_directory, limit_bytes=600)
    assert 0 < len(few.events) < 4
    assert few.unread_bytes > 0
    assert "not looked at" in few.warning


def test_the_command_line_and_the_console_show_what_is_only_recorded(store: Store, settings: Settings) -> None:
    """With its state, and a proof that says how far it goes."""
    assert store.is_embedded
    ran = command(settings.directory, "timeline", "--case", "CASE-1", "--json")
    recorded = [event for event in json.loads(ran.stdout) if event["state"] == "recorded"]
    assert {event["name"] for event in recorded} == {"late review", "late call", "late tool"}
    place = f"{recorded[0]['chain']}:{recorded[0]['seq']}"
    assert "· recorded" in command(settings.directory, "show", place).stdout
    with serving(settings.directory) as console:
        assert "late tool" in console.ask("/case/CASE-1").text
        page = console.ask(f"/event?id={place}").text
        assert "written down on the host where it happened, not in the store yet" in page
        assert "it lies in the spool of this host" in page
        assert "DOES NOT HOLD" not in page
