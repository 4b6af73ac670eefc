"""What people and rules do, recorded over HTTP by a tool in any language: `POST /v1/events`.

    {"type": "human_review", "subject": "TRACE:SPAN", "case": "ALERT-7", "reviewer": "m.keller", "role": "compliance",
     "author": "triage-agent", "action": "edit", "draft": "Close it.", "final": "Keep it.", "reasoning": "…",
     "seconds_spent": 94.5}

Rules
- `type` is `human_review`, `decision`, `escalation` or `external_action`; the other members have the names and meanings
  of the public API's arguments (instrumentation/API.md), plus `case`, `session`, `actor`, `tenant` and `service`.
- An unknown member or a wrong type is refused with the member's name: a misspelt one would be lost in silence.
- The event becomes a span of its subject's trace, and takes the way of every received span. The answer says its id.
- A request may bring its own `event_id` (`TRACE:SPAN`, lower-case hex): sent again, it is recorded once, and the answer
  says that it was not `recorded` this time. What came first under an id stands, whatever else is sent under it.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from spanledger_exporter.errors import DataError, UsageError
from spanledger_exporter.read.judging import Decision, make_review
from spanledger_semconv import attributes as keys
from spanledger_semconv.events import span_event_id

SCOPE: Final = "spanledger.http"

_EVENT_ID: Final = re.compile(r"(?P<trace>[0-9a-f]{32}):(?P<span>[0-9a-f]{16})")
_CONTEXT: Final[Mapping[str, str]] = {
    "case": keys.SPANLEDGER_CASE_ID,
    "session": keys.SPANLEDGER_SESSION_ID,
    "actor": keys.SPANLEDGER_ACTOR_ID,
    "actor_type": keys.SPANLEDGER_ACTOR_TYPE,
    "actor_role": keys.SPANLEDGER_ACTOR_ROLE,
    "tenant": keys.SPANLEDGER_TENANT,
}
_ESCALATION: Final[Mapping[str, str]] = {
    "to": keys.SPANLEDGER_ESCALATION_TO,
    "reason": keys.SPANLEDGER_ESCALATION_REASON,
    "severity": keys.SPANLEDGER_ESCALATION_SEVERITY,
    "due": keys.SPANLEDGER_ESCALATION_DUE,
}
_ACTION: Final[Mapping[str, str]] = {
    "name": keys.SPANLEDGER_ACTION_NAME,
    "target": keys.SPANLEDGER_ACTION_TARGET,
    "idempotency_key": keys.SPANLEDGER_ACTION_IDEMPOTENCY_KEY,
    "status": keys.SPANLEDGER_ACTION_STATUS,
    "reference": keys.SPANLEDGER_ACTION_REFERENCE,
    "is_reversible": keys.SPANLEDGER_ACTION_IS_REVERSIBLE,
}
_COMMON: Final = frozenset({"type", "subject", "service", "event_id", *_CONTEXT})
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "branches_skipped": list,
    "seen": list,
    "shown": list,
    "is_default": bool,
    "is_reversible": bool,
    "confidence": (int, float),
    "seconds_spent": (int, float),
    "draft": object,
    "final": object,
    "details": object,
}
"""Members that are no texts. A number is never true or false, and a list holds texts, but for what was shown."""

_OF_ANY_TYPE: Final = {("external_action", "result")}
"""A member whose type depends on the type of event: what an action gave may be any value, a decision's is a text."""

Messages = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Described:
    """What one kind of event says: a span's name, attributes, content."""

    name: str
    attributes: Mapping[str, Any]
    inputs: Messages
    outputs: Messages


def parse_event(body: bytes, *, clock: Callable[[], int] = time.time_ns) -> ReadableSpan:
    """Return the span that one JSON request describes. Raises DataError with the member that is wrong."""
    document = _document(body)
    kind = document.get("type")
    describe = _DESCRIBE.get(str(kind))
    if describe is None:
        raise DataError(f"expected type to be one of {', '.join(_DESCRIBE)}, got {kind!r}")
    own = {key: value for key, value in document.items() if key not in _COMMON}
    try:
        described = describe(own, document)
    except UsageError as error:
        raise DataError(str(error)) from error
    except TypeError as error:  # a member that this type of event has no use for, or one that it needs
        raise DataError(f"expected the members of {kind}, got another set: {_said(error)}") from error
    return _span(document, described, end_ns=clock())


def event_id_of(span: ReadableSpan) -> str:
    """Return the id that the span's row has."""
    context = span.get_span_context()
    assert context is not None  # noqa: S101 - made above
    return span_event_id(context.trace_id, context.span_id)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise DataError(f"expected a JSON object, got: {error}") from error
    if not isinstance(document, dict):
        raise DataError(f"expected a JSON object, got {type(document).__name__}")
    document = {name: value for name, value in document.items() if value is not None}
    for name, value in document.items():
        wanted = object if (str(document.get("type")), name) in _OF_ANY_TYPE else _TYPES.get(name, str)
        if not _is_of_type(name, value, wanted):
            raise DataError(f"expected {name} to be {_type_name(name, wanted)}, got {value!r}")
    return document


def _is_of_type(name: str, value: Any, wanted: type | tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return wanted in (bool, object)
    if wanted is list and name != "shown":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, wanted)


def _type_name(name: str, wanted: type | tuple[type, ...]) -> str:
    if isinstance(wanted, tuple):
        return "a number"
    return {str: "a text", bool: "true or false", list: "a list" if name == "shown" else "a list of texts"}[wanted]


def _said(error: TypeError) -> str:
    """Return Python's own sentence about the arguments, without the name of our function."""
    said = str(error).partition("() ")[2] or str(error)
    return re.sub("(keyword|positional) argument", "member", said)


def _review(own: dict[str, Any], document: Mapping[str, Any]) -> _Described:
    seen = own.pop("seen", [])
    subject = document.get("subject")
    review = make_review(**own, subject=subject, seen_event_ids=seen or ([subject] if subject else []))
    return _Described(f"review {review.action}", review.attributes(), review.input_messages(), review.output_messages())


def _decision(own: dict[str, Any], _document: Mapping[str, Any]) -> _Described:
    decision = Decision(**own)
    why = [{"type": "rationale", "content": decision.rationale}] if decision.rationale else []
    attributes = {**decision.attributes(), keys.SPANLEDGER_EVENT_TYPE: "decision"}
    return _Described(f"decision {decision.name}", attributes, [], _message("decision", *why))


def _escalation(own: dict[str, Any], _document: Mapping[str, Any]) -> _Described:
    _expect_moment("due", own.get("due"))
    attributes = {
        keys.SPANLEDGER_EVENT_TYPE: "escalation",
        keys.SPANLEDGER_EVENT_OUTCOME: "escalated",
        **_named(own, _ESCALATION, needed="to"),
    }
    return _Described(f"escalation {own['to']}", attributes, [], [])


def _expect_moment(name: str, text: str | None) -> None:
    """Raise UsageError for what no clock can be compared with: an escalation due `tomorrow` would never be overdue."""
    if not text:
        return
    try:
        aware = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        aware = False
    if not aware:
        raise UsageError(f"expected {name} as a time with its zone, such as 2026-11-22T12:00:00Z, got {text!r}")


def _action(own: dict[str, Any], _document: Mapping[str, Any]) -> _Described:
    details, result = own.pop("details", None), own.pop("result", None)
    attributes = {keys.SPANLEDGER_EVENT_TYPE: "external_action", **_named(own, _ACTION, needed="name")}
    if "idempotency_key" in own:
        attributes[keys.SPANLEDGER_IDEMPOTENCY_KEY] = own["idempotency_key"]
    return _Described(
        f"external_action {own['name']}",
        attributes,
        [] if details is None else _message("action", {"type": "arguments", "content": details}),
        [] if result is None else _message("action", {"type": "result", "content": result}),
    )


_DESCRIBE: Final[Mapping[str, Callable[[dict[str, Any], Mapping[str, Any]], _Described]]] = {
    "human_review": _review,
    "decision": _decision,
    "escalation": _escalation,
    "external_action": _action,
}


def _named(own: Mapping[str, Any], names: Mapping[str, str], *, needed: str) -> dict[str, Any]:
    unknown = [name for name in own if name not in names]
    if unknown or needed not in own:
        problem = f"got an unexpected member {unknown[0]!r}" if unknown else f"missing {needed!r}"
        raise UsageError(f"expected {', '.join(names)}: {problem}")
    return {names[name]: value for name, value in own.items()}


def _message(role: str, *parts: Mapping[str, Any]) -> Messages:
    return [{"role": role, "parts": [dict(part) for part in parts]}] if parts else []


def _span(document: Mapping[str, Any], described: _Described, *, end_ns: int) -> ReadableSpan:
    context = {key: document[name] for name, key in _CONTEXT.items() if name in document}
    attributes = {**described.attributes, **context}
    if "subject" in document:
        attributes[keys.SPANLEDGER_PARENT_EVENT_ID] = document["subject"]
    for key, messages in (
        (keys.GEN_AI_INPUT_MESSAGES, described.inputs),
        (keys.GEN_AI_OUTPUT_MESSAGES, described.outputs),
    ):
        if messages:
            attributes[key] = json.dumps(messages)
    spent_ns = int(min(float(document.get("seconds_spent", 0)) * 1e9, end_ns))
    return ReadableSpan(
        name=described.name,
        context=_context(document),
        resource=Resource({keys.SERVICE_NAME: document.get("service", "unknown_service")}),
        attributes=attributes,
        start_time=end_ns - max(0, spent_ns),
        end_time=end_ns,
        instrumentation_scope=InstrumentationScope(SCOPE),
    )


def _context(document: Mapping[str, Any]) -> SpanContext:
    """Return the ids: the request's own, else a new span in the subject's trace."""
    stated = document.get("event_id")
    own = _EVENT_ID.fullmatch(stated) if stated else None
    if stated and own is None:
        raise DataError(f"expected event_id as 32 hex digits, a colon, 16 hex digits, got {stated!r}")
    if own is not None:
        trace, span = int(own["trace"], 16), int(own["span"], 16)
    else:
        subject = _EVENT_ID.match(document.get("subject", ""))
        trace = int(subject["trace"], 16) if subject else secrets.randbits(128)
        span = secrets.randbits(64)
    return SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
