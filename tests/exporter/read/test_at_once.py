"""Two questions at the same time: both are answered, and what either raises comes out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import StoreError
from spanledger_exporter.read.at_once import at_once
from spanledger_exporter.store.connection import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Yield an empty store."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path)}, working_directory=tmp_path)
    with open_store(settings, role="owner") as store:
        yield store


def slowly(store: Store) -> int:
    """Ask for a second."""
    return len(store.query("SELECT sleep(1)"))


def test_a_single_command_makes_no_second_connection(store: Store) -> None:
    """It would take longer than it saves."""
    here = threading.current_thread()
    assert at_once(store, lambda one: one, lambda other: (other, threading.current_thread())) == (store, (store, here))


def test_a_reader_that_stays_asks_both_at_once(store: Store) -> None:
    """On one connection the two would take two seconds."""
    companion = store.companion()
    started = time.monotonic()
    assert at_once(store, slowly, lambda other: (other, slowly(other))) == (1, (companion, 1))
    assert time.monotonic() - started < 1.9


@pytest.mark.parametrize("fails", [0, 1])
def test_what_either_raises_comes_out(store: Store, fails: int) -> None:
    """And the other one has ended: nothing goes on asking a store that is about to be closed."""
    store.companion()
    ended: list[int] = []

    def ask(which: int, one: Store) -> None:
        if which == fails:
            one.query("SELECT nothing")
        ended.append(slowly(one))

    with pytest.raises(StoreError, match="nothing"):
        at_once(store, lambda one: ask(0, one), lambda other: ask(1, other))
    assert ended == [1]
