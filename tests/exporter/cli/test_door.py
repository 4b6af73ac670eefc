"""The door of the command line: help, versions, mistakes."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from spanledger_exporter.cli import (
    EXIT_CONFIGURATION,
    EXIT_SOFTWARE,
    EXIT_UNAVAILABLE,
    EXIT_USAGE,
    available_commands,
    main,
    verify_command,
)
from spanledger_exporter.cli.output import OutputOptions, format_table, output_file, print_text


def outcome(*arguments: str) -> int:
    """Return the exit status of a command line."""
    try:
        return main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("search --limit x", "expected a number from 1, got 'x'"),
        ("search --limit 0", "expected a number from 1, got '0'"),
        ("console --port 99999", "expected a port from 0 to 65535, got '99999'"),
        ("collector --http-port -1", "expected a port from 0 to 65535, got '-1'"),
        ("seal --follow --interval nan", "expected seconds above 0, got 'nan'"),
        ("seal --follow --heartbeat inf", "expected seconds above 0, got 'inf'"),
        ("monitor --interval -3", "expected seconds above 0, got '-3'"),
        ("monitor --max-age x", "expected seconds above 0, got 'x'"),
        ("decision block --about e --result b --confidence 7", "expected a number from 0 to 1, got '7'"),
        ("review e approve --seconds -1", "expected seconds from 0, got '-1'"),
        ("keys revoke aaaaaaaa --reason x --until-size -4", "expected a number from 0, got '-4'"),
        ("keys trust --root-key k --threshold 0", "expected a number from 1, got '0'"),
    ],
)
def test_a_number_that_cannot_be_is_refused_in_words(line: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It named a function of ours, was a traceback, or kept a core busy for ever."""
    assert outcome(*line.split()) == EXIT_USAGE
    assert says in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (OSError(28, "No space left on device"), EXIT_UNAVAILABLE, "spanledger: [Errno 28] No space left on device"),
        (KeyError("seq"), EXIT_SOFTWARE, "this is a mistake of ours, not a verdict"),
    ],
)
def test_what_goes_wrong_inside_never_looks_like_a_verdict(
    error: Exception, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python's own status for an exception is 1, which is the verdict "tampered"."""

    def fail(_arguments: object) -> int:
        raise error

    monkeypatch.setattr(verify_command, "run", fail)
    assert outcome("verify") == status
    assert said in capsys.readouterr().err


def test_a_data_directory_that_is_a_file_is_no_verdict_of_tampering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing can be judged, and the anchor that could not be read is named."""
    (tmp_path / "ledger").write_text("in the way")
    monkeypatch.setenv("SPANLEDGER_DIR", str(tmp_path / "ledger"))
    assert outcome("verify") == 3
    assert "Not a directory" in capsys.readouterr().out


def test_text_that_stdout_cannot_encode_is_escaped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A terminal of another time has no `ü`; it gets the rest."""
    monkeypatch.setenv("SPANLEDGER_DIR", str(tmp_path / "f\u00fcr"))
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", narrow)
    assert outcome("doctor") in {0, 1}
    narrow.flush()
    assert b"f\\xfcr" in narrow.buffer.getvalue()


def test_a_closed_stdout_is_no_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`spanledger doctor >&-` has nobody to tell, and ends as it would otherwise."""
    monkeypatch.setenv("SPANLEDGER_DIR", str(tmp_path))
    monkeypatch.setattr("sys.stdout", None)
    assert outcome("doctor") == 0
    sys.stdout.close()


def test_on_a_terminal_the_engine_is_silent(tmp_path: Path) -> None:
    """ClickHouse logs to a terminal unless it is told not to, a thousand lines for one answer."""
    try:
        terminal, ours = pty.openpty()
    except OSError as error:
        pytest.skip(f"this machine has no pseudo-terminals: {error}")
    process = subprocess.Popen(
        [sys.executable, "-m", "spanledger_exporter", "sql", "SELECT 41 + 1 AS answer"],
        env={**os.environ, "SPANLEDGER_DIR": str(tmp_path / "ledger"), "PAGER": "cat"},
        stdin=ours,
        stdout=ours,
        stderr=ours,
    )
    os.close(ours)
    lines = _read_all(terminal).splitlines()
    assert process.wait(60) == 0
    assert any("42" in line for line in lines)
    assert not [line for line in lines if "<Debug>" in line or "Information" in line]


def test_the_heading_of_a_table_is_cut_like_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a narrow terminal a heading of two lines stands over the wrong columns."""
    monkeypatch.setattr("sys.stdout", _Terminal())
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    lines = format_table([{"first": "x" * 15, "second": "y" * 15}], ("first", "second")).splitlines()
    assert lines == ["\x1b[1mfirst            se…\x1b[0m", "xxxxxxxxxxxxxxx  yy…"]


@pytest.mark.parametrize(("pager", "left"), [("no-such-pager", 200), ("true", 0)])
def test_a_text_for_which_there_is_no_pager_is_printed(monkeypatch: pytest.MonkeyPatch, pager: str, left: int) -> None:
    """A small container has no `less`: the timeline must not be lost with it."""
    terminal = _Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("PAGER", pager)
    print_text("line\n" * 200, OutputOptions("table"))
    assert terminal.getvalue().count("line") == left


def test_a_pipe_is_written_into_and_never_replaced(tmp_path: Path) -> None:
    """Like `-o /dev/stdout`: a file in the place of a device breaks every program after us."""
    os.mkfifo(pipe := tmp_path / "pipe")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with output_file(OutputOptions("csv", pipe)) as out:
        out.write(b"rows")
    assert (os.read(reader, 10), pipe.is_fifo(), list(tmp_path.iterdir())) == (b"rows", True, [pipe])
    os.close(reader)


def test_a_link_stays_a_link_to_what_was_written(tmp_path: Path) -> None:
    """Its file appears as a whole, like any other."""
    (tmp_path / "there").mkdir()
    (link := tmp_path / "link").symlink_to("there/rows.csv")
    for rows in (b"first", b"second"):
        with output_file(OutputOptions("csv", link)) as out:
            out.write(rows)
        assert (link.is_symlink(), (tmp_path / "there" / "rows.csv").read_bytes()) == (True, rows)


def test_ctrl_c_while_a_command_is_imported_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first half second of a command."""

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("importlib.import_module", interrupt)
    assert outcome("timeline", "--case", "CASE-1") == 130


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        """Say yes."""
        return True


def _read_all(terminal: int) -> str:
    parts: list[bytes] = []
    try:
        while part := os.read(terminal, 65_536):
            parts.append(part)
    except OSError:  # the other side is closed: how a terminal ends
        pass
    os.close(terminal)
    return b"".join(parts).decode("utf-8", "replace")


def test_only_a_process_of_its_own_looks_for_garbage_seldom() -> None:
    """Whoever calls `main` with arguments keeps Python's rhythm."""
    code = (
        "import gc, sys; from spanledger_exporter.cli import main; usual = gc.get_threshold(); "
        "main(['--version']); assert gc.get_threshold() == usual; "
        "sys.argv = ['spanledger', '--version']; main(); assert gc.get_threshold()[0] == 20_000"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
