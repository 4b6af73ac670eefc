"""OTLP 1.11 trace requests, protobuf or JSON, as the SDK's own `ReadableSpan` records. Pure.

Rules
- Both encodings are brought into one plain form (the JSON mapping's names, ids as raw bytes) and read by one function.
- JSON ids are hex (not base64, as protobuf's own JSON mapping would have it); 64-bit integers may be strings.
- A span that cannot be read is not a reason to refuse its neighbours: it becomes a `Malformed` and a `raw` row.
- A request that cannot be read at all raises DataError: the sender must hear it.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from spanledger_exporter.errors import DataError

MAX_DEPTH = 64
"""Nesting of attribute values past this is malformed: nobody means it, and recursion must end."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A span that could not be read: its own bytes, what they are, and why it was not read."""

    raw: bytes
    encoding: Literal["otlp-protobuf", "otlp-json"]
    reason: str


Received = ReadableSpan | Malformed


def parse_protobuf(body: bytes) -> list[Received]:
    """Read an `ExportTraceServiceRequest` in protobuf. Raises DataError when it is none."""
    try:
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise DataError(f"expected an ExportTraceServiceRequest in protobuf, got: {error}") from error
    return read_request(request)


def read_request(request: trace_service_pb2.ExportTraceServiceRequest) -> list[Received]:
    """Read an already decoded request (gRPC)."""
    return list(_spans_of_message(request))


def parse_json(body: bytes) -> list[Received]:
    """Read an `ExportTraceServiceRequest` in OTLP's JSON form. Raises DataError when it is none."""
    try:
        request = orjson.loads(body)
        return list(_spans_of_document(request))
    except orjson.JSONDecodeError as error:
        raise DataError(f"expected an ExportTraceServiceRequest in JSON, got: {error}") from error
    except (AttributeError, TypeError, ValueError, KeyError, RecursionError) as error:
        raise DataError(f"expected resourceSpans/scopeSpans/spans lists in the JSON, got: {error}") from error


def _spans_of_message(request: trace_service_pb2.ExportTraceServiceRequest) -> Iterator[Received]:
    for resource_spans in request.resource_spans:
        resource = Resource(_attributes(resource_spans.resource.attributes), resource_spans.schema_url or None)
        for scope_spans in resource_spans.scope_spans:
            scope = InstrumentationScope(
                scope_spans.scope.name, scope_spans.scope.version or None, scope_spans.schema_url or None
            )
            for span in scope_spans.spans:
                try:
                    yield _span(_plain(span), resource, scope)
                except (TypeError, ValueError, KeyError, RecursionError) as error:
                    yield Malformed(span.SerializeToString(), "otlp-protobuf", str(error))


def _plain(span: Any) -> dict[str, Any]:
    """Bring a protobuf span into the plain form that JSON spans already have."""
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_span_id,
        "flags": span.flags,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start_time_unix_nano,
        "endTimeUnixNano": span.end_time_unix_nano,
        "attributes": _attributes(span.attributes),
        "droppedAttributesCount": span.dropped_attributes_count,
        "events": [
            {"name": e.name, "timeUnixNano": e.time_unix_nano, "attributes": _attributes(e.attributes)}
            for e in span.events
        ],
        "links": [
            {"traceId": k.trace_id, "spanId": k.span_id, "flags": k.flags, "attributes": _attributes(k.attributes)}
            for k in span.links
        ],
        "status": {"code": span.status.code, "message": span.status.message},
    }


def _attributes(pairs: Sequence[common_pb2.KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: common_pb2.AnyValue, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"expected at most {MAX_DEPTH} levels in an attribute value, got more")
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item, depth + 1) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value, depth + 1) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def _spans_of_document(request: Mapping[str, Any]) -> Iterator[Received]:
    for resource_spans in request.get("resourceSpans") or ():
        described = resource_spans.get("resource") or {}
        resource = Resource(_json_attributes(described.get("attributes")), resource_spans.get("schemaUrl") or None)
        for scope_spans in resource_spans.get("scopeSpans") or ():
            named = scope_spans.get("scope") or {}
            scope = InstrumentationScope(
                _text(named.get("name") or "", "a scope's name"),
                _text(named.get("version") or "", "a scope's version") or None,
                scope_spans.get("schemaUrl") or None,
            )
            for span in scope_spans.get("spans") or ():
                try:
                    yield _span(_json_plain(span), resource, scope)
                except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
                    yield Malformed(orjson.dumps(span), "otlp-json", str(error))


def _json_plain(span: Mapping[str, Any]) -> dict[str, Any]:
    plain = dict(span)
    for key in ("traceId", "spanId", "parentSpanId"):
        plain[key] = _hex(span.get(key))
    plain["attributes"] = _json_attributes(span.get("attributes"))
    plain["events"] = [{**e, "attributes": _json_attributes(e.get("attributes"))} for e in span.get("events") or ()]
    plain["links"] = [
        {
            **link,
            "traceId": _hex(link.get("traceId")),
            "spanId": _hex(link.get("spanId")),
            "attributes": _json_attributes(link.get("attributes")),
        }
        for link in span.get("links") or ()
    ]
    return plain


def _hex(text: str | None) -> bytes:
    try:
        return binascii.unhexlify(text or "")
    except binascii.Error as error:
        raise ValueError(f"expected an id in hex, got {text!r}") from error


def _json_attributes(pairs: Sequence[Mapping[str, Any]] | None, depth: int = 0) -> dict[str, Any]:
    return {_text(pair["key"], "an attribute's key"): _json_value(pair.get("value"), depth) for pair in pairs or ()}


def _json_value(value: Mapping[str, Any] | None, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"expected at most {MAX_DEPTH} levels in an attribute value, got more")
    if not value:
        return None
    kind, inner = next(iter(value.items()))
    if len(value) > 1 or kind not in _KINDS_OF_VALUE:
        raise ValueError(f"expected one value of a kind that OTLP knows, got {', '.join(value)}")
    if kind == "arrayValue":
        return [_json_value(item, depth + 1) for item in (inner or {}).get("values") or ()]
    if kind == "kvlistValue":
        return _json_attributes((inner or {}).get("values"), depth + 1)
    return None if inner is None else _SCALARS[kind](inner)


def _text(value: object, what: str = "stringValue") -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected {what} to be a text, got {type(value).__name__}")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected boolValue to be true or false, got {type(value).__name__}")
    return value


def _integer(value: object) -> int:
    """Return a 64-bit integer, which JSON may have as a text; a fraction is not cut off."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or (isinstance(value, float) and value % 1):
        raise ValueError(f"expected an integer or its digits, got {value!r}")
    number = int(value)
    if not -(2**63) <= number < 2**64:
        raise ValueError(f"expected an integer of 64 bits, got {number}")
    return number


def _float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(f"expected doubleValue to be a number, got {type(value).__name__}")
    return float(value)  # "NaN" and "Infinity" come as texts


_SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "stringValue": _text,
    "boolValue": _flag,
    "intValue": _integer,
    "doubleValue": _float,
    "bytesValue": lambda value: b64decode(_text(value, "bytesValue"), validate=True),
}
_KINDS_OF_VALUE = {"arrayValue", "kvlistValue", *_SCALARS}


def _span(plain: Mapping[str, Any], resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    context = _context(plain)
    start = _time_ns(plain, "startTimeUnixNano")
    span = ReadableSpan(
        name=_text(plain.get("name") or "", "name"),
        context=context,
        parent=_parent(plain, context),
        resource=resource,
        attributes=plain["attributes"],
        events=[
            Event(_text(e.get("name") or "", "an event's name"), e["attributes"], _time_ns(e, "timeUnixNano"))
            for e in plain["events"]
        ],
        links=[Link(_context(link), link["attributes"]) for link in plain["links"]],
        kind=_kind(plain.get("kind")),
        status=_status(plain.get("status") or {}),
        start_time=start,
        end_time=_time_ns(plain, "endTimeUnixNano") or start,
        instrumentation_scope=scope,
    )
    dropped = _integer(plain.get("droppedAttributesCount") or 0)
    if dropped:
        # What the sender dropped before we saw it; the normaliser reports it as `capture.dropped`.
        span._attributes = {**plain["attributes"], "otel.dropped_attributes_count": dropped}  # noqa: SLF001
    return span


def _time_ns(plain: Mapping[str, Any], name: str) -> int:
    time_ns = _integer(plain.get(name) or 0)
    if not 0 <= time_ns < 2**63:
        raise ValueError(f"expected {name} from 1970 to 2262, as far as the store's times go, got {time_ns}")
    return time_ns


def _context(plain: Mapping[str, Any]) -> SpanContext:
    trace_id, span_id = plain["traceId"], plain["spanId"]
    if len(trace_id) != 16 or len(span_id) != 8 or not any(trace_id) or not any(span_id):
        raise ValueError(
            "expected a trace id of 16 and a span id of 8 bytes, not all zero, "
            f"got {trace_id.hex()!r}, {span_id.hex()!r}"
        )
    # OTLP says nothing of sampling where `flags` is 0: what arrives here was exported, so it was sampled.
    flags = _integer(plain.get("flags") or 0) & 0xFF
    return SpanContext(
        int.from_bytes(trace_id), int.from_bytes(span_id), is_remote=True, trace_flags=TraceFlags(flags or 1)
    )


def _parent(plain: Mapping[str, Any], context: SpanContext) -> SpanContext | None:
    parent = plain.get("parentSpanId") or b""
    if not any(parent):
        return None
    if len(parent) != 8:
        raise ValueError(f"expected a parent span id of 8 bytes, got {parent.hex()!r}")
    return SpanContext(context.trace_id, int.from_bytes(parent), is_remote=True)


_KINDS = {
    1: SpanKind.INTERNAL,
    2: SpanKind.SERVER,
    3: SpanKind.CLIENT,
    4: SpanKind.PRODUCER,
    5: SpanKind.CONSUMER,
}


def _kind(kind: object) -> SpanKind:
    if isinstance(kind, str):
        return SpanKind.__members__.get(kind.removeprefix("SPAN_KIND_"), SpanKind.INTERNAL)
    return _KINDS.get(kind, SpanKind.INTERNAL) if isinstance(kind, int) else SpanKind.INTERNAL


def _status(status: Mapping[str, Any]) -> Status:
    code = status.get("code") or 0
    if isinstance(code, str):
        code = {"STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}.get(code, 0)
    message = _text(status.get("message") or "", "status.message") or None
    # The SDK keeps a description only beside an error; elsewhere OTLP gives it no meaning.
    return Status(StatusCode(code), message if code == StatusCode.ERROR.value else None)
