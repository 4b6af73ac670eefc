"""The door of the command line: help, versions, mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanledger_exporter.cli import EXIT_CONFIGURATION, EXIT_USAGE, available_commands, main


def outcome(*arguments: str) -> int:
    """Return the exit status of a command line."""
    try:
        return main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)


@pytest.mark.parametrize("line", ["verfy", "timeline", "timeline --case", "search --limit 0", "--nonsense"])
def test_wrong_usage_never_looks_like_a_verdict(line: str) -> None:
    """Statuses 1 to 3 belong to `verify`; argparse's own 2 would read as "incomplete"."""
    assert outcome(*line.split()) == EXIT_USAGE


def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    """`timelin` is not a command, `timeline` is."""
    outcome("timelin")
    assert "did you mean 'timeline'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", available_commands())
def test_every_command_ends_its_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever asks for help gets a line to copy."""
    assert outcome(name, "--help") == 0
    assert f"spanledger {name}" in capsys.readouterr().out.partition("example")[2]


def test_help_lists_only_commands_that_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A command without its module is not offered."""
    assert outcome() == 0
    listed = capsys.readouterr().out
    assert all(f"  {name}" in listed for name in available_commands())


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` names the distribution."""
    assert outcome("--version") == 0
    assert capsys.readouterr().out.startswith("spanledger ")


def test_a_wrong_setting_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The variable, the value and what is accepted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPANLEDGER_STORE", "sqlite://x")
    assert outcome("timeline", "--case", "C") == EXIT_CONFIGURATION
    assert "SPANLEDGER_STORE" in capsys.readouterr().err
