"""Observes `with_raw_response` and `with_streaming_response`: an answer is parsed when the caller parses it.

The caller keeps the library's own response object. Its class becomes one of the same name that tells a watcher of
`parse`: what the caller parses is what we read. (A `parse` put on the instance would either keep the response alive,
or lose it in `create(…).parse()`, where nobody else holds it during the call.) A caller who takes bytes, lines or JSON
instead ends the call with what was in them (`raw_body`), and a response that is dropped unread ends it with nothing.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from spanledger.invocation.abandoned import end_from_finaliser
from spanledger.invocation.call import Call
from spanledger.invocation.faults import report_once
from spanledger.invocation.raw_body import BodyTap, parsed_now
from spanledger.invocation.stream import AsyncStreamObserver, StreamObserver, hook_close
from spanledger_semconv.invocation import InvocationResult

Settle = Callable[[Call, Any], None]
"""Ends the call with a parsed response, or has a parsed stream end it."""

Fail = Callable[[Call, BaseException], None]
"""Ends the call with an exception that parsing raised, and with what had arrived until then."""


_WATCHER = "_spanledger_watcher"


class _ParseWatcher:
    """Waits for the first `parse`, `close` or disappearance of one raw response."""

    __slots__ = ("__weakref__", "_call", "_fail", "_is_taken", "_response", "_settle", "_tap", "_unhook")

    def __init__(self, response: Any, call: Call, settle: Settle, fail: Fail) -> None:
        self._response = weakref.ref(response)  # the response holds the watcher
        self._call = call
        self._settle = settle
        self._fail = fail
        self._is_taken = False  # whether a parsed stream has taken the call over
        self._tap = BodyTap(response.http_response, call)
        self._unhook: Callable[[], None] | None = hook_close(response.http_response, self)

    def parse(self, library_parse: Callable[[], Any]) -> Any:
        self._tap.remove()
        is_read = self._is_taken
        self._is_taken = True  # a parse that reads the body closes it: that is no early close
        try:
            parsed = library_parse()
        except BaseException as error:
            self._fail(self._call, error)
            raise
        if inspect.isawaitable(parsed):
            return self._parse_awaited(parsed, is_read=is_read)
        self._take(parsed, is_read=is_read)
        return parsed

    async def _parse_awaited(self, pending: Any, *, is_read: bool) -> Any:
        try:
            parsed = await pending
        except BaseException as error:
            self._fail(self._call, error)
            raise
        self._take(parsed, is_read=is_read)
        return parsed

    def _take(self, parsed: Any, *, is_read: bool) -> None:
        self._remove_hooks()
        if not is_read and self._call.is_open:
            self._settle(self._call, parsed)

    def closed(self) -> None:
        """End the call: the caller closed the response without parsing it."""
        if not self._is_taken and self._call.is_open:
            self._end()

    def _end(self) -> None:
        """Read what the caller read; whether it is whole, the HTTP response knows only after this."""
        self._is_taken = True
        self._remove_hooks()
        response = self._response()
        twin = None if response is None else self._tap.twin(response, type(response).__bases__[0])
        if twin is None:
            self._call.finish(InvocationResult(outcome="cancelled"))
            return
        try:
            self._settle_twin(twin)
        except Exception as error:  # half a JSON document, a cut compressed body: read by nobody
            report_once("parse a raw response", error)
            self._call.finish(InvocationResult(outcome="cancelled", time_to_first_chunk_s=self._call.first_chunk_s))

    def _settle_twin(self, twin: Any) -> None:
        parsed = parsed_now(twin)
        self._settle(self._call, parsed)
        observation = getattr(parsed, "_iterator", None)
        if isinstance(observation, StreamObserver | AsyncStreamObserver):
            observation.replay()

    def _remove_hooks(self) -> None:
        self._tap.remove()
        unhook, self._unhook = self._unhook, None
        if unhook is not None:
            unhook()

    def __del__(self) -> None:
        if not self._is_taken and self._call.is_open:
            call = self._call
            end_from_finaliser(lambda: call.finish(InvocationResult(outcome="cancelled")))


def is_raw_response(response: Any) -> bool:
    """Whether `response` is what `with_raw_response` or `with_streaming_response` gives."""
    # Its own fields only: a model of the SDK answers a miss slowly.
    return "http_response" in getattr(response, "__dict__", ()) and callable(getattr(response, "parse", None))


def observe_raw_response(response: Any, call: Call, settle: Settle, fail: Fail) -> None:
    """Have `response` end `call` when it is parsed, closed or dropped."""
    vars(response)[_WATCHER] = _ParseWatcher(response, call, settle, fail)
    kind: Any = type(response)
    response.__class__ = _watched(kind)


@cache
def _watched(kind: Any) -> type[Any]:
    """Give the subclass of a library's response class whose `parse` tells the watcher on the instance."""

    def parse(self: Any, *args: Any, **kwargs: Any) -> Any:
        watcher: _ParseWatcher = vars(self)[_WATCHER]
        return watcher.parse(lambda: kind.parse(self, *args, **kwargs))

    described = {"parse": wraps(kind.parse)(parse), "__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (kind,), described)
