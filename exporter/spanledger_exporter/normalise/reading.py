"""From a span of the SDK to the neutral records: what was handed over, else what a dialect reads from it."""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from spanledger_exporter.normalise.dialects import Reading, SpanEvent, SpanFacts, read_span
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
    }
)
"""Attributes that repeat what the hand-over holds, when the user wants content on spans."""


def read(span: ReadableSpan, invocation: Invocation | None) -> Reading:
    """Return what is known of the call that `span` describes; never None, whatever the span is about."""
    if invocation is not None:
        return _read_invocation(span, invocation)
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


def _read_invocation(span: ReadableSpan, invocation: Invocation) -> Reading:
    request, result = invocation.request, invocation.result or _UNFINISHED
    # The records come first: span limits may have dropped or cut what stands on the span.
    attributes = {**(span.attributes or {}), **request.attributes, **result.attributes}
    if result.response_id is not None:
        attributes[keys.GEN_AI_RESPONSE_ID] = result.response_id
    for key in _HANDED_OVER & attributes.keys():
        del attributes[key]
    for key in [key for key in attributes if key.startswith("gen_ai.usage.")]:
        del attributes[key]
    return Reading(OWN_DIALECT, request, result, attributes, _events(span))


def _read_plain(facts: SpanFacts) -> Reading:
    outcome: Outcome = "error" if facts.status == "error" else "success"
    result = InvocationResult(outcome=outcome, error_message=facts.status_message)
    return Reading(NO_DIALECT, InvocationRequest(operation=""), result, facts.attributes, facts.events)


def _events(span: ReadableSpan) -> tuple[SpanEvent, ...]:
    return tuple(SpanEvent(event.name, event.attributes or {}, event.timestamp) for event in span.events)
