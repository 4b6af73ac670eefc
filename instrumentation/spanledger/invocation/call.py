"""One observed call, from the started span to its single end.

Rules
- The span starts with every attribute known at the start, in a context that carries the hand-over; the context that
  the call itself runs in carries the span, and no hand-over.
- A call ends exactly once, whoever comes first: the return value, an exception, the end or the close of a
  stream, or the garbage collector. Later ends are ignored.
- `Invocation.result` is set before the span ends. Failures of our own are logged once and the span still ends.
"""

from __future__ import annotations

import asyncio
import os
from copy import deepcopy
from time import perf_counter
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation import (
    _SPAN_KEY,  # pyright: ignore[reportPrivateUsage]  # what `set_span_in_context` writes, with one copy less
)

from spanledger.invocation.content import content_attributes, content_values
from spanledger.invocation.faults import report_once
from spanledger.invocation.span_attributes import request_attributes, result_attributes, set_attributes
from spanledger.invocation.telemetry import Telemetry
from spanledger_semconv.invocation import CONTEXT_KEY, Invocation, InvocationRequest, InvocationResult, Outcome

EXCHANGE_KEY = "spanledger-exchange"
"""Key in the OpenTelemetry context of a running call under which its `Exchange` is found."""

_LONGEST_MESSAGE = 4096
_CALLER_GAVE_UP = (GeneratorExit, KeyboardInterrupt, asyncio.CancelledError)


class Call:
    """A started span with its hand-over; `finish` or `fail` ends both."""

    __slots__ = (
        "_open",
        "_process",
        "_telemetry",
        "chunk_interval_s",
        "context",
        "first_chunk_s",
        "invocation",
        "span",
        "started_s",
    )

    def __init__(self, telemetry: Telemetry, invocation: Invocation, span: Span, context: Context) -> None:
        self._telemetry = telemetry
        self._open = [True]  # `pop` is atomic: of two threads that end the call, one gets the item
        self._process = _process
        self.invocation = invocation
        self.span = span
        self.context = context
        self.started_s = perf_counter()
        self.first_chunk_s: float | None = None
        self.chunk_interval_s: float | None = None

    @property
    def request(self) -> InvocationRequest:
        """What the call was started with."""
        return self.invocation.request

    @property
    def is_open(self) -> bool:
        """Whether the call has not ended yet, and was started by this process (a forked child does not own it)."""
        return bool(self._open) and self._process == _process

    def finish(self, result: InvocationResult) -> None:
        """End the call with `result`; does nothing when it has ended."""
        try:
            self._open.pop()
        except IndexError:
            return
        duration_s = perf_counter() - self.started_s
        self.invocation.result = result
        try:
            self._record(result, duration_s)
        except Exception as error:
            report_once("record a finished call", error)
        try:
            self.span.end()
        except Exception as error:
            report_once("end a span", error)

    def fail(self, error: BaseException, partial: InvocationResult | None = None) -> None:
        """End the call with the exception that the library raised; `partial` is what had arrived until then."""
        if self._open:
            self.finish(failed(error, partial))

    def _record(self, result: InvocationResult, duration_s: float) -> None:
        telemetry = self._telemetry
        request = self.invocation.request
        span = self.span
        is_recording = span.is_recording()
        wants_content = telemetry.wants_content or (is_recording and telemetry.settings.content_on_span)
        content: dict[str, Any] = content_values(request, result) if wants_content else {}
        if telemetry.has_hook:
            content = deepcopy(content)  # a hook may change what is emitted; the hand-over stays what was said
        attributes = result_attributes(result)
        event = None
        if telemetry.has_listener:
            event = telemetry.completed(request, span, self.context, attributes=attributes, content=content)
        if is_recording:
            if content and telemetry.settings.content_on_span and request.operation != "embeddings":
                attributes.update(content_attributes(content))  # embeddings have no such attributes
            set_attributes(span, attributes)
            if result.error_type is not None:
                span.set_status(Status(StatusCode.ERROR, result.error_message))
        telemetry.metrics.note(request, result, duration_s, self.chunk_interval_s, span.get_span_context())
        if event is not None:
            telemetry.emit(event)


def start_call(telemetry: Telemetry, request: InvocationRequest, *, exchange: object, parent: Context) -> Call:
    """Start the span of a call, named `{operation} {model}`; `parent` is the current context.

    `exchange` is found under `EXCHANGE_KEY` in the context that the call runs in.
    Raises `CallRefusedError` where the ledger cannot be written and its owner wants such calls refused.
    """
    invocation = Invocation(request)
    span = telemetry.tracer.start_span(
        f"{request.operation} {request.model}" if request.model else request.operation,
        Context({**parent, CONTEXT_KEY: invocation}),
        SpanKind.CLIENT,
        request_attributes(request),
    )
    context = Context({**parent, **telemetry.markers, EXCHANGE_KEY: exchange, _SPAN_KEY: span})
    return Call(telemetry, invocation, span, context)


def failed(
    error: BaseException, partial: InvocationResult | None = None, *, by_caller: bool = False
) -> InvocationResult:
    """Give the result of a call that ended with `error`.

    The outcome is `cancelled` when the caller gave up or, `by_caller`, when its own code raised while it was reading.
    """
    outcome: Outcome = "cancelled" if by_caller or isinstance(error, _CALLER_GAVE_UP) else "error"
    base = partial if partial is not None else _NOTHING
    return InvocationResult(
        outcome=outcome,
        response_id=base.response_id,
        model=base.model,
        finish_reasons=base.finish_reasons,
        usage=base.usage,
        output_messages=base.output_messages,
        time_to_first_chunk_s=base.time_to_first_chunk_s,
        error_type=error_type_of(error),
        error_message=str(error)[:_LONGEST_MESSAGE],
        attributes=base.attributes,
        system_instructions=base.system_instructions,
    )


def error_type_of(error: BaseException) -> str:
    """Give the qualified class name of `error`; builtins without their module."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


_NOTHING = InvocationResult(outcome="error")
_process = os.getpid()  # asked once: as a system call, twice per call, it would cost a microsecond each


def _after_fork_in_child() -> None:
    global _process  # noqa: PLW0603  # there is one process id per process
    _process = os.getpid()


os.register_at_fork(after_in_child=_after_fork_in_child)
