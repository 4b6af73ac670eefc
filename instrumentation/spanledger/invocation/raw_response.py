"""Observes `with_raw_response` and `with_streaming_response`: an answer is parsed when the caller parses it.

The caller keeps the library's own response object. Its `parse` is replaced on the instance: what the caller
parses is what we read. A response that is closed, or dropped, without being parsed ends the call with what is known.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any

from spanledger.invocation.abandoned import end_from_finaliser
from spanledger.invocation.call import Call
from spanledger.invocation.faults import report_once
from spanledger.invocation.stream import hook_close
from spanledger_semconv.invocation import InvocationResult, Outcome

Settle = Callable[[Call, Any], None]
"""Ends the call with a parsed response, or has a parsed stream end it."""


class _ParseWatcher:
    """Waits for the first `parse`, `close` or disappearance of one raw response."""

    __slots__ = ("__weakref__", "_call", "_is_taken", "_response", "_settle", "_unhook")

    def __init__(self, response: Any, call: Call, settle: Settle) -> None:
        self._response = weakref.ref(response)
        self._call = call
        self._settle = settle
        self._is_taken = False  # whether a parsed stream has taken the call over
        self._unhook: Callable[[], None] | None = hook_close(response.http_response, self)

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        response = self._response()
        assert response is not None  # noqa: S101  # it holds this method, and is being asked
        parsed = type(response).parse(response, *args, **kwargs)
        if inspect.isawaitable(parsed):
            return self._parse_awaited(parsed)
        self._take(parsed)
        return parsed

    async def _parse_awaited(self, pending: Any) -> Any:
        parsed = await pending
        self._take(parsed)
        return parsed

    def _take(self, parsed: Any) -> None:
        if self._is_taken or not self._call.is_open:
            return
        self._is_taken = True
        self._remove_hook()
        self._settle(self._call, parsed)

    def closed(self) -> None:
        """End the call: the caller closed the response without parsing it."""
        if not self._is_taken and self._call.is_open:
            self._end()

    def _end(self) -> None:
        self._is_taken = True
        self._remove_hook()
        response = self._response()
        http_response = getattr(response, "http_response", None)
        if getattr(http_response, "_content", None) is not None and not getattr(response, "_is_sse_stream", False):
            self._settle_read_body(response)
            return
        outcome: Outcome = "success" if getattr(http_response, "is_stream_consumed", False) else "cancelled"
        self._call.finish(InvocationResult(outcome=outcome))

    def _settle_read_body(self, response: Any) -> None:
        """Parse a body that is in memory because the caller read it: that touches nothing."""
        try:
            parsed = type(response).parse(response)
            if inspect.iscoroutine(parsed):
                parsed.close()
                self._call.finish(InvocationResult(outcome="success"))
            else:
                self._settle(self._call, parsed)
        except Exception as error:
            report_once("parse a raw response", error)
            self._call.finish(InvocationResult(outcome="success"))

    def _remove_hook(self) -> None:
        unhook, self._unhook = self._unhook, None
        if unhook is not None:
            unhook()

    def __del__(self) -> None:
        if not self._is_taken and self._call.is_open:
            call = self._call
            end_from_finaliser(lambda: call.finish(InvocationResult(outcome="cancelled")))


def is_raw_response(response: Any) -> bool:
    """Whether `response` is what `with_raw_response` or `with_streaming_response` gives."""
    return hasattr(response, "http_response") and callable(getattr(response, "parse", None))


def observe_raw_response(response: Any, call: Call, settle: Settle) -> None:
    """Have `response` end `call` when it is parsed, closed or dropped."""
    vars(response)["parse"] = _ParseWatcher(response, call, settle).parse
