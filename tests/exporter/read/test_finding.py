"""Searching for text, where few, many or too many contents hold it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledgers import Ledger, part
from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import UsageError
from spanledger_exporter.read.finding import MAX_NEEDLES, MAX_TEXT_MATCHES, Criteria, search
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a store where every call says something of its own, and some say something in common."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path_factory.mktemp("find"))}, working_directory=Path("/"))
    ledger = Ledger()
    chain = ledger.open_chain()
    for number in range(MAX_TEXT_MATCHES + 1):
        words = f"call {number}" + (" shared words" if number <= MAX_NEEDLES else "")
        said = part(ledger.text(f"{words} of all"), role="user")
        chain.append({"event_type": "model_call", "event_id": f"t:{number}", "name": "chat", "input": [said]})
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        ledger.write(store)
        ledger.write(store, token="delivered twice")
        yield store


@pytest.mark.parametrize(
    ("text", "found"), [("CALL 7 ", 1), ("shared words", MAX_NEEDLES + 1), ("nobody said this", 0)]
)
def test_events_are_found_by_what_their_contents_say(store: Store, text: str, found: int) -> None:
    """Few references are searched for, many are looked up; each event is found once."""
    assert len(search(store, Criteria(text=text, limit=1000))) == found


def test_a_text_that_too_many_contents_hold_is_refused_rather_than_half_answered(store: Store) -> None:
    """An answer that silently leaves events out would be a lie."""
    with pytest.raises(UsageError, match="rarer words"):
        search(store, Criteria(text="of all"))
