"""From a span, and what was handed over beside it, to an envelope and its contents (ledger.md sections 3 to 5).

A span has up to two rows: the intent (`…:begin`, when it starts) and the completion. Both stand on the same base; the
completion takes the intent's over unless the span has learned something since that the base is made of, and repeats its
input references. Nothing here touches a disk, and the price list is only asked for figures it has at hand.

Fields are canonical JSON as text from the start, and what many rows have in common is encoded once (`shared_fields`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext

from spanledger_exporter.ledger.canonical import canonical_json
from spanledger_exporter.ledger.content import Content
from spanledger_exporter.normalise.content_lists import CONTENT_KEYS, answered_instructions, input_items, output_items
from spanledger_exporter.normalise.context import actor_of, context_of
from spanledger_exporter.normalise.dialects import Reading, SpanEvent
from spanledger_exporter.normalise.fallback import SCHEMA, default_service
from spanledger_exporter.normalise.measures import add_measures
from spanledger_exporter.normalise.parts import ContentPolicy, Items, Parts
from spanledger_exporter.normalise.remainder import ClearList, reference_remainder, sort_attributes
from spanledger_exporter.normalise.shared_fields import SharedFields, quoted
from spanledger_exporter.normalise.snapshot import snapshot_of
from spanledger_exporter.normalise.span_state import SpanState, dropped_of, state_of
from spanledger_exporter.prompts.registry import PromptMatcher
from spanledger_semconv import attributes as keys
from spanledger_semconv import bodies
from spanledger_semconv.events import OPERATIONS, WITH_INTENT, span_event_id
from spanledger_semconv.events import event_type as event_type_of
from spanledger_semconv.invocation import InvocationRequest, InvocationResult

BEGIN_SUFFIX: Final = ":begin"

_BODY_OF_TYPE: Final[Mapping[str, str]] = {
    "decision": "decision",
    "human_review": "review",
    "external_action": "action",
    "escalation": "escalation",
    "artifact": "artifact",
}


class Prepared(NamedTuple):
    """A row ready for the recorder: its envelope in canonical bytes, the contents it refers to, where it belongs."""

    envelope: bytes
    contents: Sequence[Content]
    tenant: str
    event_type: str


@dataclass(frozen=True, slots=True)
class Base:
    """What spans of equal circumstances have in common: made once, shared by many rows, changed by none.

    `fields` is in both rows of a span; `clear` (JSON) and `other` are its attributes as they are when it starts.
    """

    event_type: str
    fields: SharedFields
    clear: str | None
    other: Mapping[str, Any]


class Begun(NamedTuple):
    """What the intent row was made of; the completion starts from it. `inputs` is JSON."""

    event_id: str
    base: Base
    inherited: Mapping[str, Any]
    attributes: Mapping[str, Any]
    inputs: str | None
    contents: Sequence[Content]
    sanitized: bool


_as_tuple: Any = tuple.__new__  # three per call: half the time of the classes' own constructors


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
    environment: str | None = None
    prompts: PromptMatcher | None = None
    _origins: _Origins = field(default_factory=lambda: _Origins())  # noqa: PLW0108 - defined below
    _bases: dict[tuple[Any, ...], Base] = field(default_factory=dict)

    def begin(
        self, state: SpanState, reading: Reading, inherited: Mapping[str, Any], *, sampled: bool
    ) -> tuple[Prepared, Begun] | None:
        """Return the intent row, and what the completion will start from; None for an event without an intent."""
        inherited = self._with_prompt(reading, inherited)
        base = self._base(state, reading, inherited)
        if base.event_type not in WITH_INTENT:
            return None
        _, context, parent, started_ns, _, _, scope, links = state
        dialect, _, _, _, events = reading
        parts = Parts(self.policy)
        event_id = event_id_of(context)
        begun = self._begun(parts, event_id, base, reading, inherited)
        own = _identity(event_id + BEGIN_SUFFIX, event_id, parent)
        own["time"] = f'{{"start":"{started_ns}"}}'
        own["capture"] = self._origins.capture(scope, dialect, sampled, "captured")
        if base.clear is not None:
            own["attributes"] = base.clear
        if base.other or events or links:
            _refer(own, parts, base.other, events, links)
        if begun.inputs is not None:
            own["input"] = begun.inputs
        if parts.sanitized:
            own["sanitized"] = _TRUE
        return _prepared(base, own, parts.contents), begun

    def end(
        self,
        span: ReadableSpan,
        reading: Reading,
        inherited: Mapping[str, Any],
        *,
        sampled: bool,
        begun: Begun | None = None,
        tier: str = "captured",
        fork: str = "",
    ) -> Prepared:
        """Return the completing row; `fork` is behind its id where a forked child ends a span of its parent."""
        state = state_of(span)
        _, context, parent, started_ns, ended_ns, _, scope, links = state
        dialect, request, result, attributes, events = reading
        if begun is None:
            inherited = self._with_prompt(reading, inherited)
            base = self._base(state, reading, inherited)
            begun = self._begun(Parts(self.policy), event_id_of(context), base, reading, inherited)
        event_id, base, inherited, attributes_before, inputs, contents, sanitized = begun
        facts = _facts(reading, inherited)
        places = self.clear_list.sorted_keys(tuple(attributes), CONTENT_KEYS)
        parts = Parts(self.policy)
        if result.system_instructions:
            inputs = _json_list(_listed(inputs) + answered_instructions(parts, result))
        outputs = _json_list(output_items(parts, result, facts))
        if not places.same_in_base(attributes, attributes_before):
            base = self._base(state, reading, inherited)  # the span has learned something since it started
        own = _identity(event_id + fork, event_id, parent)
        if fork:
            own["parent_event_id"] = f'"{event_id}"'
        own["time"] = f'{{"end":"{ended_ns}","start":"{started_ns}"}}'
        own["capture"] = self._origins.capture(scope, dialect, sampled, tier, dropped_of(span))
        own["outcome"] = quoted(result.outcome)
        if result.model is not None:
            own["snapshot"] = self._origins.snapshot(base.fields.texts.get("snapshot"), result.model)
        add_measures(own, request, result, facts, started_ns=started_ns, ended_ns=ended_ns)
        clear, other = sort_attributes(places, attributes)
        if clear:
            own["attributes"] = canonical_json(clear).decode()
        if other or events or links:
            _refer(own, parts, other, events, links)
        if inputs is not None:
            own["input"] = inputs
        if outputs is not None:
            own["output"] = outputs
        if result.error_type is not None or result.outcome == "error" or keys.ERROR_TYPE in attributes:
            own["error"] = _error(parts, reading, result)
        if parts.sanitized or sanitized:
            own["sanitized"] = _TRUE
        return _prepared(base, own, [*contents, *parts.contents])

    def _begun(self, parts: Parts, event_id: str, base: Base, reading: Reading, inherited: Mapping[str, Any]) -> Begun:
        """Return what a span was asked, with the contents in `parts`; a span that comes ended was asked it, too."""
        inputs = _json_list(input_items(parts, reading.request, _facts(reading, inherited)))
        begun: Begun = _as_tuple(
            Begun, (event_id, base, inherited, reading.attributes, inputs, parts.contents, parts.sanitized)
        )
        return begun

    def _with_prompt(self, reading: Reading, inherited: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the span inherits, and which registered prompt a model call was made from if nobody says so."""
        if self.prompts is None or not self.prompts.knows_prompts():
            return inherited
        request = reading.request
        if request.prompt and request.prompt.name:
            return inherited
        facts = _facts(reading, inherited)
        if keys.GEN_AI_PROMPT_NAME in facts or _event_type(request, facts) != "model_call":
            return inherited
        return {**self.prompts.attributes_of(request), **inherited}

    def _base(self, state: SpanState, reading: Reading, inherited: Mapping[str, Any]) -> Base:
        """Return what both rows of a span say, and those of many other spans: made once for equal circumstances."""
        name, _, _, _, _, resource, _, _ = state
        _, request, _, attributes, _ = reading
        prompt, site = request.prompt, request.call_site
        try:
            # Everything that a base is made of. Types are part of it: 1, 1.0 and True are equal, and three different
            # things to record.
            key = (
                self._origins.service(resource),
                name,
                request.operation,
                request.provider,
                request.model,
                prompt and (prompt.digest, prompt.name, prompt.version),
                site and (site.module, site.function, site.line),
                tuple(request.tools.items()) if request.tools else None,
                tuple(attributes.items()),
                tuple(map(type, attributes.values())),
                tuple(inherited.items()) if inherited else None,
            )
            known = self._bases.get(key)
        except TypeError:  # a list among the values: not worth a copy just to remember it
            return self._make_base(state, reading, inherited)
        if known is None:
            known = self._make_base(state, reading, inherited)
            if len(self._bases) >= MAX_BASES:
                self._bases.clear()
            self._bases[key] = known
        return known

    def _make_base(self, state: SpanState, reading: Reading, inherited: Mapping[str, Any]) -> Base:
        request, facts = reading.request, _facts(reading, inherited)
        event_type = _event_type(request, facts)
        tenant = str(facts.get(keys.SPANLEDGER_TENANT) or self.tenant)
        fields: dict[str, Any] = {
            "schema": SCHEMA,
            "event_type": event_type,
            "name": state.name,
            "operation": request.operation or None,
            "tenant": tenant,
            "environment": facts.get(keys.SPANLEDGER_ENVIRONMENT) or self.environment,
            "service": self._origins.service(state.resource) or default_service(),
            "actor": actor_of(facts),
            "context": context_of(facts, tokenise=lambda user: self.tokenise(user, tenant)),
            "snapshot": snapshot_of(request, facts),
            "parent_event_id": facts.get(keys.SPANLEDGER_PARENT_EVENT_ID),
            "attempt": facts.get(keys.SPANLEDGER_ATTEMPT),
            "confidence": _first(facts, keys.SPANLEDGER_CONFIDENCE, keys.SPANLEDGER_DECISION_CONFIDENCE),
            "idempotency_key": _first(facts, keys.SPANLEDGER_IDEMPOTENCY_KEY, keys.SPANLEDGER_ACTION_IDEMPOTENCY_KEY),
        }
        if field_name := _BODY_OF_TYPE.get(event_type):
            fields[field_name] = bodies.body(_without_content(facts), field_name) or None
        places = self.clear_list.sorted_keys(tuple(reading.attributes), CONTENT_KEYS)
        clear, other = sort_attributes(places, reading.attributes)
        return Base(event_type, SharedFields(fields), canonical_json(clear).decode() if clear else None, other)


_TRUE: Final = "true"


def _prepared(base: Base, own: Mapping[str, str], contents: Sequence[Content]) -> Prepared:
    fields = base.fields
    prepared: Prepared = _as_tuple(Prepared, (fields.envelope(own), contents, fields.tenant, base.event_type))
    return prepared


def _refer(
    own: dict[str, str],
    parts: Parts,
    other: Mapping[str, Any],
    events: Sequence[SpanEvent],
    links: Sequence[Link],
) -> None:
    """Put what has no field of its own behind a reference, unless no content is kept at all."""
    reference = reference_remainder(parts, other, events, links)
    if reference:
        own["attributes_ref"] = f'"{reference}"'


def _facts(reading: Reading, inherited: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**inherited, **reading.attributes} if inherited else reading.attributes


class _Origins:
    """Where spans come from, encoded once: a process has one resource and a handful of scopes."""

    __slots__ = ("_captures", "_resource", "_service", "_snapshots")

    def __init__(self) -> None:
        self._resource: Any = None
        self._service: orjson.Fragment | None = None
        self._snapshots: dict[tuple[str | None, str], str] = {}
        self._captures: dict[tuple[int, str, bool, str], tuple[Any, str]] = {}

    def service(self, resource: Resource) -> orjson.Fragment | None:
        """Return the envelope's `service`."""
        if resource is not self._resource:
            service = service_of(resource)
            self._service = orjson.Fragment(canonical_json(service)) if service else None
            self._resource = resource
        return self._service

    def snapshot(self, requested: str | None, model: str) -> str:
        """Return the snapshot of a request with the model that answered it."""
        key = (requested, model)
        known = self._snapshots.get(key)
        if known is None:
            snapshot: dict[str, Any] = {} if requested is None else orjson.loads(requested)
            known = canonical_json({**snapshot, "model": model}).decode()
            if len(self._snapshots) >= MAX_BASES:
                self._snapshots.clear()
            self._snapshots[key] = known
        return known

    def capture(
        self,
        scope: InstrumentationScope | None,
        dialect: str,
        sampled: bool,
        tier: str,
        dropped: Mapping[str, int] | None = None,
        /,
    ) -> str:
        """Return the envelope's `capture`; what the span's limits dropped is counted once it has ended."""
        # By the scope's identity, because its own hash is Python code; the entry keeps it alive, and so its id its own.
        key = (id(scope), dialect, sampled, tier)
        _, known = self._captures.get(key, _NO_CAPTURE)
        if known is not None and dropped is None:
            return known
        capture: dict[str, Any] = {"tier": tier, "dialect": dialect, "sampled": sampled}
        _fill(capture, scope=scope.name if scope else "", version=scope.version if scope else None, dropped=dropped)
        encoded = canonical_json(capture).decode()
        if dropped is None:
            if len(self._captures) >= MAX_CAPTURES:
                self._captures.clear()
            self._captures[key] = (scope, encoded)
        return encoded


_NO_CAPTURE: Final = (None, None)
MAX_CAPTURES: Final = 1_024
MAX_BASES: Final = 1_024


def _event_type(request: InvocationRequest, facts: Mapping[str, Any]) -> str:
    known = OPERATIONS.get(request.operation)
    if known is not None and keys.SPANLEDGER_EVENT_TYPE not in facts:
        return known
    return event_type_of({keys.GEN_AI_OPERATION_NAME: request.operation, **facts})


def _json_list(items: Items) -> str | None:
    """Return the JSON of a list of items, some of which are JSON already."""
    if not items:
        return None
    texts: Any = items
    try:
        return f"[{','.join(texts)}]"
    except TypeError:  # one is not
        return f"[{','.join([item if type(item) is str else canonical_json(item).decode() for item in items])}]"


def _listed(inputs: str | None) -> Items:
    return [] if inputs is None else orjson.loads(inputs)


def _fill(target: dict[str, Any], **values: Any) -> None:
    """Set what is there: absent means absent."""
    target.update({key: value for key, value in values.items() if value})


def _first(facts: Mapping[str, Any], first: str, second: str) -> Any:
    value = facts.get(first)
    return facts.get(second) if value is None else value


def _without_content(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key not in CONTENT_KEYS}


def event_id_of(context: SpanContext | None) -> str:
    """Return the id of the event of a span with this context; empty without one."""
    return span_event_id(*context[:2]) if context else ""


def _identity(event_id: str, of_span: str, parent: SpanContext | None) -> dict[str, str]:
    """Return the ids of a row; `of_span` is the span's own event id, which is made of its trace's id and its own."""
    own = {"event_id": f'"{event_id}"', "trace_id": f'"{of_span[:32]}"', "span_id": f'"{of_span[33:]}"'}
    if parent is not None and parent.span_id:
        own["parent_span_id"] = f'"{parent.span_id:016x}"'
    return own


def service_of(resource: Resource) -> dict[str, Any] | None:
    """Return `{name, version, instance_id}` from a span's resource."""
    attributes = resource.attributes
    service = {
        "name": attributes.get(keys.SERVICE_NAME),
        "version": attributes.get(keys.SERVICE_VERSION),
        "instance_id": attributes.get(keys.SERVICE_INSTANCE_ID),
    }
    return {key: value for key, value in service.items() if value} or None


def _error(parts: Parts, reading: Reading, result: InvocationResult) -> str:
    error = {"type": str(result.error_type or reading.attributes.get(keys.ERROR_TYPE) or "unknown")}
    if result.error_message and (items := parts.text(result.error_message, "error")):
        error["message_ref"] = items[0]["ref"]
    return canonical_json(error).decode()
