"""A console that is older than its store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ledger_story import CASES, tell
from ledgers import Ledger
from served_console import event_of, serving
from spanledger_exporter.config import load_settings
from spanledger_exporter.store.connection import open_store
from spanledger_exporter.store.schema import Layout, ensure_schema, render


@pytest.mark.parametrize("made", [0, 3, len(render(Layout())) // 2])
def test_a_store_that_was_looked_at_while_it_was_made_is_read_once_it_is_whole(tmp_path: Path, made: int) -> None:
    """The first page falls into the first shipping; what is attached half must not be kept for good."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path)}, working_directory=tmp_path)
    with open_store(settings, role="owner") as store, serving(tmp_path) as console:
        for statement in render(Layout())[:made]:
            store.command(statement)
        early = console.ask("/api/events")
        assert (early.status, json.loads(early.body)["error"][:24]) == (503, "the store is being made:")
        ensure_schema(store)
        ledger = Ledger()
        tell(ledger, CASES[:1])
        ledger.write(store)
        assert event_of(console, "CASE-1", "decision")["state"] == "stored"
