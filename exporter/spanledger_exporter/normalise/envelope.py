"""From a span, and what was handed over beside it, to an envelope and its contents (ledger.md sections 3 to 5).

A span has up to two rows: the intent (`…:begin`, when it starts) and the completion. Both are built here, from the same
base; the completion repeats the intent's input references. Nothing here touches a disk, and the price list is only
asked for figures it has at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from opentelemetry.sdk.trace import ReadableSpan

from spanledger_exporter.ledger.content import Content, ContentClass
from spanledger_exporter.normalise.context import actor_of, context_of
from spanledger_exporter.normalise.dialects import Reading
from spanledger_exporter.normalise.parts import ContentPolicy, Item, Parts
from spanledger_exporter.normalise.remainder import ClearList, dropped_of, reference_remainder, sort_attributes
from spanledger_exporter.normalise.snapshot import snapshot_of
from spanledger_exporter.prompts.registry import PromptMatcher
from spanledger_semconv import attributes as keys
from spanledger_semconv import bodies, cost
from spanledger_semconv.events import event_type as event_type_of
from spanledger_semconv.invocation import InvocationRequest, InvocationResult, Usage

BEGIN_SUFFIX: Final = ":begin"

_BODY_OF_TYPE: Final[Mapping[str, str]] = {
    "decision": "decision",
    "human_review": "review",
    "external_action": "action",
    "escalation": "escalation",
    "artifact": "artifact",
}


@dataclass(frozen=True, slots=True)
class _ContentAttribute:
    """An attribute whose value is content: which list it goes to, as what."""

    key: str
    role: str
    kind: str
    content_class: ContentClass = "payload"


_INPUTS: Final = (
    _ContentAttribute(keys.SPANLEDGER_PROMPT_TEMPLATE, "system", "template", "artifact"),
    _ContentAttribute(keys.GEN_AI_TOOL_CALL_ARGUMENTS, "tool", "arguments"),
    _ContentAttribute(keys.GEN_AI_RETRIEVAL_QUERY_TEXT, "user", "query"),
    _ContentAttribute(keys.GEN_AI_MEMORY_QUERY_TEXT, "user", "query"),
)
_OUTPUTS: Final = (
    _ContentAttribute(keys.GEN_AI_TOOL_CALL_RESULT, "tool", "result"),
    _ContentAttribute(keys.GEN_AI_RETRIEVAL_DOCUMENTS, "tool", "document"),
    _ContentAttribute(keys.GEN_AI_MEMORY_RECORDS, "tool", "record"),
    _ContentAttribute(keys.GEN_AI_EVALUATION_EXPLANATION, "assistant", "explanation"),
    _ContentAttribute(keys.SPANLEDGER_DECISION_RATIONALE, "assistant", "rationale"),
)
_CONTENT_KEYS: Final = frozenset(attribute.key for attribute in (*_INPUTS, *_OUTPUTS)) | {
    keys.GEN_AI_SYSTEM_INSTRUCTIONS,
    keys.GEN_AI_INPUT_MESSAGES,
    keys.GEN_AI_OUTPUT_MESSAGES,
    keys.GEN_AI_TOOL_DEFINITIONS,
}
_TEXT_KINDS: Final = frozenset({"template", "query", "explanation", "rationale"})


@dataclass(frozen=True, slots=True)
class Prepared:
    """An envelope ready for the recorder, and the contents it refers to."""

    envelope: dict[str, Any]
    contents: Sequence[Content]


@dataclass(frozen=True, slots=True)
class Begun:
    """What the intent row was made of; the completion starts from it."""

    inputs: list[Item]
    contents: Sequence[Content]
    sanitized: bool


@dataclass(frozen=True, slots=True)
class Normaliser:
    """The rules of one process.

    `tokenise(user id, tenant)` gives the token that stands for a person; `prompts` finds out which registered prompt a
    request was made from.
    """

    policy: ContentPolicy
    tokenise: Callable[[str, str], str]
    tenant: str = "default"
    clear_list: ClearList = field(default_factory=ClearList)
    prompts: PromptMatcher | None = None

    def begin(
        self, span: ReadableSpan, reading: Reading, inherited: Mapping[str, Any], *, sampled: bool
    ) -> tuple[Prepared, Begun]:
        """Return the intent row's envelope, and what the completion will start from."""
        facts = self._facts(reading, inherited)
        parts = Parts(self.policy)
        inputs = _inputs(parts, reading.request, facts)
        envelope = self._base(span, reading, facts, model=None, sampled=sampled)
        envelope["event_id"] += BEGIN_SUFFIX
        clear, other = sort_attributes(self.clear_list, reading.attributes, _CONTENT_KEYS)
        remainder = reference_remainder(parts, span, other, reading.events)
        _fill(envelope, input=inputs, attributes=clear, attributes_ref=remainder, sanitized=parts.sanitized)
        return Prepared(envelope, parts.contents), Begun(inputs, parts.contents, parts.sanitized)

    def end(
        self,
        span: ReadableSpan,
        reading: Reading,
        inherited: Mapping[str, Any],
        *,
        sampled: bool,
        begun: Begun | None = None,
        tier: str = "captured",
    ) -> Prepared:
        """Return the completing row's envelope."""
        request, result = reading.request, reading.result
        facts = self._facts(reading, inherited)
        parts = Parts(self.policy)
        inputs = _inputs(parts, request, facts) if begun is None else begun.inputs
        outputs = _outputs(parts, result, facts)
        envelope = self._base(span, reading, facts, model=result.model, sampled=sampled, tier=tier)
        clear, other = sort_attributes(self.clear_list, reading.attributes, _CONTENT_KEYS)
        _fill(
            envelope,
            input=inputs,
            output=outputs,
            attributes=clear,
            attributes_ref=reference_remainder(parts, span, other, reading.events),
            error=_error(parts, reading, result),
            **_measured(span, request, result, facts),
        )
        envelope["outcome"] = result.outcome
        _fill(envelope, sanitized=parts.sanitized or (begun is not None and begun.sanitized))
        return Prepared(envelope, [*begun.contents, *parts.contents] if begun else parts.contents)

    def _facts(self, reading: Reading, inherited: Mapping[str, Any]) -> dict[str, Any]:
        """Return every attribute known: what matching by content says, then the context's, then the span's own."""
        facts = {**inherited, **reading.attributes}
        request = reading.request
        if self.prompts is None or keys.GEN_AI_PROMPT_NAME in facts or (request.prompt and request.prompt.name):
            return facts
        if event_type_of({keys.GEN_AI_OPERATION_NAME: request.operation, **facts}) != "model_call":
            return facts
        return {**self.prompts.attributes_of(request), **facts}

    def _base(
        self,
        span: ReadableSpan,
        reading: Reading,
        facts: Mapping[str, Any],
        *,
        model: str | None,
        sampled: bool,
        tier: str = "captured",
    ) -> dict[str, Any]:
        """Return what both rows of a span say."""
        request = reading.request
        event_type = event_type_of({keys.GEN_AI_OPERATION_NAME: request.operation, **facts})
        tenant = str(facts.get(keys.SPANLEDGER_TENANT) or self.tenant)
        envelope: dict[str, Any] = {
            **_identity(span),
            "event_type": event_type,
            "name": span.name,
            "tenant": tenant,
            "capture": _capture(span, reading, sampled=sampled, tier=tier),
        }
        _fill(
            envelope,
            operation=request.operation,
            environment=facts.get(keys.SPANLEDGER_ENVIRONMENT),
            service=service_of(span),
            actor=actor_of(facts),
            context=context_of(facts, tokenise=lambda user: self.tokenise(user, tenant)),
            snapshot=snapshot_of(request, facts, model=model),
            parent_event_id=facts.get(keys.SPANLEDGER_PARENT_EVENT_ID),
            attempt=facts.get(keys.SPANLEDGER_ATTEMPT),
            confidence=_first(facts, keys.SPANLEDGER_CONFIDENCE, keys.SPANLEDGER_DECISION_CONFIDENCE),
            idempotency_key=_first(facts, keys.SPANLEDGER_IDEMPOTENCY_KEY, keys.SPANLEDGER_ACTION_IDEMPOTENCY_KEY),
        )
        if field_name := _BODY_OF_TYPE.get(event_type):
            _fill(envelope, **{field_name: bodies.body(_without_content(facts), field_name)})
        return envelope


def _fill(envelope: dict[str, Any], **values: Any) -> None:
    """Set what is there: absent means absent, and `False` of a flag means absent too."""
    for key, value in values.items():
        if value is None or value is False or value in ("", [], {}):
            continue
        envelope[key] = value


def _first(facts: Mapping[str, Any], *names: str) -> Any:
    return next((facts[name] for name in names if facts.get(name) is not None), None)


def _without_content(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key not in _CONTENT_KEYS}


def event_id_of(span: ReadableSpan) -> str:
    """Return `trace_id:span_id` in lower-case hex."""
    context = span.get_span_context()
    return f"{context.trace_id:032x}:{context.span_id:016x}" if context else ""


def _identity(span: ReadableSpan) -> dict[str, Any]:
    event_id = event_id_of(span)
    trace_id, _, span_id = event_id.partition(":")
    time = {"start": str(span.start_time)}
    if span.end_time is not None:
        time["end"] = str(span.end_time)
    identity: dict[str, Any] = {"event_id": event_id, "trace_id": trace_id, "span_id": span_id, "time": time}
    if span.parent is not None and span.parent.span_id:
        identity["parent_span_id"] = f"{span.parent.span_id:016x}"
    return identity


def service_of(span: ReadableSpan) -> dict[str, Any] | None:
    """Return `{name, version, instance_id}` from the span's resource."""
    attributes = span.resource.attributes
    service = {
        "name": attributes.get(keys.SERVICE_NAME),
        "version": attributes.get(keys.SERVICE_VERSION),
        "instance_id": attributes.get(keys.SERVICE_INSTANCE_ID),
    }
    return {key: value for key, value in service.items() if value} or None


def _capture(span: ReadableSpan, reading: Reading, *, sampled: bool, tier: str) -> dict[str, Any]:
    scope = span.instrumentation_scope
    capture: dict[str, Any] = {"tier": tier, "dialect": reading.dialect, "sampled": sampled}
    _fill(
        capture,
        scope=scope.name if scope else None,
        version=scope.version if scope else None,
        dropped=dropped_of(span),
    )
    return capture


def _inputs(parts: Parts, request: InvocationRequest, facts: Mapping[str, Any]) -> list[Item]:
    if parts.policy.mode == "none":
        return []
    items: list[Item] = []
    for part in request.system_instructions:
        items += parts.part(part, role="system", content_class="artifact")
    items += parts.messages(request.input_messages)
    for definition in request.tool_definitions:
        items += parts.document(definition, "tool_definition", content_class="artifact", **_named(definition))
    return items + _content_attributes(parts, _INPUTS, facts)


def _named(definition: Any) -> dict[str, str]:
    name = definition.get("name") if isinstance(definition, Mapping) else None
    return {"name": name} if isinstance(name, str) else {}


def _outputs(parts: Parts, result: InvocationResult, facts: Mapping[str, Any]) -> list[Item]:
    return parts.messages(result.output_messages) + _content_attributes(parts, _OUTPUTS, facts)


def _content_attributes(parts: Parts, wanted: Sequence[_ContentAttribute], facts: Mapping[str, Any]) -> list[Item]:
    items: list[Item] = []
    for attribute in wanted:
        value = facts.get(attribute.key)
        if value is not None:
            items += _content_attribute(parts, attribute, value, facts)
    return items


def _content_attribute(parts: Parts, attribute: _ContentAttribute, value: Any, facts: Mapping[str, Any]) -> list[Item]:
    tool = facts.get(keys.GEN_AI_TOOL_NAME)
    named = {"name": tool} if attribute.role == "tool" and isinstance(tool, str) else {}
    if attribute.kind in _TEXT_KINDS and isinstance(value, str):
        return parts.text(value, attribute.kind, role=attribute.role, content_class=attribute.content_class)
    parsed = _parsed(value)
    if attribute.kind in {"document", "record"} and isinstance(parsed, (list, tuple)):
        return [item for one in parsed for item in parts.document(one, attribute.kind, role=attribute.role)]
    return parts.document(parsed, attribute.kind, role=attribute.role, content_class=attribute.content_class, **named)


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except ValueError:
        return value


def _error(parts: Parts, reading: Reading, result: InvocationResult) -> dict[str, Any] | None:
    kind = result.error_type or reading.attributes.get(keys.ERROR_TYPE)
    if kind is None and result.outcome != "error":
        return None
    error: dict[str, Any] = {"type": str(kind or "unknown")}
    if result.error_message and (items := parts.text(result.error_message, "error")):
        error["message_ref"] = items[0]["ref"]
    return error


def _measured(
    span: ReadableSpan, request: InvocationRequest, result: InvocationResult, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return usage, cost and times, as reported; what nobody reported is left out."""
    measured: dict[str, Any] = {"finish_reasons": list(result.finish_reasons)}
    if span.start_time is not None and span.end_time is not None:
        measured["latency_ms"] = _milliseconds(span.end_time - span.start_time)
    if result.time_to_first_chunk_s is not None:
        measured["ttft_ms"] = _milliseconds(result.time_to_first_chunk_s * 1e9)
    if result.usage is not None:
        measured["usage"] = _usage(result.usage)
        measured["usage_source"] = result.usage.source
    measured["cost"] = _cost(request, result, facts, time_ns=span.start_time or 0)
    return measured


def _milliseconds(duration_ns: float) -> str:
    return f"{duration_ns / 1e6:.3f}".rstrip("0").rstrip(".")


def _usage(usage: Usage) -> dict[str, int]:
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read": usage.cache_read,
        "cache_write": usage.cache_write,
        "reasoning": usage.reasoning,
        **usage.other,
    }
    return {key: count for key, count in counts.items() if count is not None}


def _cost(
    request: InvocationRequest, result: InvocationResult, facts: Mapping[str, Any], *, time_ns: int
) -> dict[str, Any] | None:
    """Return the cost that the span states, else what the price list says; None when nobody knows."""
    if (usd := facts.get(keys.SPANLEDGER_COST_USD)) is not None:
        stated = {
            "usd": usd,
            "input_usd": facts.get(keys.SPANLEDGER_COST_INPUT_USD),
            "output_usd": facts.get(keys.SPANLEDGER_COST_OUTPUT_USD),
            "price_source": facts.get(keys.SPANLEDGER_COST_PRICE_SOURCE),
            "price_version": facts.get(keys.SPANLEDGER_COST_PRICE_VERSION),
        }
        return {key: value for key, value in stated.items() if value is not None}
    usage = result.usage
    if usage is None:
        return None
    tier = facts.get(keys.OPENAI_RESPONSE_SERVICE_TIER)
    known = cost.price(
        request.provider, result.model or request.model, usage, service_tier=tier or None, time_ns=time_ns
    )
    if known is None:
        return None
    return known.as_envelope() | ({"estimated": True} if usage.source == "estimated" else {})
