"""A data directory with the story in its store, and a command line that runs in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import Ran, Run
from ledger_story import tell
from ledgers import Ledger
from spanledger_exporter.cli import main
from spanledger_exporter.config import load_settings
from spanledger_exporter.store.connection import open_store
from spanledger_exporter.store.schema import ensure_schema


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory whose store holds the story."""
    place = tmp_path_factory.mktemp("data")
    ledger = Ledger()
    tell(ledger)
    settings = load_settings({"SPANLEDGER_DIR": str(place)}, working_directory=place)
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        ledger.write(store)
    return place


@pytest.fixture
def run(directory: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Return a function that runs a command on the directory."""
    monkeypatch.chdir(directory)
    monkeypatch.setenv("SPANLEDGER_DIR", str(directory))

    def run(*arguments: str) -> Ran:
        capfdbinary.readouterr()
        try:
            status = main(arguments)
        except SystemExit as ended:
            status = int(ended.code or 0)
        captured = capfdbinary.readouterr()
        return Ran(status, captured.out.decode("utf-8", "replace"), captured.err.decode())

    return run
