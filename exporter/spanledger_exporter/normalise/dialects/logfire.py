"""Logfire: current conventions in JSON text where it can, `request_data`, `response_data` and `events` where not.

Logfire reports cached and reasoning tokens only inside the provider's own usage object, which it keeps as JSON in
`gen_ai.usage.raw`; they are read from there, and the object stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spanledger_exporter.normalise.dialects.deprecated_gen_ai import content_parts, message_of, rename_old
from spanledger_exporter.normalise.dialects.gen_ai import OTHER_USAGE_PREFIX
from spanledger_exporter.normalise.dialects.span_facts import SpanEvent, SpanFacts, as_list, mapping, object_at, parsed
from spanledger_semconv import attributes as keys

_RAW_USAGE = {
    ("prompt_tokens_details", "cached_tokens"): keys.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    ("input_tokens_details", "cached_tokens"): keys.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    ("completion_tokens_details", "reasoning_tokens"): keys.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
    ("output_tokens_details", "reasoning_tokens"): keys.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
    ("cache_read_input_tokens",): keys.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    ("cache_creation_input_tokens",): keys.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS,
    ("cache_creation", "ephemeral_5m_input_tokens"): OTHER_USAGE_PREFIX + "cache_write_5m",
    ("cache_creation", "ephemeral_1h_input_tokens"): OTHER_USAGE_PREFIX + "cache_write_1h",
    ("service_tier",): keys.ANTHROPIC_RESPONSE_SERVICE_TIER,
}
_TOOL_VALUES = {
    "tool_arguments": keys.GEN_AI_TOOL_CALL_ARGUMENTS,
    "tool_response": keys.GEN_AI_TOOL_CALL_RESULT,
}


def recognises(facts: SpanFacts) -> bool:
    """Say whether Logfire made the span, and it is about an AI call."""
    is_logfire = facts.scope.startswith(("logfire", "pydantic-ai")) or "logfire.span_type" in facts.attributes
    return is_logfire and any(key.startswith("gen_ai.") or key == "request_data" for key in facts.attributes)


def rewrite(_facts: SpanFacts, attributes: dict[str, Any], _events: list[SpanEvent]) -> None:
    """Turn Logfire's attributes into the current conventions."""
    rename_old(attributes)
    _add_raw_usage(attributes)
    _flatten_tools(attributes)
    for old, new in _TOOL_VALUES.items():
        if old in attributes:
            attributes.setdefault(new, attributes.pop(old))
    _read_events(attributes)
    _read_data(attributes)


def _add_raw_usage(attributes: dict[str, Any]) -> None:
    usage = object_at(attributes, "gen_ai.usage.raw")
    for path, key in _RAW_USAGE.items():
        value: Any = usage
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        if value is not None:
            attributes.setdefault(key, value)


def _flatten_tools(attributes: dict[str, Any]) -> None:
    """Bring the provider's own tool shape to the conventions': a function's fields stand at the top."""
    tools = parsed(attributes.get(keys.GEN_AI_TOOL_DEFINITIONS))
    if isinstance(tools, list):
        attributes[keys.GEN_AI_TOOL_DEFINITIONS] = [_tool(mapping(tool)) for tool in tools]


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = mapping(tool.pop("function", None))
    if "input_schema" in tool:
        tool["parameters"] = tool.pop("input_schema")
    return {"type": "function", **tool, **function}


def _read_events(attributes: dict[str, Any]) -> None:
    """Read the list of message events that Pydantic AI and older Logfire keep in one attribute."""
    for key in ("events", "all_messages_events"):
        items = parsed(attributes.get(key))
        if not isinstance(items, list) or keys.GEN_AI_INPUT_MESSAGES in attributes:
            continue
        del attributes[key]
        bodies = [mapping(item) for item in items]
        attributes[keys.GEN_AI_INPUT_MESSAGES] = [_event(body) for body in bodies if not _is_choice(body)]
        answers = [_event(body) for body in bodies if _is_choice(body)]
        if answers:
            attributes.setdefault(keys.GEN_AI_OUTPUT_MESSAGES, answers)


def _is_choice(body: dict[str, Any]) -> bool:
    return body.get("event.name") == "gen_ai.choice"


def _event(body: dict[str, Any]) -> dict[str, Any]:
    name = str(body.pop("event.name", ""))
    role = "assistant" if name == "gen_ai.choice" else name.removeprefix("gen_ai.").removesuffix(".message")
    inner = mapping(parsed(body.pop("message", None)))
    return message_of({**body, **inner}, role=role or "user")


def _read_data(attributes: dict[str, Any]) -> None:
    """Read messages from `request_data` and `response_data`; both stay, they may hold more."""
    request, response = object_at(attributes, "request_data"), object_at(attributes, "response_data")
    if "model" in request:
        attributes.setdefault(keys.GEN_AI_REQUEST_MODEL, request["model"])
    if "system" in request:
        attributes.setdefault(keys.GEN_AI_SYSTEM_INSTRUCTIONS, content_parts(request["system"]))
    messages = [message_of(mapping(item), role="user") for item in as_list(request.get("messages"))]
    if messages:
        attributes.setdefault(keys.GEN_AI_INPUT_MESSAGES, messages)
    answer = mapping(response.get("message"))
    text = response.get("combined_chunk_content")
    if answer or text:
        message = message_of(answer or {"content": text}, role="assistant")
        attributes.setdefault(keys.GEN_AI_OUTPUT_MESSAGES, [message])
