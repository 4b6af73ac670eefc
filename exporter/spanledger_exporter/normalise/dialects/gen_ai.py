"""The current GenAI conventions: what every dialect is rewritten to, and the one place that reads them.

Rules
- Content may come structured (lists) or as JSON text; text that is no JSON, for example because it was cut off, is kept
  whole in a part of type `unparsed`.
- A tool call is one message with a `tool_call` part in, one with a `tool_call_response` part out; a retrieval is the
  query in, one `document` part per document out.
- Status `error` or an `error.type` means outcome `error`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spanledger_exporter.normalise.dialects.span_facts import Reading, SpanEvent, SpanFacts, as_list, mapping, parsed
from spanledger_semconv import attributes as keys
from spanledger_semconv.digests import tool_digests
from spanledger_semconv.invocation import CallSite, InvocationRequest, InvocationResult, PromptIdentity, Usage

DETAILS_EVENT = "gen_ai.client.inference.operation.details"

_USAGE = {
    "input_tokens": keys.GEN_AI_USAGE_INPUT_TOKENS,
    "output_tokens": keys.GEN_AI_USAGE_OUTPUT_TOKENS,
    "cache_read": keys.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "cache_write": keys.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS,
    "reasoning": keys.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
}
_OTHER_USAGE = {
    **{
        getattr(keys, f"GEN_AI_USAGE_{kind.upper()}_INPUT_TOKENS"): f"input_{kind}"
        for kind in ("text", "image", "audio")
    },
    **{
        getattr(keys, f"GEN_AI_USAGE_{kind.upper()}_OUTPUT_TOKENS"): f"output_{kind}"
        for kind in ("text", "image", "audio")
    },
    keys.GEN_AI_USAGE_TEXT_CACHE_READ_INPUT_TOKENS: "cache_read_text",
    keys.GEN_AI_USAGE_IMAGE_CACHE_READ_INPUT_TOKENS: "cache_read_image",
    keys.GEN_AI_USAGE_AUDIO_CACHE_READ_INPUT_TOKENS: "cache_read_audio",
}
OTHER_USAGE_PREFIX = "spanledger.usage.other."
"""Where a dialect leaves further counts (`spanledger.usage.other.cache_write_1h`) for the reader."""

_RESULT_PREFIXES = ("gen_ai.response.", "openai.response.", "error.", "http.response.")
_REQUEST_PREFIXES = ("gen_ai.", "openai.", "mcp.", "server.", "aws.bedrock.", "azure.", "jsonrpc.")


def read_gen_ai(facts: SpanFacts, *, dialect: str, attributes: dict[str, Any], events: list[SpanEvent]) -> Reading:
    """Return the call that `attributes` (ours to take from) and `events` describe in the current conventions."""
    _merge_details(attributes, events)
    usage = _take_usage(attributes)
    system = _parts(attributes.pop(keys.GEN_AI_SYSTEM_INSTRUCTIONS, None))
    inputs = _messages(attributes.pop(keys.GEN_AI_INPUT_MESSAGES, None), role="user")
    outputs = _messages(attributes.pop(keys.GEN_AI_OUTPUT_MESSAGES, None), role="assistant")
    more_in, more_out = _take_other_content(attributes)
    request = _request(attributes, system=system, messages=inputs + more_in)
    result = _result(facts, attributes, usage=usage, messages=outputs + more_out)
    return Reading(dialect, request, result, attributes, tuple(events))


def _merge_details(attributes: dict[str, Any], events: list[SpanEvent]) -> None:
    """Take in the details event: it has the same attributes as the span, and content."""
    for event in [event for event in events if event.name == DETAILS_EVENT]:
        events.remove(event)
        for key, value in event.attributes.items():
            attributes.setdefault(key, value)


def _take_usage(attributes: dict[str, Any]) -> Usage | None:
    counts = {name: _take_count(attributes, key) for name, key in _USAGE.items()}
    other = {name: count for key, name in _OTHER_USAGE.items() if (count := _take_count(attributes, key)) is not None}
    for key in [key for key in attributes if key.startswith(OTHER_USAGE_PREFIX)]:
        if (count := _take_count(attributes, key)) is not None:
            other[key.removeprefix(OTHER_USAGE_PREFIX)] = count
    source = attributes.pop(keys.SPANLEDGER_USAGE_SOURCE, "reported")
    if not other and all(count is None for count in counts.values()):
        return None
    return Usage(**counts, other=other, source=source if source in {"estimated", "unknown"} else "reported")


def _take_count(attributes: dict[str, Any], key: str) -> int | None:
    """Take an integer; anything else stays where it was."""
    value = attributes.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    del attributes[key]
    return value


# Content.


def _messages(value: Any, *, role: str) -> list[dict[str, Any]]:
    content = parsed(value)
    if isinstance(content, str):
        return [{"role": role, "parts": [{"type": "unparsed", "content": content}]}]
    return [_message(item, role=role) for item in as_list(content)]


def _message(item: Any, *, role: str) -> dict[str, Any]:
    message = _present(item) if isinstance(item, Mapping) and item else {"parts": item}
    content = message.pop("content", None)
    plain = [{"type": "text", "content": content}] if isinstance(content, str) and content else _parts(content)
    parts = _parts(message.get("parts")) or plain
    return {**message, "role": message.get("role") or role, "parts": parts}


def _parts(value: Any) -> list[dict[str, Any]]:
    content = parsed(value) if isinstance(value, str) and value[:1] in "[{" else value
    if isinstance(content, str):
        is_cut = content[:1] in ("[", "{")
        return [{"type": "unparsed" if is_cut else "text", "content": content}] if content else []
    return [_part(item) for item in as_list(content)]


def _part(item: Any) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        return {"type": "text" if isinstance(item, str) else "json", "content": item}
    part = _present(item)
    if part.get("type") == "text" and "content" not in part and "text" in part:
        part["content"] = part.pop("text")
    return part if "type" in part else {"type": "json", "content": part}


def _present(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without its empty members; a tool's answer may well be null."""
    return {key: value for key, value in item.items() if value is not None or key == "response"}


def _take_other_content(attributes: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Take what tools, retrievals, memories and evaluations carry, as messages in and out."""
    inputs, outputs = _take_tool_call(attributes)
    for key in (keys.GEN_AI_RETRIEVAL_QUERY_TEXT, keys.GEN_AI_MEMORY_QUERY_TEXT):
        if key in attributes:
            inputs.append({"role": "user", "parts": [{"type": "text", "content": str(attributes.pop(key))}]})
    for key, kind in ((keys.GEN_AI_RETRIEVAL_DOCUMENTS, "document"), (keys.GEN_AI_MEMORY_RECORDS, "memory_record")):
        items = as_list(parsed(attributes.pop(key, None)))
        if items:
            outputs.append({"role": "retrieval", "parts": [_typed(kind, item) for item in items]})
    if keys.GEN_AI_EVALUATION_EXPLANATION in attributes:
        text = str(attributes.pop(keys.GEN_AI_EVALUATION_EXPLANATION))
        outputs.append({"role": "evaluation", "parts": [{"type": "text", "content": text}]})
    return inputs, outputs


def _typed(kind: str, item: Any) -> dict[str, Any]:
    return {**item, "type": kind} if isinstance(item, Mapping) else {"type": kind, "content": item}


def _take_tool_call(attributes: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    call_id = attributes.get(keys.GEN_AI_TOOL_CALL_ID)
    identity = {} if call_id is None else {"id": call_id}
    inputs: list[dict[str, Any]] = []
    outputs: list[dict[str, Any]] = []
    if keys.GEN_AI_TOOL_CALL_ARGUMENTS in attributes:
        arguments = parsed(attributes.pop(keys.GEN_AI_TOOL_CALL_ARGUMENTS))
        name = str(attributes.get(keys.GEN_AI_TOOL_NAME, ""))
        part = {"type": "tool_call", **identity, "name": name, "arguments": arguments}
        inputs.append({"role": "assistant", "parts": [part]})
    if keys.GEN_AI_TOOL_CALL_RESULT in attributes:
        response = parsed(attributes.pop(keys.GEN_AI_TOOL_CALL_RESULT))
        outputs.append({"role": "tool", "parts": [{"type": "tool_call_response", **identity, "response": response}]})
    return inputs, outputs


# The two records.


def _request(
    attributes: dict[str, Any], *, system: Sequence[dict[str, Any]], messages: Sequence[dict[str, Any]]
) -> InvocationRequest:
    definitions = [mapping(item) for item in as_list(parsed(attributes.pop(keys.GEN_AI_TOOL_DEFINITIONS, None)))]
    return InvocationRequest(
        operation=str(attributes.get(keys.GEN_AI_OPERATION_NAME) or ""),
        provider=_text(attributes, keys.GEN_AI_PROVIDER_NAME),
        model=_text(attributes, keys.GEN_AI_REQUEST_MODEL),
        attributes={
            key: value
            for key, value in attributes.items()
            if key.startswith(_REQUEST_PREFIXES) and not key.startswith(_RESULT_PREFIXES)
        },
        system_instructions=system,
        input_messages=messages,
        tool_definitions=definitions,
        tools=_declared_digests(attributes) or tool_digests(definitions),
        prompt=_prompt(attributes),
        call_site=_call_site(attributes),
    )


def _declared_digests(attributes: Mapping[str, Any]) -> dict[str, str]:
    items = [str(item).rpartition("=") for item in as_list(attributes.get(keys.SPANLEDGER_TOOL_DIGESTS))]
    return {name: digest for name, _, digest in items if name}


def _prompt(attributes: Mapping[str, Any]) -> PromptIdentity | None:
    identity = PromptIdentity(
        digest=_text(attributes, keys.SPANLEDGER_PROMPT_HASH),
        name=_text(attributes, keys.GEN_AI_PROMPT_NAME),
        version=_text(attributes, keys.GEN_AI_PROMPT_VERSION),
    )
    return None if identity == PromptIdentity() else identity


def _call_site(attributes: Mapping[str, Any]) -> CallSite | None:
    function = _text(attributes, keys.SPANLEDGER_CALL_SITE_FUNCTION)
    if function is None:
        return None
    line = attributes.get(keys.SPANLEDGER_CALL_SITE_LINE)
    module = _text(attributes, keys.SPANLEDGER_CALL_SITE_MODULE) or ""
    return CallSite(module, function, line if isinstance(line, int) else None)


def _result(
    facts: SpanFacts, attributes: dict[str, Any], *, usage: Usage | None, messages: Sequence[dict[str, Any]]
) -> InvocationResult:
    exception: Mapping[str, Any] = next((e.attributes for e in facts.events if e.name == "exception"), {})
    error_type = _text(attributes, keys.ERROR_TYPE) or _text(exception, keys.EXCEPTION_TYPE)
    is_error = facts.status == "error" or keys.ERROR_TYPE in attributes
    first_chunk = attributes.get(keys.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK)
    return InvocationResult(
        outcome=_outcome(attributes, is_error=is_error),
        response_id=_text(attributes, keys.GEN_AI_RESPONSE_ID),
        model=_text(attributes, keys.GEN_AI_RESPONSE_MODEL),
        finish_reasons=[str(r) for r in as_list(parsed(attributes.get(keys.GEN_AI_RESPONSE_FINISH_REASONS)))],
        usage=usage,
        output_messages=messages,
        time_to_first_chunk_s=float(first_chunk) if isinstance(first_chunk, (int, float)) else None,
        error_type=(error_type or "error") if is_error else None,
        error_message=_text(exception, keys.EXCEPTION_MESSAGE) or facts.status_message if is_error else None,
        attributes={key: value for key, value in attributes.items() if key.startswith(_RESULT_PREFIXES)},
    )


def _outcome(attributes: Mapping[str, Any], *, is_error: bool) -> Any:
    stated = attributes.get(keys.SPANLEDGER_EVENT_OUTCOME)
    if stated in ("success", "error", "escalated", "cancelled", "incomplete"):
        return stated
    return "error" if is_error else "success"


def _text(attributes: Mapping[str, Any], key: str) -> str | None:
    value = attributes.get(key)
    return None if value is None or value == "" else str(value)
