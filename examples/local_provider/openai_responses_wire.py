"""OpenAI's wire format of the responses API: complete answers and their event stream.

Every event carries `type` and a `sequence_number` that counts from 0; the last event is `response.completed`,
`response.incomplete` or `response.failed`, with the whole response in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from local_provider.openai_wire import CREATED, pieces
from local_provider.reply import Event, Json


def message_item(text: str) -> Json:
    """Return an output item with one text part."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": "msg_local", "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def function_call_item(call_id: str, name: str, arguments: str) -> Json:
    """Return an output item that calls a function; `arguments` is JSON text."""
    head = {"id": f"fc_{call_id}", "type": "function_call", "status": "completed"}
    return {**head, "call_id": call_id, "name": name, "arguments": arguments}


def reasoning_item(summary: str) -> Json:
    """Return a reasoning item with one summary part."""
    return {"id": "rs_local", "type": "reasoning", "summary": [{"type": "summary_text", "text": summary}]}


def response_usage(input_tokens: int, output_tokens: int, *, cached: int = 0, reasoning: int = 0) -> Json:
    """Return the usage object of a response."""
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": input_tokens + output_tokens,
    }


def response(
    output: Sequence[Json] | None = None, *, model: str = "gpt-5-mini", usage: Json | None = None, **fields: Any
) -> Json:
    """Return a complete response; `fields` replace the defaults below."""
    return {
        "id": "resp_local",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": model,
        "output": list(output) if output is not None else [message_item("Hello from the local provider.")],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage if usage is not None else response_usage(12, 6),
        "metadata": {},
        **fields,
    }


def response_events(body: Json, request: Json) -> Iterator[Event]:
    """Yield the event stream of a response, numbered."""
    del request  # the stream does not depend on it
    for number, (kind, fields) in enumerate(_events(body)):
        yield Event({"type": kind, "sequence_number": number, **fields}, name=kind)


Numbered = tuple[str, dict[str, Any]]


def _events(body: Json) -> Iterator[Numbered]:
    started = {**body, "status": "in_progress", "output": [], "usage": None}
    yield "response.created", {"response": started}
    yield "response.in_progress", {"response": started}
    for index, item in enumerate(body["output"]):
        yield from _item_events(index, item)
    yield f"response.{body['status']}", {"response": body}


def _item_events(index: int, item: Json) -> Iterator[Numbered]:
    place = {"output_index": index, "item_id": item["id"]}
    yield "response.output_item.added", {"output_index": index, "item": _opening(item)}
    if item["type"] == "message":
        for number, part in enumerate(item["content"]):
            yield from _part_events({**place, "content_index": number}, part)
    elif item["type"] == "function_call":
        for piece in pieces(item["arguments"]):
            yield "response.function_call_arguments.delta", {**place, "delta": piece}
        done = {"arguments": item["arguments"], "name": item["name"]}
        yield "response.function_call_arguments.done", {**place, **done}
    elif item["type"] == "reasoning":
        for number, part in enumerate(item["summary"]):
            yield from _summary_events({**place, "summary_index": number}, part)
    yield "response.output_item.done", {"output_index": index, "item": item}


_EMPTIED: Mapping[str, dict[str, Any]] = {
    "message": {"content": []},
    "function_call": {"arguments": ""},
    "reasoning": {"summary": []},
}


def _opening(item: Json) -> Json:
    """Return the item as it is announced: without what the deltas will bring."""
    status = {"status": "in_progress"} if "status" in item else {}
    return {**item, **_EMPTIED.get(item["type"], {}), **status}


def _part_events(place: dict[str, Any], part: Json) -> Iterator[Numbered]:
    field, kind = ("refusal", "refusal") if part["type"] == "refusal" else ("text", "output_text")
    yield "response.content_part.added", {**place, "part": {**part, field: ""}}
    extra: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
    for piece in pieces(part[field]):
        yield f"response.{kind}.delta", {**place, "delta": piece, **extra}
    yield f"response.{kind}.done", {**place, field: part[field], **extra}
    yield "response.content_part.done", {**place, "part": part}


def _summary_events(place: dict[str, Any], part: Json) -> Iterator[Numbered]:
    yield "response.reasoning_summary_part.added", {**place, "part": {**part, "text": ""}}
    for piece in pieces(part["text"]):
        yield "response.reasoning_summary_text.delta", {**place, "delta": piece}
    yield "response.reasoning_summary_text.done", {**place, "text": part["text"]}
    yield "response.reasoning_summary_part.done", {**place, "part": part}
