"""The ordered lists of content references: what went in, what came out (ledger.md section 3, `input` and `output`).

Messages come from the call records. A few attributes are content too (arguments of a tool, a rationale, …): they follow
the messages, and are never repeated among the attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from spanledger_exporter.ledger.content import ContentClass
from spanledger_exporter.normalise.parts import Item, Items, Parts
from spanledger_semconv import attributes as keys
from spanledger_semconv.invocation import InvocationRequest, InvocationResult


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
CONTENT_KEYS: Final = frozenset(attribute.key for attribute in (*_INPUTS, *_OUTPUTS)) | {
    keys.GEN_AI_SYSTEM_INSTRUCTIONS,
    keys.GEN_AI_INPUT_MESSAGES,
    keys.GEN_AI_OUTPUT_MESSAGES,
    keys.GEN_AI_TOOL_DEFINITIONS,
}
_ATTRIBUTE_KEYS: Final = frozenset(attribute.key for attribute in (*_INPUTS, *_OUTPUTS))
_TEXT_KINDS: Final = frozenset({"template", "query", "explanation", "rationale"})
"""Attributes that are content: by reference or not at all."""


def input_items(parts: Parts, request: InvocationRequest, facts: Mapping[str, Any]) -> Items:
    """Return what the call was given: system instructions, messages, tool definitions, content attributes."""
    if parts.policy.mode == "none":
        return []
    items = _instructions(parts, request.system_instructions) if request.system_instructions else []
    items += parts.message_list(request.input_messages)
    for definition in request.tool_definitions:
        items += parts.document(definition, "tool_definition", content_class="artifact", **_named(definition))
    if not _ATTRIBUTE_KEYS.isdisjoint(facts):
        items += _content_attributes(parts, _INPUTS, facts)
    return items


def answered_instructions(parts: Parts, result: InvocationResult) -> Items:
    """Return the instructions that only the answer names: those of a reusable prompt, or of a fetched response."""
    return [] if parts.policy.mode == "none" else _instructions(parts, result.system_instructions)


def _instructions(parts: Parts, instructions: Sequence[Any]) -> Items:
    items: Items = []
    for part in instructions:
        items += parts.part(part, role="system", content_class="artifact")
    return items


def _named(definition: Any) -> dict[str, str]:
    name = definition.get("name") if isinstance(definition, Mapping) else None
    return {"name": name} if isinstance(name, str) else {}


def output_items(parts: Parts, result: InvocationResult, facts: Mapping[str, Any]) -> Items:
    """Return what came back: messages, content attributes."""
    items = parts.message_list(result.output_messages)
    if not _ATTRIBUTE_KEYS.isdisjoint(facts):
        items += _content_attributes(parts, _OUTPUTS, facts)
    return items


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
