"""Plays the recorded HTTP exchanges of a cassette to the SDK's transport, in order, by method and URL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx2
import pytest
import yaml

_FRAMING = frozenset({"content-encoding", "transfer-encoding", "content-length"})


class CassettePlayer:
    """Opens cassettes of one directory; `use_cassette` serves one for the length of a block."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _interactions(self, name: str) -> list[dict[str, Any]]:
        for candidate in (name, f"{name}.yaml", name.replace("[content_mode0]", "")):
            path = self._directory / candidate
            if path.is_file():
                return list(yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"])
        return []

    @contextmanager
    def use_cassette(self, name: str, **_options: Any) -> Generator[None]:
        """Serve the recordings of one cassette inside the block."""
        waiting = self._interactions(name)

        def play(request: httpx2.Request) -> httpx2.Response:
            for position, exchange in enumerate(waiting):
                recorded = exchange["request"]
                if recorded["method"] == request.method and _place(recorded["uri"]) == _place(str(request.url)):
                    return _response(waiting.pop(position)["response"])
            # Tests of unreachable servers have no recording: the real thing would refuse the connection, too.
            raise httpx2.ConnectError(f"no recorded {request.method} {request.url} is left in {name}", request=request)

        def handle(_transport: httpx2.HTTPTransport, request: httpx2.Request) -> httpx2.Response:
            return play(request)

        async def handle_async(_transport: httpx2.AsyncHTTPTransport, request: httpx2.Request) -> httpx2.Response:
            await request.aread()
            return play(request)

        with (
            patch.object(httpx2.HTTPTransport, "handle_request", handle),
            patch.object(httpx2.AsyncHTTPTransport, "handle_async_request", handle_async),
        ):
            yield


class _Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that arrives only when it is read, as it does from a network."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


def _response(recorded: dict[str, Any]) -> httpx2.Response:
    body = recorded["body"]["string"]
    headers = [
        (name, value)
        for name, values in recorded["headers"].items()
        if name.lower() not in _FRAMING
        for value in (values if isinstance(values, list) else [values])
    ]
    content = body.encode() if isinstance(body, str) else body
    return httpx2.Response(recorded["status"]["code"], headers=headers, stream=_Body(content))


def _marked_cassette(request: pytest.FixtureRequest) -> str | None:
    """Give the cassette that a test's markers name: `cassette(name)`, or `vcr` for the one with the test's own name."""
    named = request.node.get_closest_marker("cassette")
    if named is not None:
        return str(named.args[0])
    return None if request.node.get_closest_marker("vcr") is None else f"{request.node.name}.yaml"


@pytest.fixture(name="vcr")
def fixture_vcr(request: pytest.FixtureRequest) -> Iterator[CassettePlayer]:
    """Give the `vcr` that the tests ask for."""
    player = CassettePlayer(Path(str(request.path)).parent / "cassettes")
    name = _marked_cassette(request)
    if name is None:
        yield player
        return
    with player.use_cassette(name):
        yield player


@pytest.fixture(autouse=True)
def _play_marked_cassette(request: pytest.FixtureRequest) -> None:
    if _marked_cassette(request) is not None:
        request.getfixturevalue("vcr")


def _place(url: str) -> str:
    """Give a URL without the parameter that older SDKs added to beta calls."""
    return url.removesuffix("?beta=true")


def scrub_response_headers(_names: list[str]) -> Callable[[Any], Any]:
    """Only recording would need this."""
    return lambda response: response


def scrub_response_headers_overwrite(_headers: dict[str, str]) -> Callable[[Any], Any]:
    """Only recording would need this."""
    return lambda response: response
