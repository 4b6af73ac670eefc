"""Where a console listens is said once it does, and in words where it cannot."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from socket import create_connection, create_server

import pytest

from spanledger_exporter.cli import EXIT_UNAVAILABLE, main


def test_a_port_that_is_taken_is_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server's own status for it is 3, which a script takes for "cannot verify"."""
    monkeypatch.setenv("SPANLEDGER_DIR", str(tmp_path))
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["console", "--port", str(port)]) == EXIT_UNAVAILABLE
    said = capsys.readouterr().err
    assert f"expected to listen on 127.0.0.1:{port} for the console, got: Address already in use" in said
    assert "Ctrl-C" not in said


def test_any_free_port_is_named_and_answers_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    """`--port 0` said port 0."""
    with subprocess.Popen(
        [sys.executable, "-m", "spanledger_exporter", "console", "--port", "0"],
        env={**os.environ, "SPANLEDGER_DIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    ) as console:
        assert console.stderr is not None
        named = re.search(r"console on http://127\.0\.0\.1:(\d+) ", console.stderr.readline())
        assert named
        with create_connection(("127.0.0.1", int(named[1])), timeout=30) as asked:
            asked.sendall(b"GET /static/mark.svg HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            assert asked.recv(12) == b"HTTP/1.1 200"
        console.send_signal(signal.SIGINT)
        assert console.wait(timeout=30) == 0
