"""Reads what a caller read itself: the bytes of a raw response, parsed once more by the client library.

A caller of `with_streaming_response` may take lines, bytes or JSON and never ask for the parsed answer. The bytes are
kept as they pass. When the response is closed they are read: JSON as it is, a stream by the library's own code, from a
twin of the response with the same bytes and no connection. The caller's response is not touched, and nothing is kept
once the caller parses it itself.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from time import perf_counter
from typing import Any

from spanledger.invocation.call import Call


class BodyTap:
    """Keeps the raw bytes of one HTTP response while its caller reads them."""

    __slots__ = ("_call", "_hooked", "_http_response", "_pieces", "is_reading")

    def __init__(self, http_response: Any, call: Call) -> None:
        self._http_response = http_response = without_proxy(http_response)
        self._call = call
        self._pieces: list[bytes] = []
        self.is_reading = False
        """Whether the caller is waiting for bytes: an end or an exception is then the server's or the network's."""
        self._hooked = vars(http_response)
        self._hooked["iter_raw"] = self._iter_raw
        self._hooked["aiter_raw"] = self._aiter_raw

    def _iter_raw(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        self.is_reading = True
        for piece in type(self._http_response).iter_raw(self._http_response, *args, **kwargs):
            self._keep(piece)
            self.is_reading = False
            yield piece
            self.is_reading = True

    async def _aiter_raw(self, *args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
        inner = type(self._http_response).aiter_raw(self._http_response, *args, **kwargs)
        self.is_reading = True
        async with contextlib.aclosing(inner):
            async for piece in inner:
                self._keep(piece)
                self.is_reading = False
                yield piece
                self.is_reading = True

    def _keep(self, piece: bytes) -> None:
        if self._call.first_chunk_s is None:
            self._call.first_chunk_s = perf_counter() - self._call.started_s
        self._pieces.append(piece)

    def remove(self) -> None:
        """Stop keeping: the library parses the response, or it is closed."""
        self._hooked.pop("iter_raw", None)
        self._hooked.pop("aiter_raw", None)

    def body(self) -> Any:
        """Return the JSON of a body that the library has read; None where there is none."""
        if getattr(self._http_response, "_content", None) is None:
            return None
        try:
            return read_body(self._http_response)
        except ValueError:  # an answer that is no JSON, of which the library has made what it could
            return None

    def twin(self, response: Any, kind: Any) -> Any:
        """Return a raw response like `response`, of the library's class `kind`, whose body is what was kept.

        None when nothing was read.
        """
        if not self._pieces:
            return None
        http_response = self._http_response
        twin = kind.__new__(kind)
        vars(twin).update(vars(response))
        twin._parsed_by_type = {}  # noqa: SLF001  # the copy shares it with the original, whose answer is its own
        twin.http_response = type(http_response)(
            http_response.status_code,
            headers=http_response.headers,
            content=b"".join(self._pieces),
            request=http_response.request,
        )
        return twin


def without_proxy(response: Any) -> Any:
    """Return the HTTP response itself, where another instrumentation has put a wrapt proxy around it.

    A hook in a proxy's `vars` is a hook in the wrapped object, which the proxy's own methods would call for ever.
    """
    inner = getattr(response, "__wrapped__", None)
    return response if inner is None else without_proxy(inner)


class Fields(dict[str, Any]):
    """A JSON object whose fields can be read like those of a library's model; one that is not there is None."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)


def read_body(http_response: Any) -> Any:
    """Return the JSON of a whole body, or its text where it is of another type (a transcription as subtitles).

    The library's own `parse` is left to the caller: it runs the caller's code, and remembers its result.
    """
    headers = http_response.headers
    if "json" not in headers.get("content-type", "json"):
        return http_response.text
    body = json.loads(http_response.content, object_hook=Fields)
    if isinstance(body, Fields):
        body["_request_id"] = headers.get("request-id") or headers.get("x-request-id")
    return body


def parsed_stream(response: Any) -> Any:
    """Return the stream that a raw response whose bytes are in memory parses to, sync or async."""
    parsed = response.parse()
    return run_without_waiting(parsed) if hasattr(parsed, "__await__") else parsed


def run_without_waiting(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that has nothing to wait for; raises RuntimeError if it waits after all."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        return finished.value
    coroutine.close()
    raise RuntimeError("expected a body in memory to be parsed without waiting, got a coroutine that waits")


def remaining_chunks(iterator: Any) -> Iterator[Any]:
    """Yield the chunks of a library's stream iterator whose bytes are all in memory, sync or async."""
    if not hasattr(iterator, "__anext__"):
        yield from iterator
        return
    step: Callable[[], Coroutine[Any, Any, Any]] = iterator.__anext__
    while True:
        try:
            chunk = run_without_waiting(_awaited(step))
        except StopAsyncIteration:
            return
        yield chunk


async def _awaited(step: Callable[[], Any]) -> Any:
    return await step()
