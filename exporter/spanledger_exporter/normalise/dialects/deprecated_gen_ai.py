"""Earlier GenAI conventions: `gen_ai.system`, `prompt_tokens`, and one event per message.

The official `opentelemetry-instrumentation-openai-v2` and many frameworks still speak them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spanledger_exporter.normalise.dialects.span_facts import (
    SpanEvent,
    SpanFacts,
    as_list,
    mapping,
    media_part,
    parsed,
    part_of,
    rename,
)
from spanledger_semconv import attributes as keys

_NAMES = {
    "gen_ai.system": keys.GEN_AI_PROVIDER_NAME,
    "gen_ai.usage.prompt_tokens": keys.GEN_AI_USAGE_INPUT_TOKENS,
    "gen_ai.usage.completion_tokens": keys.GEN_AI_USAGE_OUTPUT_TOKENS,
    "gen_ai.usage.cache_creation.input_tokens": keys.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS,
    "gen_ai.openai.request.seed": keys.GEN_AI_REQUEST_SEED,
    "gen_ai.openai.request.response_format": keys.GEN_AI_OUTPUT_TYPE,
    "gen_ai.openai.request.service_tier": keys.OPENAI_REQUEST_SERVICE_TIER,
    "gen_ai.openai.response.service_tier": keys.OPENAI_RESPONSE_SERVICE_TIER,
    "gen_ai.openai.response.system_fingerprint": keys.OPENAI_RESPONSE_SYSTEM_FINGERPRINT,
}
_PROVIDERS = {
    "az.ai.inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "xai": "x_ai",
}
_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_CHOICE = "gen_ai.choice"
_WHOLE = {
    "gen_ai.content.prompt": (keys.GEN_AI_PROMPT, keys.GEN_AI_INPUT_MESSAGES),
    "gen_ai.content.completion": (keys.GEN_AI_COMPLETION, keys.GEN_AI_OUTPUT_MESSAGES),
}


def recognises(facts: SpanFacts) -> bool:
    """Say whether the span has old names and not the new ones, or events per message."""
    has_old = any(name in facts.attributes for name in _NAMES if name != "gen_ai.usage.cache_creation.input_tokens")
    has_events = any(event.name in _ROLES or event.name in _WHOLE or event.name == _CHOICE for event in facts.events)
    return has_events or (has_old and keys.GEN_AI_PROVIDER_NAME not in facts.attributes)


def rewrite(_facts: SpanFacts, attributes: dict[str, Any], events: list[SpanEvent]) -> None:
    """Turn the old names and events into the current conventions."""
    rename_old(attributes)
    inputs: list[dict[str, Any]] = []
    outputs: list[dict[str, Any]] = []
    for event in list(events):
        if event.name in _ROLES:
            inputs.append(message_of(_body(event), role=_ROLES[event.name]))
        elif event.name == _CHOICE:
            outputs.append(_choice(_body(event)))
        elif event.name in _WHOLE and _WHOLE[event.name][0] in event.attributes:
            source, target = _WHOLE[event.name]
            attributes.setdefault(target, _whole(event.attributes[source], target))
        else:
            continue
        events.remove(event)
    if inputs:
        attributes.setdefault(keys.GEN_AI_INPUT_MESSAGES, inputs)
    if outputs:
        attributes.setdefault(keys.GEN_AI_OUTPUT_MESSAGES, outputs)
        reasons = [str(message["finish_reason"]) for message in outputs if "finish_reason" in message]
        if reasons:
            attributes.setdefault(keys.GEN_AI_RESPONSE_FINISH_REASONS, reasons)


def rename_old(attributes: dict[str, Any]) -> None:
    """Give old attribute names and provider names their current form."""
    if keys.GEN_AI_PROVIDER_NAME in attributes:
        attributes.pop(keys.GEN_AI_SYSTEM, None)  # the same thing again, under its old name
    rename(attributes, _NAMES)
    provider = attributes.get(keys.GEN_AI_PROVIDER_NAME)
    if isinstance(provider, str):
        attributes[keys.GEN_AI_PROVIDER_NAME] = _PROVIDERS.get(provider, provider)


def _body(event: SpanEvent) -> dict[str, Any]:
    """Return what an event says: flat attributes, or a body that some emitters put into one attribute."""
    fields = dict(event.attributes)
    for wrapper in ("body", "event_body", "gen_ai.event.content"):
        inner = parsed(fields.get(wrapper))
        if isinstance(inner, Mapping):
            del fields[wrapper]
            fields = {**fields, **inner}
    fields.pop(keys.GEN_AI_SYSTEM, None)  # the span says it as well
    fields.pop("event.name", None)
    return fields


def _choice(body: dict[str, Any]) -> dict[str, Any]:
    inner = mapping(parsed(body.pop("message", None)))
    return message_of({**body, **inner}, role="assistant")


def message_of(body: dict[str, Any], *, role: str) -> dict[str, Any]:
    """Return one message of the old shape (`content`, `tool_calls`, `id`) in the current one; extra fields stay."""
    content = parsed_content(body.pop("content", None))
    calls = [_tool_call(mapping(call)) for call in as_list(parsed(body.pop("tool_calls", None)))]
    role = str(body.pop("role", None) or role)
    if role == "tool" and ("id" in body or "tool_call_id" in body):
        call_id = body.pop("id", None) or body.pop("tool_call_id", None)
        parts: list[dict[str, Any]] = [{"type": "tool_call_response", "id": call_id, "response": content}]
    else:
        parts = content_parts(content)
    return {**body, "role": role, "parts": parts + calls}


def parsed_content(content: Any) -> Any:
    """Return structured content where a text holds a JSON list; other texts stay texts."""
    return parsed(content) if isinstance(content, str) and content[:2] in ("[{", "[]") else content


def content_parts(content: Any) -> list[dict[str, Any]]:
    """Return content of the old shape (a text, or blocks as the provider's API has them) as parts."""
    if content is None:
        return []
    if isinstance(content, list):
        return [_block(item) for item in content]
    return [{"type": "text" if isinstance(content, str) else "json", "content": content}]


def _block(item: Any) -> dict[str, Any]:
    block = mapping(item)
    kind = block.get("type")
    if not block:
        return {"type": "text" if isinstance(item, str) else "json", "content": item}
    if kind in ("text", "input_text", "output_text") and "text" in block:
        return part_of(block, "text", text="content")
    if kind == "thinking":
        return part_of(block, "reasoning", thinking="content")
    if kind == "tool_use":
        return part_of(block, "tool_call", input="arguments")
    if kind == "tool_result":
        return part_of(block, "tool_call_response", tool_use_id="id", content="response")
    if kind == "image_url":
        return media_part(str(mapping(block["image_url"]).get("url", "")), "image")
    return block if kind else {"type": "json", "content": block}


def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
    function = mapping(call.pop("function", None))
    name = function.get("name", call.pop("name", ""))
    arguments = parsed(function.get("arguments", call.pop("arguments", None)))
    return {**call, "type": "tool_call", "name": name, "arguments": arguments}


def _whole(value: Any, target: str) -> list[dict[str, Any]]:
    role = "user" if target == keys.GEN_AI_INPUT_MESSAGES else "assistant"
    content = parsed(value)
    if isinstance(content, list):
        return [message_of(mapping(item) or {"content": item}, role=role) for item in content]
    return [{"role": role, "parts": content_parts(content)}]
