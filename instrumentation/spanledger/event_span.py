"""One span of our own with its hand-over: what tools, retrievals, decisions, actions and reviews are made of.

Rules
- The span starts in a context with the hand-over and ends exactly once; what happens inside runs in its own context,
  without the hand-over.
- Content goes into the hand-over. It goes onto the span only where
  `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says so.
- The business context in force goes onto the span as attributes too, so that other services' collectors see it; the
  served person's id does not.
- Nothing of ours is raised, except `CallRefusedError` before anything happened.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from opentelemetry import baggage
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, get_tracer, set_span_in_context

from spanledger.invocation.call import failed
from spanledger.invocation.content import content_attributes, content_values
from spanledger.invocation.faults import report_once
from spanledger.invocation.settings import read_settings
from spanledger_semconv import attributes as keys
from spanledger_semconv.context import read_business_context
from spanledger_semconv.events import span_event_id
from spanledger_semconv.invocation import CONTEXT_KEY, Invocation, InvocationRequest, InvocationResult, Outcome

SCOPE = "spanledger.api"

_NOT_ON_SPANS = frozenset({keys.SPANLEDGER_USER_ID, keys.SPANLEDGER_PROMPT_TEMPLATE})


class EventSpan:
    """A started span; `event_id` is the id that its row will have."""

    def __init__(
        self,
        name: str,
        attributes: Mapping[str, Any],
        *,
        operation: str = "",
        kind: SpanKind = SpanKind.INTERNAL,
        inputs: Sequence[Mapping[str, Any]] = (),
        instructions: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        parent = get_current()
        values = {**_business(parent), **{key: value for key, value in attributes.items() if value is not None}}
        if operation:
            values[keys.GEN_AI_OPERATION_NAME] = operation
        request = InvocationRequest(
            operation=operation, attributes=values, input_messages=inputs, system_instructions=instructions
        )
        self.invocation = Invocation(request)
        self.span: Span = _tracer().start_span(name, Context({**parent, CONTEXT_KEY: self.invocation}), kind, values)
        if self.invocation.is_taken:
            len(inputs)  # a deferred snapshot is made now, also where no intent row has read it yet
        self._context = set_span_in_context(self.span, parent)
        self._is_open = True

    @property
    def event_id(self) -> str:
        """`trace_id:span_id` in lower-case hex; what another event names this one by."""
        context = self.span.get_span_context()
        return span_event_id(context.trace_id, context.span_id)

    @contextmanager
    def current(self) -> Generator[None]:
        """Make the span the current one for the length of a `with`."""
        token = attach(self._context)
        try:
            yield
        finally:
            detach(token)

    def end(
        self,
        outputs: Sequence[Mapping[str, Any]] = (),
        *,
        attributes: Mapping[str, Any] | None = None,
        outcome: Outcome = "success",
    ) -> None:
        """End the span with what came of it."""
        values = {key: value for key, value in (attributes or {}).items() if value is not None}
        self._finish(InvocationResult(outcome=outcome, output_messages=outputs, attributes=values))

    def fail(self, error: BaseException, *, attributes: Mapping[str, Any] | None = None) -> None:
        """End the span with the exception that the application's code raised: `cancelled` when the caller gave up."""
        values = {key: value for key, value in (attributes or {}).items() if value is not None}
        partial = InvocationResult(outcome="error", attributes=values)
        self._finish(failed(error, partial))

    def _finish(self, result: InvocationResult) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self.invocation.result = result
        try:
            self._describe(result)
        except Exception as error:  # a value of the application's that OpenTelemetry refuses
            report_once("describe an event", error)
        self.span.end()

    def _describe(self, result: InvocationResult) -> None:
        if not self.span.is_recording():
            return
        self.span.set_attributes(dict(result.attributes))
        self.span.set_attribute(keys.SPANLEDGER_EVENT_OUTCOME, result.outcome)
        if result.error_type is not None:
            self.span.set_attribute(keys.ERROR_TYPE, result.error_type)
            self.span.set_status(Status(StatusCode.ERROR, result.error_message))
        if read_settings().content_on_span:
            self.span.set_attributes(content_attributes(content_values(self.invocation.request, result)))


@cache
def _tracer() -> Tracer:
    return get_tracer(SCOPE)  # a proxy until the application configures OpenTelemetry


def _business(context: Context) -> dict[str, Any]:
    values = read_business_context(context, baggage.get_all(context))
    return {key: value for key, value in values.items() if key not in _NOT_ON_SPANS}


def json_value(value: Any) -> Any:
    """Return a snapshot of `value` as plain JSON data; what JSON cannot hold becomes its text."""
    try:
        return json.loads(json.dumps(value, default=_plain, ensure_ascii=False))
    except Exception:  # keys that are no text, a cycle, an object whose own code raises anything
        return _text_of(value)


def _plain(value: Any) -> Any:
    for dump in ("model_dump", "to_dict", "_asdict"):
        method = getattr(value, dump, None)
        if callable(method):
            return method()
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    return str(value)


def _text_of(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # what is left is its type
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
