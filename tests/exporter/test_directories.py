"""What a process makes whose umask is 0, as a daemon's is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanledger_exporter.directories import make_directory
from spanledger_exporter.recorder import open_recorder
from spools import settings_for


@pytest.fixture(autouse=True)
def _umask_of_a_daemon() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_nobody_else_may_write_where_a_daemon_records(tmp_path: Path) -> None:
    """Neither in the data directory, nor in the spool, nor in the registry that anchors a chain."""
    with open_recorder(settings_for(tmp_path / "new" / "data"), role="application"):
        made = [place for place in (tmp_path / "new").rglob("*") if place.is_dir()]
    assert len(made) == 5
    assert [place for place in made if place.stat().st_mode & 0o002] == []


def test_a_directory_that_is_there_stays_as_it_was_made(tmp_path: Path) -> None:
    """Who shares one with a group has chosen so."""
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o770)
    make_directory(shared)
    assert shared.stat().st_mode & 0o777 == 0o770
