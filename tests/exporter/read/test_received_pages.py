"""Pages of calls that were cut short, half of which came over OTLP too. A file of its own: a process has one engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ledgers import Ledger
from received_spans import span
from spanledger_exporter.config import load_settings
from spanledger_exporter.read import intents
from spanledger_exporter.read.criteria import Criteria
from spanledger_exporter.read.finding import search
from spanledger_exporter.store.connection import open_store
from spanledger_exporter.store.schema import ensure_schema


def test_pages_of_what_was_cut_short_are_full_though_half_of_it_was_received_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The places of a window tell what came over OTLP: a later page is not shorter for what it leaves out."""
    monkeypatch.setattr(intents, "WINDOW_ROWS", 16)
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path)}, working_directory=Path("/"))
    ledger = Ledger()
    process, collector = ledger.open_chain(), ledger.open_chain(role="collector")
    for number in range(40):
        process.append(span(number, "captured", outcome="incomplete"))
        collector.append(span(number, "ingested", outcome="incomplete"))
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        ledger.write(store)
        asked = Criteria(outcome="incomplete", limit=2)
        pages = [search(store, replace(asked, offset=offset)) for offset in range(0, 20, 2)]
    assert [len(page) for page in pages] == [2] * 10
    assert len({event.event_id for page in pages for event in page}) == 20
