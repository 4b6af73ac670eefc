"""What `doctor` says about a ledger in trouble: true, and with what to do."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from spanledger_exporter.cli import EXIT_UNAVAILABLE, main
from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import RecordError
from spanledger_exporter.read.health import Check, examine
from spanledger_exporter.recorder import Recorder
from spanledger_exporter.spool.reader import chains
from spanledger_exporter.store import connection


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the data directory that the commands use."""
    monkeypatch.setenv("SPANLEDGER_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def record(count: int = 1) -> None:
    """Record calls in a chain of their own."""
    with Recorder(load_settings(), role="application") as recorder:
        for _ in range(count):
            recorder.record({"event_type": "model_call"})


def check(name: str) -> Check:
    """Return what the doctor finds under `name`."""
    return next(found for found in examine(load_settings()) if found.name == name)


def test_an_older_copy_of_the_store_is_a_problem(directory: Path) -> None:
    """Its own tables look well; the anchor remembers a later checkpoint."""
    record()
    assert (main(["ship"]), main(["seal"])) == (0, 0)
    shutil.copytree(directory / "store", directory / "backup")
    record()
    assert (main(["ship"]), main(["seal"])) == (0, 0)
    assert check("anchor").status != "problem"
    shutil.rmtree(directory / "store")
    (directory / "backup").rename(directory / "store")
    found = check("anchor")
    assert found.status == "problem"
    assert found.found == "a directory holds a checkpoint of size 7, the store knows of 4: it is an older copy"


def test_a_wrong_anchor_hides_nothing_else(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of roots that is missing was told as a broken store, and nothing was said of store and seal."""
    record()
    assert (main(["ship"]), main(["seal"])) == (0, 0)
    monkeypatch.setenv("SPANLEDGER_ANCHORS", f"directory,rfc3161:https://tsa.example?roots={directory / 'absent.pem'}")
    assert (check("store").status, check("seal").status) == ("ok", "ok")
    found = check("anchor")
    assert (found.status, "expected PEM certificates" in found.found) == ("problem", True)


def test_a_store_that_is_gone_is_not_one_that_never_was(directory: Path) -> None:
    """Anchors remember that there was one."""
    record()
    assert check("store").found == "there is no store yet"
    assert (main(["ship"]), main(["seal"])) == (0, 0)
    shutil.rmtree(directory / "store")
    found = check("store")
    assert (found.status, "size 4" in found.found) == ("problem", True)


def test_a_spool_at_its_quota_is_a_problem(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wonders why calls wait is told, and what makes room."""
    record(20)
    monkeypatch.setenv("SPANLEDGER_SPOOL_QUOTA_BYTES", "1000")
    found = check("spool")
    assert found.status == "problem"
    assert "at most 1,000: calls wait" in found.found
    assert "ship --follow" in found.advice


def test_losses_are_said_for_a_week(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are gone; that nobody noticed is what can be helped."""
    recorder = Recorder(load_settings(), role="application")
    recorder.record({"event_type": "model_call"})
    chain = recorder._chain
    assert chain is not None
    with monkeypatch.context() as patch:
        patch.setattr(chain.writer, "append", _refuse)
        for _ in range(3):
            with pytest.raises(RecordError):
                recorder.record({"event_type": "model_call"})
    recorder.close()
    assert main(["ship"]) == 0
    found = check("losses")
    assert (found.status, found.figures) == ("attention", {"lost_rows": 3})
    later_ns = 1_000_000_000 * (2**31)
    assert "losses" not in {one.name for one in examine(load_settings(), now_ns=lambda: later_ns)}


def _refuse(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_an_empty_spool_file_is_no_damage(directory: Path) -> None:
    """A writer was killed before its first bytes: nobody was told of them, and no `loss` row will follow."""
    record()
    [chain] = chains(load_settings().spool_directory)
    chain.path(0).write_bytes(b"")
    assert check("spool").status == "ok"


def test_an_engine_that_is_not_installed_is_told_before_there_is_a_store(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bare installation records; advising `spanledger ship` would only lead to the next error."""

    def absent(**_options: object) -> None:
        raise ImportError("pip install clickhouse-connect[chdb]")

    monkeypatch.setitem(sys.modules, "chdb", None)
    monkeypatch.setattr(connection, "_client", absent)  # the driver has imported the engine, in this process
    found = check("store")
    assert (found.status, found.advice.partition(",")[0]) == ("problem", "pip install 'spanledger[embedded]'")
    record()
    assert main(["ship"]) == EXIT_UNAVAILABLE
    assert f"{directory}/store, got none: {found.advice}" in capsys.readouterr().err
