"""From a span of the SDK to the neutral records: what was handed over, else what a dialect reads from it."""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from spanledger_exporter.normalise.dialects import Reading, SpanEvent, SpanFacts, read_span
from spanledger_exporter.normalise.span_state import attributes_of, events_of
from spanledger_semconv import attributes as keys
from spanledger_semconv.invocation import Invocation, InvocationRequest, InvocationResult, Outcome

OWN_DIALECT: Final = "spanledger"
NO_DIALECT: Final = "none"

_UNFINISHED: Final = InvocationResult(outcome="incomplete")
_STATUS: Final[dict[StatusCode, Any]] = {StatusCode.OK: "ok", StatusCode.ERROR: "error", StatusCode.UNSET: "unset"}
_HANDED_OVER: Final = frozenset(
    {
        keys.GEN_AI_SYSTEM_INSTRUCTIONS,
        keys.GEN_AI_INPUT_MESSAGES,
        keys.GEN_AI_OUTPUT_MESSAGES,
        keys.GEN_AI_TOOL_DEFINITIONS,
        *(value for name, value in vars(keys).items() if name.startswith("GEN_AI_USAGE_")),
    }
)
"""Attributes that repeat what the hand-over holds: usage always, content when the user wants it on spans."""

_is_handed_over: Final = _HANDED_OVER.__contains__

_as_tuple: Any = tuple.__new__  # twice per call: half the time of the class's own constructor


def read(span: ReadableSpan) -> Reading:
    """Return what the attributes and events of `span` say; never None, whatever the span is about."""
    attributes = span.attributes or {}
    facts = SpanFacts(
        name=span.name,
        attributes=attributes,
        scope=span.instrumentation_scope.name if span.instrumentation_scope else "",
        events=_events(span),
        status=_STATUS[span.status.status_code],
        status_message=span.status.description,
    )
    return read_span(facts) or _read_plain(facts)


def read_invocation(span: ReadableSpan, invocation: Invocation) -> Reading:
    """Return what was handed over beside `span`, with what else stands on it."""
    # The records come first: span limits may have dropped or cut what stands on the span.
    request, result = invocation.request, invocation.result
    attributes = attributes_of(span)
    attributes.update(request.attributes)
    events: tuple[SpanEvent, ...] = ()
    if result is None:  # it has just started: nothing has happened in it yet
        result = _UNFINISHED
    else:
        events = _events(span)
        attributes.update(result.attributes)
        if result.response_id is not None:
            attributes[keys.GEN_AI_RESPONSE_ID] = result.response_id
    for key in [*filter(_is_handed_over, attributes)]:
        del attributes[key]
    reading: Reading = _as_tuple(Reading, (OWN_DIALECT, request, result, attributes, events))
    return reading


def _read_plain(facts: SpanFacts) -> Reading:
    outcome: Outcome = "error" if facts.status == "error" else "success"
    result = InvocationResult(outcome=outcome, error_message=facts.status_message)
    return Reading(NO_DIALECT, InvocationRequest(operation=""), result, facts.attributes, facts.events)


def _events(span: ReadableSpan) -> tuple[SpanEvent, ...]:
    events = events_of(span)
    return tuple(SpanEvent(event.name, event.attributes or {}, event.timestamp) for event in events) if events else ()
