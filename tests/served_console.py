"""Runs the console in a process of its own, and asks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_server

TOKENS = {"maria": "token-of-maria", "otto": "token-of-otto"}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        """Show redirects to the test instead of following them."""


OPENER = urllib.request.build_opener(_NoRedirect)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the console answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Served:
    """A running console."""

    directory: Path
    port: int
    options: tuple[str, ...] = field(default=())
    process_id: int = 0

    @property
    def url(self) -> str:
        """Return where it is."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, *, data: bytes | None = None, method: str | None = None, **headers: str) -> Answer:
        """Send one request; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data=data, headers=named, method=method)  # noqa: S310
        try:
            with OPENER.open(request, timeout=60) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read())


def command(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line on a data directory."""
    return subprocess.run(
        [sys.executable, "-m", "spanledger_exporter", *arguments],
        cwd=directory,
        env={**os.environ, "SPANLEDGER_DIR": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def serving(directory: Path, *options: str) -> Generator[Served]:
    """Run a console until the block ends."""
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    console = subprocess.Popen(
        [sys.executable, "-m", "spanledger_exporter", "console", "--port", str(port), *options],
        cwd=directory,
        env={**os.environ, "SPANLEDGER_DIR": str(directory)},
        stderr=subprocess.PIPE,
    )
    served = Served(directory, port, options, console.pid)
    try:
        _wait(served, console)
        yield served
    finally:
        console.terminate()
        _, said = console.communicate(timeout=30)
        assert b"Traceback" not in said, said.decode()


def _wait(served: Served, console: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert console.poll() is None, "the console ended"
        try:
            served.ask("/static/mark.svg")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the console did not answer within a minute")


def event_of(console: Served, case: str, event_type: str) -> dict[str, object]:
    """Return the newest event of a kind in a case."""
    found: list[dict[str, object]] = json.loads(console.ask(f"/api/events?case={case}&type={event_type}").body)
    return found[0]
