"""OpenLLMetry (traceloop): indexed `gen_ai.prompt.N.*` and `gen_ai.completion.N.*`, `llm.*`, `traceloop.*`.

Newer versions speak the current conventions for messages and keep some old names for the rest; both are read here.
"""

from __future__ import annotations

import re
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
    take_tree,
)
from spanledger_semconv import attributes as keys

_MARKS = re.compile(
    r"traceloop\.|gen_ai\.(prompt|completion)\.\d|llm\.(request\.type|usage\.total_tokens|is_streaming)"
    r"|gen_ai\.(usage\.total_tokens|is_streaming)$"
)
_REQUEST_TYPES = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings", "rerank": "retrieval"}
_SPAN_KINDS = {
    "workflow": "invoke_workflow",
    "task": "invoke_workflow",
    "agent": "invoke_agent",
    "tool": "execute_tool",
}
_NAMES = {
    "gen_ai.system": keys.GEN_AI_PROVIDER_NAME,
    "gen_ai.usage.prompt_tokens": keys.GEN_AI_USAGE_INPUT_TOKENS,
    "gen_ai.usage.completion_tokens": keys.GEN_AI_USAGE_OUTPUT_TOKENS,
    "gen_ai.usage.cache_read_input_tokens": keys.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "gen_ai.usage.cache_creation_input_tokens": keys.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS,
    "gen_ai.usage.cache_creation.input_tokens": keys.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS,
    "gen_ai.usage.reasoning_tokens": keys.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
    "gen_ai.openai.response.system_fingerprint": keys.OPENAI_RESPONSE_SYSTEM_FINGERPRINT,
    "gen_ai.is_streaming": keys.GEN_AI_REQUEST_STREAM,
    "llm.is_streaming": keys.GEN_AI_REQUEST_STREAM,
    "llm.top_k": keys.GEN_AI_REQUEST_TOP_K,
    "llm.frequency_penalty": keys.GEN_AI_REQUEST_FREQUENCY_PENALTY,
    "llm.presence_penalty": keys.GEN_AI_REQUEST_PRESENCE_PENALTY,
    "llm.chat.stop_sequences": keys.GEN_AI_REQUEST_STOP_SEQUENCES,
    "traceloop.workflow.name": keys.GEN_AI_WORKFLOW_NAME,
    "traceloop.prompt.key": keys.GEN_AI_PROMPT_NAME,
    "traceloop.prompt.version": keys.GEN_AI_PROMPT_VERSION,
}
_PROVIDERS = {"openai": "openai", "anthropic": "anthropic", "azure": "azure.ai.openai", "google": "gcp.gen_ai"}


def recognises(facts: SpanFacts) -> bool:
    """Say whether the span has attributes that only OpenLLMetry sets."""
    return any(_MARKS.match(key) for key in facts.attributes)


def rewrite(_facts: SpanFacts, attributes: dict[str, Any], _events: list[SpanEvent]) -> None:
    """Turn OpenLLMetry's attributes into the current conventions."""
    rename(attributes, _NAMES)
    provider = attributes.get(keys.GEN_AI_PROVIDER_NAME)
    if isinstance(provider, str):
        attributes[keys.GEN_AI_PROVIDER_NAME] = _PROVIDERS.get(provider.lower(), provider.lower())
    _take_operation(attributes)
    _take_prompts(attributes)
    _take_completions(attributes)
    tools = [_tool(mapping(item)) for item in as_list(take_tree(attributes, "llm.request.functions"))]
    if tools:
        attributes.setdefault(keys.GEN_AI_TOOL_DEFINITIONS, tools)
    _take_entity(attributes)


def _take_operation(attributes: dict[str, Any]) -> None:
    request_type = _REQUEST_TYPES.get(str(attributes.get("llm.request.type", "")).lower())
    kind = _SPAN_KINDS.get(str(attributes.get("traceloop.span.kind", "")).lower())
    operation = request_type or kind
    if operation is not None:
        attributes.setdefault(keys.GEN_AI_OPERATION_NAME, operation)


def _take_prompts(attributes: dict[str, Any]) -> None:
    indexed = {key: attributes[key] for key in attributes if re.match(r"gen_ai\.prompt\.\d", key)}
    if not indexed or keys.GEN_AI_INPUT_MESSAGES in attributes:
        return
    for key in indexed:
        del attributes[key]
    messages = as_list(take_tree(indexed, "gen_ai.prompt"))
    attributes[keys.GEN_AI_INPUT_MESSAGES] = [_message(mapping(item), role="user") for item in messages]


def _take_completions(attributes: dict[str, Any]) -> None:
    if keys.GEN_AI_OUTPUT_MESSAGES in attributes:
        return
    messages = [
        _message(mapping(item), role="assistant") for item in as_list(take_tree(attributes, "gen_ai.completion"))
    ]
    if not messages:
        return
    attributes[keys.GEN_AI_OUTPUT_MESSAGES] = messages
    reasons = [str(message["finish_reason"]) for message in messages if message.get("finish_reason")]
    if reasons:
        attributes.setdefault(keys.GEN_AI_RESPONSE_FINISH_REASONS, reasons)


def _message(item: dict[str, Any], *, role: str) -> dict[str, Any]:
    content = item.pop("content", None)
    call_id = item.pop("tool_call_id", None)
    calls = [_tool_call(mapping(call)) for call in as_list(item.pop("tool_calls", None))]
    parts = _parts(content)
    if call_id is not None:
        parts = [{"type": "tool_call_response", "id": call_id, "response": content}]
    return {**item, "role": item.get("role") or role, "parts": parts + calls}


def _parts(content: Any) -> list[dict[str, Any]]:
    items = parsed(content) if isinstance(content, str) and content[:1] == "[" else content
    if not isinstance(items, list):
        return [] if content in (None, "") else [{"type": "text", "content": content}]
    return [_part(item) for item in items]


def _part(item: Any) -> dict[str, Any]:
    part = mapping(item)
    if part.get("type") == "text" and "text" in part:
        return part_of(part, "text", text="content")
    url = mapping(part.get("image_url")).get("url")
    if part.get("type") == "image_url" and isinstance(url, str):
        return media_part(url, "image")
    return part if "type" in part else {"type": "json", "content": item}


def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
    return {**call, "type": "tool_call", "name": call.get("name", ""), "arguments": parsed(call.get("arguments"))}


def _tool(item: dict[str, Any]) -> dict[str, Any]:
    for key in ("parameters", "input_schema"):
        if key in item:
            item["parameters"] = parsed(item.pop(key))
    return {"type": "function", **item}


def _take_entity(attributes: dict[str, Any]) -> None:
    """Read the decorators' spans: a workflow's, task's, agent's or tool's input and output."""
    operation = attributes.get(keys.GEN_AI_OPERATION_NAME)
    name = attributes.get("traceloop.entity.name")
    if operation == "execute_tool":
        entity = {
            "traceloop.entity.input": keys.GEN_AI_TOOL_CALL_ARGUMENTS,
            "traceloop.entity.output": keys.GEN_AI_TOOL_CALL_RESULT,
        }
        rename(attributes, entity)
        target = keys.GEN_AI_TOOL_NAME
    else:
        for source, key, role in (
            ("traceloop.entity.input", keys.GEN_AI_INPUT_MESSAGES, "user"),
            ("traceloop.entity.output", keys.GEN_AI_OUTPUT_MESSAGES, "assistant"),
        ):
            if source in attributes and key not in attributes:
                part = {"type": "json", "content": parsed(attributes.pop(source))}
                attributes[key] = [{"role": role, "parts": [part]}]
        target = keys.GEN_AI_AGENT_NAME if operation == "invoke_agent" else keys.GEN_AI_WORKFLOW_NAME
    if isinstance(name, str) and operation in _SPAN_KINDS.values():
        attributes.setdefault(target, name)
