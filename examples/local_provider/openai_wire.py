"""OpenAI's wire format: chat completions, legacy completions, embeddings, errors.

The complete answers have the shape that the API documents; the `*_events` functions turn a complete answer into the
chunks that the API would have sent for `stream: true`.
A usage chunk is sent only when the request says `stream_options.include_usage`, as the real API does.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from local_provider.reply import Event, Json

CREATED = 1_790_000_000
DONE = Event("[DONE]")
_WORD = re.compile(r"\S*\s*")


def pieces(text: str) -> list[str]:
    """Cut `text` into the words that a stream sends one by one; joined they are the text again."""
    return [piece for piece in _WORD.findall(text) if piece]


def tool_call(call_id: str, name: str, arguments: str) -> Json:
    """Return one function call of an assistant message; `arguments` is JSON text, as the API sends it."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def chat_completion(
    text: str | None = "Hello from the local provider.",
    *,
    model: str = "gpt-5-mini",
    tool_calls: Sequence[Json] = (),
    usage: Json | None = None,
    **message_fields: Any,
) -> Json:
    """Return a complete chat completion with one choice."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, **message_fields}
    if tool_calls:
        message["tool_calls"] = list(tool_calls)
    finish_reason = "tool_calls" if tool_calls else "stop"
    return {
        "id": "chatcmpl-local",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": "fp_local",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
        "usage": usage if usage is not None else chat_usage(12, 6),
    }


def chat_usage(prompt: int, completion: int, *, cached: int = 0, reasoning: int = 0) -> Json:
    """Return the usage object of a chat completion."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
    }


def chat_events(body: Json, request: Json) -> Iterator[Event]:
    """Yield the chunks of a chat completion."""
    wants_usage = bool((request.get("stream_options") or {}).get("include_usage"))
    head = {key: body[key] for key in ("id", "created", "model", "service_tier", "system_fingerprint") if key in body}
    head["object"] = "chat.completion.chunk"
    tail = {"usage": None} if wants_usage else {}
    for choice in body["choices"]:
        for delta in _deltas(choice["message"]):
            yield Event({**head, "choices": [_chunk(choice["index"], delta, None)], **tail})
        yield Event({**head, "choices": [_chunk(choice["index"], {}, choice["finish_reason"])], **tail})
    if wants_usage and body.get("usage") is not None:
        yield Event({**head, "choices": [], "usage": body["usage"]})
    yield DONE


def _chunk(index: int, delta: Json, finish_reason: str | None) -> Json:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _deltas(message: Json) -> Iterator[Json]:
    has_text = message.get("content") is not None
    yield {"role": "assistant", "content": "" if has_text else None, "refusal": None}
    for piece in pieces(message.get("content") or ""):
        yield {"content": piece}
    for piece in pieces(message.get("refusal") or ""):
        yield {"refusal": piece}
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        opening = {"index": index, "id": call["id"], "type": "function"}
        yield {"tool_calls": [{**opening, "function": {"name": function["name"], "arguments": ""}}]}
        for piece in pieces(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def text_completion(text: str = "Hello again.", *, model: str = "gpt-3.5-turbo-instruct") -> Json:
    """Return a complete legacy completion."""
    return {
        "id": "cmpl-local",
        "object": "text_completion",
        "created": CREATED,
        "model": model,
        "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7},
    }


def completion_events(body: Json, request: Json) -> Iterator[Event]:
    """Yield the chunks of a legacy completion."""
    wants_usage = bool((request.get("stream_options") or {}).get("include_usage"))
    head = {key: body[key] for key in ("id", "object", "created", "model")}
    for choice in body["choices"]:
        part = {"index": choice["index"], "logprobs": None}
        for piece in pieces(choice["text"]):
            yield Event({**head, "choices": [{**part, "text": piece, "finish_reason": None}]})
        yield Event({**head, "choices": [{**part, "text": "", "finish_reason": choice["finish_reason"]}]})
    if wants_usage:
        yield Event({**head, "choices": [], "usage": body["usage"]})
    yield DONE


def embeddings(request: Json, vectors: Sequence[Sequence[float]] | None = None) -> Json:
    """Return one embedding per input, encoded as the request asks: base64 of little-endian floats, or numbers."""
    given = request.get("input", "")
    count = len(given) if isinstance(given, list) and given and not isinstance(given[0], int) else 1
    rows = vectors if vectors is not None else [[0.25, -0.5, 1.0 + index] for index in range(count)]
    as_base64 = request.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(row) if as_base64 else list(row)}
        for index, row in enumerate(rows)
    ]
    usage = {"prompt_tokens": 5 * count, "total_tokens": 5 * count}
    return {"object": "list", "data": data, "model": request.get("model", "text-embedding-3-small"), "usage": usage}


def _base64(row: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode()


_ERROR_TYPES: Mapping[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def error(status: int, message: str) -> Json:
    """Return the error body that goes with `status`."""
    kind, code = _ERROR_TYPES.get(status, ("server_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
