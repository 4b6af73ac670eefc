"""Anthropic's wire format: messages, token counts, errors.

A stream opens with `message_start`, whose usage holds the final input counts and a *placeholder* `output_tokens: 1`;
the true count comes with `message_delta`, at the end. That is how the real API does it, and what a reader of a stream
that was cut short has to know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from local_provider.openai_wire import pieces
from local_provider.reply import Event, Json

PLACEHOLDER_OUTPUT_TOKENS = 1


def text_block(text: str) -> Json:
    """Return a text block."""
    return {"type": "text", "text": text, "citations": None}


def thinking_block(thinking: str) -> Json:
    """Return a thinking block with its signature."""
    return {"type": "thinking", "thinking": thinking, "signature": "c2lnbmVkIGJ5IHRoZSBsb2NhbCBwcm92aWRlcg=="}


def tool_use_block(call_id: str, name: str, arguments: Json, *, server: bool = False) -> Json:
    """Return a call of the application's tool, or of a tool that the provider runs itself."""
    kind = "server_tool_use" if server else "tool_use"
    return {"type": kind, "id": call_id, "name": name, "input": arguments, "caller": {"type": "direct"}}


def message_usage(input_tokens: int, output_tokens: int, *, cache_read: int = 0, cache_write: int = 0) -> Json:
    """Return the usage object of a message: `input_tokens` leaves out what the cache read and wrote."""
    return {
        "input_tokens": input_tokens,
        "cache_creation_input_tokens": cache_write,
        "cache_read_input_tokens": cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output_tokens,
        "service_tier": "standard",
        "server_tool_use": None,
    }


def message(
    content: Sequence[Json] | None = None,
    *,
    model: str = "claude-sonnet-5",
    usage: Json | None = None,
    stop_reason: str | None = None,
) -> Json:
    """Return a complete message."""
    blocks = list(content) if content is not None else [text_block("Hello from the local provider.")]
    calls_tool = any(block["type"] == "tool_use" for block in blocks)
    return {
        "id": "msg_local",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": blocks,
        "stop_reason": stop_reason or ("tool_use" if calls_tool else "end_turn"),
        "stop_sequence": None,
        "usage": usage if usage is not None else message_usage(12, 6),
    }


def message_events(body: Json, request: Json) -> Iterator[Event]:
    """Yield the event stream of a message."""
    del request  # the stream does not depend on it
    for kind, fields in _events(body):
        yield Event({"type": kind, **fields}, name=kind)


Named = tuple[str, dict[str, Any]]


def _events(body: Json) -> Iterator[Named]:
    usage = {**body["usage"], "output_tokens": PLACEHOLDER_OUTPUT_TOKENS}
    usage.pop("output_tokens_details", None)
    opening = {**body, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield "message_start", {"message": opening}
    yield "ping", {}
    for index, block in enumerate(body["content"]):
        yield "content_block_start", {"index": index, "content_block": _opening(block)}
        for delta in _deltas(block):
            yield "content_block_delta", {"index": index, "delta": delta}
        yield "content_block_stop", {"index": index}
    delta = {"stop_reason": body["stop_reason"], "stop_sequence": body["stop_sequence"]}
    yield "message_delta", {"delta": delta, "usage": _final_usage(body["usage"])}
    yield "message_stop", {}


def _final_usage(usage: Json) -> Json:
    """Return what `message_delta` says: cumulative counts, without tier and breakdown of the cache."""
    return {key: value for key, value in usage.items() if key not in {"cache_creation", "service_tier"}}


def _opening(block: Json) -> Json:
    """Return the block as it is announced: without what the deltas will bring."""
    emptied: Mapping[str, dict[str, Any]] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
        "server_tool_use": {"input": {}},
    }
    return {**block, **emptied.get(block["type"], {})}


def _deltas(block: Json) -> Iterator[Json]:
    if block["type"] == "text":
        for piece in pieces(block["text"]):
            yield {"type": "text_delta", "text": piece}
    elif block["type"] == "thinking":
        for piece in pieces(block["thinking"]):
            yield {"type": "thinking_delta", "thinking": piece}
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif block["type"] in {"tool_use", "server_tool_use"}:
        yield {"type": "input_json_delta", "partial_json": ""}
        for piece in pieces(json.dumps(block["input"], ensure_ascii=False)):
            yield {"type": "input_json_delta", "partial_json": piece}


def token_count(request: Json) -> Json:
    """Return a token count: one token for four characters of the request, which is all this server knows."""
    return {"input_tokens": len(json.dumps(request)) // 4}


_ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def error(status: int, text: str) -> Json:
    """Return the error body that goes with `status`."""
    return {"type": "error", "error": {"type": _ERROR_TYPES.get(status, "api_error"), "message": text}}
