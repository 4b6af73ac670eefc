"""The JSON shapes: what the schema accepts and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from spanledger_semconv.messages import is_plain_text, load_schema
from spanledger_semconv.review import HumanReview

GOOD_PARTS: list[dict[str, Any]] = [
    {"type": "text", "content": "Hi"},
    {"type": "text", "content": "Hi", "annotations": []},
    {"type": "reasoning", "content": "Hm."},
    {"type": "compaction"},
    {"type": "tool_call", "name": "lookup"},
    {"type": "tool_call", "id": None, "name": "lookup", "arguments": {"id": 7}},
    {"type": "tool_call_response", "id": "c1", "response": None},
    {"type": "server_tool_call", "name": "search", "server_tool_call": {"type": "web_search", "query": "x"}},
    {"type": "server_tool_call_response", "server_tool_call_response": {"type": "web_search"}},
    {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"},
    {"type": "file", "modality": "document", "file_id": "f1"},
    {"type": "uri", "modality": "image", "uri": "https://x.test/a.png"},
    {"type": "something_new", "whatever": 1},
]
BAD_PARTS: list[Any] = [
    "Hi",
    {},
    {"content": "Hi"},
    {"type": ""},
    {"type": "text"},
    {"type": "text", "content": 7},
    {"type": "reasoning"},
    {"type": "tool_call"},
    {"type": "tool_call", "name": 7},
    {"type": "tool_call_response", "id": "c1", "result": "rain"},
    {"type": "server_tool_call", "name": "search"},
    {"type": "server_tool_call", "name": "search", "server_tool_call": {"query": "no type"}},
    {"type": "blob", "modality": "image", "content": "not base64!"},
    {"type": "blob", "content": "AAAA"},
    {"type": "file", "modality": "document"},
    {"type": "uri", "modality": "image", "uri": "data:image/png;base64,AAAA"},
]


def is_valid(name: str, value: Any) -> bool:
    """Judge `value` by one of the schema's definitions."""
    return Draft202012Validator({**load_schema(), "$ref": f"#/$defs/{name}"}).is_valid(value)


def test_the_schema_is_a_schema() -> None:
    """A mistake in it would accept everything."""
    Draft202012Validator.check_schema(load_schema())


@pytest.mark.parametrize("part", GOOD_PARTS, ids=lambda part: part["type"])
def test_a_part_of_the_conventions_is_accepted(part: dict[str, Any]) -> None:
    """Further members and further types are allowed."""
    assert is_valid("input_messages", [{"role": "user", "parts": [part]}])


@pytest.mark.parametrize("part", BAD_PARTS, ids=str)
def test_a_part_that_breaks_the_conventions_is_refused(part: Any) -> None:
    """`result` instead of `response` is the mistake that the conventions' own examples make."""
    assert not is_valid("input_messages", [{"role": "user", "parts": [part]}])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_messages", [{"parts": []}]),
        ("input_messages", [{"role": "user"}]),
        ("input_messages", [{"role": "user", "parts": [], "finish_reason": "stop"}]),
        ("input_messages", {"role": "user", "parts": []}),
        ("tool_definitions", [{"name": "lookup"}]),
        ("tool_definitions", [{"type": "function"}]),
        ("tool_definitions", [{"type": "function", "name": "lookup", "parameters": "{}"}]),
        ("documents", [{"id": 7}]),
        ("documents", [{"score": "high"}]),
        ("system_instructions", "Answer briefly."),
    ],
)
def test_other_shapes_that_break_the_conventions_are_refused(name: str, value: Any) -> None:
    """Each value has one thing wrong."""
    assert not is_valid(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_messages", []),
        ("output_messages", [{"role": "assistant", "parts": [], "finish_reason": "stop"}]),
        ("tool_definitions", [{"type": "function", "name": "f", "parameters": {"type": "object"}}]),
        ("tool_definitions", [{"type": "web_search", "name": "web_search", "max_uses": 3}]),
        ("documents", [{"id": "d1", "score": 0.9, "content": "…"}, {}]),
        ("system_instructions", [{"type": "text", "content": "Answer briefly."}]),
    ],
)
def test_other_shapes_of_the_conventions_are_accepted(name: str, value: Any) -> None:
    """As the conventions' own examples have them."""
    assert is_valid(name, value)


def test_a_reviews_messages_have_the_shapes_that_they_should() -> None:
    """Our own part types are in the schema too."""
    review = HumanReview("m", "edit", draft="a b", final="a c", reasoning="typo", shown=["the alert"])
    assert is_valid("input_messages", review.input_messages())
    assert is_valid("output_messages", review.output_messages())


def test_only_a_part_that_is_nothing_but_text_is_plain_text() -> None:
    """Storing the text alone must lose nothing."""
    assert is_plain_text({"type": "draft", "content": "Dear"})
    assert not is_plain_text({"type": "text", "content": "Hi", "annotations": []})
    assert not is_plain_text({"type": "draft", "content": {"amount": 7}})
    assert not is_plain_text({"type": "json", "content": "x"})
