"""Observes `with_raw_response` and `with_streaming_response`: an answer is parsed when the caller parses it.

The caller keeps the library's own response object. Its class becomes one of the same name that tells a watcher of
`parse`: what the caller parses is what we read. (A `parse` put on the instance would either keep the response alive,
or lose it in `create(…).parse()`, where nobody else holds it during the call.) A caller who takes bytes, lines or JSON
instead ends the call with what was in them (`raw_body`), and a response that is dropped unread ends it with nothing.
"""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from spanledger.invocation.abandoned import end_from_finaliser
from spanledger.invocation.call import Call, failed
from spanledger.invocation.faults import report_once
from spanledger.invocation.raw_body import BodyTap, parsed_stream, read_body
from spanledger.invocation.stream import hook_close
from spanledger_semconv.invocation import InvocationResult, Outcome

Settle = Callable[[Call, Any], None]
"""Ends the call with a parsed response, or has a parsed stream end it."""

Fail = Callable[[Call, BaseException, Any], None]
"""Ends the call with an exception that parsing raised, and with the body that had arrived until then, or None."""


_WATCHER = "_spanledger_watcher"


class _ParseWatcher:
    """Waits for the first `parse`, `close` or disappearance of one raw response."""

    __slots__ = (
        "__weakref__",
        "_call",
        "_fail",
        "_handled",
        "_is_stream",
        "_is_taken",
        "_response",
        "_settle",
        "_tap",
        "_unhook",
    )

    def __init__(self, response: Any, call: Call, settle: Settle, fail: Fail, *, is_stream: bool) -> None:
        self._is_stream = is_stream
        self._handled = sys.exc_info()[1]  # what the caller is handling anyway
        self._response = weakref.ref(response)  # the response holds the watcher
        self._call = call
        self._settle = settle
        self._fail = fail
        self._is_taken = False  # whether a parsed stream has taken the call over
        self._tap = BodyTap(response.http_response, call)
        self._unhook: Callable[[], None] | None = hook_close(response.http_response, self)

    def parse(self, library_parse: Callable[[], Any]) -> Any:
        is_read = self._begin_parsing()
        try:
            parsed = library_parse()
        except BaseException as error:
            self._fail(self._call, error, self._body())
            raise
        self._take(parsed, is_read=is_read)
        return parsed

    async def parse_async(self, library_parse: Callable[[], Any]) -> Any:
        is_read = self._begin_parsing()
        try:
            parsed = await library_parse()
        except BaseException as error:
            self._fail(self._call, error, self._body())
            raise
        self._take(parsed, is_read=is_read)
        return parsed

    def _begin_parsing(self) -> bool:
        """Tell whether the body was read before; parsing reads the body, which closes it: that is no early close."""
        self._tap.remove()
        is_read, self._is_taken = self._is_taken, True
        return is_read

    def _take(self, parsed: Any, *, is_read: bool) -> None:
        self._remove_hooks()
        if not is_read and self._call.is_open:
            body = self._body()  # what the caller had it parsed into may be any type: see `parse(to=…)`
            self._settle(self._call, parsed if body is None else body)

    def _body(self) -> Any:
        return None if self._is_stream else self._tap.body()

    def closed(self) -> None:
        """End the call: the caller closed the response without parsing it."""
        if not self._is_taken and self._call.is_open:
            self._end()

    def _end(self) -> None:
        """Read what the caller read; where a `with` block closes the response because of an exception, name it."""
        self._is_taken = True
        self._remove_hooks()
        error = sys.exc_info()[1]
        error = None if error is self._handled or isinstance(error, GeneratorExit) else error
        response = self._response()
        twin = None if response is None else self._tap.twin(response, type(response).__bases__[0])
        if twin is not None and self._is_settled_by(twin):
            return
        # Read to its end and still not readable: half a document, which nobody cancelled.
        is_reading = self._tap.is_reading
        outcome: Outcome = "incomplete" if is_reading else "cancelled"
        result = InvocationResult(outcome=outcome, time_to_first_chunk_s=self._call.first_chunk_s)
        self._call.finish(result if error is None else failed(error, result, by_caller=not is_reading))

    def _is_settled_by(self, twin: Any) -> bool:
        """Tell whether what the caller had read is enough to be read by us."""
        try:
            if not self._is_stream:
                self._settle(self._call, read_body(twin.http_response))
                return True
            stream = parsed_stream(twin)
            self._settle(self._call, stream)
            observer = stream._iterator  # noqa: SLF001  # where the settling has put the observer
            observer.replay(self._handled, is_reading=self._tap.is_reading)
        except ValueError:  # half a JSON document: nobody can read it
            return False
        except Exception as error:  # a cut compressed body, for example
            report_once("read a raw response", error)
            return False
        return True

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


def observe_raw_response(response: Any, call: Call, settle: Settle, fail: Fail, *, is_stream: bool) -> None:
    """Have `response` end `call` when it is parsed, closed or dropped."""
    vars(response)[_WATCHER] = _ParseWatcher(response, call, settle, fail, is_stream=is_stream)
    kind: Any = type(response)
    response.__class__ = _watched(kind)


@cache
def _watched(kind: Any) -> type[Any]:
    """Give the subclass of a library's response class whose `parse` tells the watcher on the instance."""

    def parse(self: Any, *args: Any, **kwargs: Any) -> Any:
        watcher: _ParseWatcher = vars(self)[_WATCHER]
        watch = watcher.parse_async if is_async else watcher.parse
        return watch(lambda: kind.parse(self, *args, **kwargs))

    is_async = inspect.iscoroutinefunction(kind.parse)
    described = {
        "parse": wraps(kind.parse)(parse),
        "__class__": property(lambda _self: kind),  # `response.__class__ is APIResponse` stays true
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
    }
    return type(kind.__name__, (kind,), described)
