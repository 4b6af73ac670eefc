"""`spanledger monitor` as a supervisor runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spanledger_exporter.cli import main
from spanledger_exporter.config import load_settings
from spanledger_exporter.recorder import open_recorder


def test_the_command_remembers_and_refuses_a_log_that_was_started_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--once` exits with the verdict, and leaves a row of its own that seals like any other."""
    monkeypatch.setenv("SPANLEDGER_DIR", str(tmp_path / "data"))
    memory = ["--memory", str(tmp_path / "memory.json")]
    with open_recorder(load_settings(), role="application") as recorder:
        recorder.record({"event_type": "model_call"})
    assert [main([command]) for command in ("ship", "seal")] == [0, 0]
    capsys.readouterr()
    assert main(["monitor", "--once", "--json", *memory]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "verified"
    assert [main([command]) for command in ("ship", "seal", "verify")] == [0, 0, 0]
    told = json.loads((tmp_path / "memory.json").read_text())
    (origin,) = told
    told[origin]["root"] = "A" * 43 + "="
    (tmp_path / "memory.json").write_text(json.dumps(told))
    assert main(["monitor", "--once", *memory]) == 1
    assert "signed over another log" in capsys.readouterr().err


def test_looking_for_a_store_that_is_gone_does_not_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty one in its place would hide from `doctor` that there was another."""
    monkeypatch.setenv("SPANLEDGER_DIR", str(tmp_path / "data"))
    assert main(["monitor", "--once", "--memory", str(tmp_path / "memory.json")]) == 3
    assert "was it removed, or never made?" in capsys.readouterr().err
    assert not (tmp_path / "data" / "store").exists()
