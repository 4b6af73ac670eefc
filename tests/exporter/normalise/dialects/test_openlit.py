"""Spans that OpenLIT 1.45.0 really made: what it says is read, and what it makes up is not taken for a fact.

`captures/openlit.json` holds a chat with an image and a tool call, an embedding, a stream without reported usage, a
refused call, a response (openai 2.54) and an Anthropic message with thinking and a tool call (anthropic 0.125).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spanledger_exporter.normalise.dialects import Reading, SpanEvent, SpanFacts, read_span
from spanledger_semconv.events import event_type
from spanledger_semconv.invocation import Usage

CAPTURE = Path(__file__).parent / "captures" / "openlit.json"
CHAT, EMBEDDING, STREAM, REFUSED, RESPONSE, MESSAGE = range(6)


def read(index: int) -> Reading:
    """Read one of the spans."""
    span = json.loads(CAPTURE.read_text(encoding="utf-8"))[index]
    events = [SpanEvent(event["name"], event["attributes"]) for event in span["events"]]
    reading = read_span(SpanFacts(span["name"], span["attributes"], span["scope"], events, span["status"]))
    assert reading is not None
    return reading


@pytest.mark.parametrize("index", range(6))
def test_every_span_is_recognised(index: int) -> None:
    """By its scope; the attributes alone look like anybody's."""
    assert read(index).dialect == "openlit"


def test_a_chat_has_its_messages_and_the_system_prompt_once() -> None:
    """OpenLIT drops the assistant's message without text and the tools' definitions: what it has is read."""
    reading = read(CHAT)
    system, user, tool = reading.request.input_messages
    assert system == {"role": "system", "parts": [{"type": "text", "content": "Sort alerts."}]}
    assert [part["type"] for part in user["parts"]] == ["text", "uri"]
    assert tool["parts"] == [{"type": "tool_call_response", "id": "call_0", "response": "Ada"}]
    assert list(reading.request.system_instructions) == []
    assert reading.result.output_messages[0]["parts"][1]["arguments"] == {"id": 7}


def test_a_tool_that_the_model_asked_for_makes_no_tool_call_of_the_span() -> None:
    """The call is in the answer; the span is the model's, and its input is what was sent."""
    reading = read(MESSAGE)
    assert event_type(reading.attributes) == "model_call"
    assert "gen_ai.tool.name" not in reading.attributes
    assert [message["role"] for message in reading.request.input_messages] == ["user"]
    assert reading.attributes["openlit.tool.name"] == "lookup"


def test_parameters_that_nobody_sent_are_no_parameters() -> None:
    """The caller sent a temperature; seed, penalties and top_p are OpenLIT's own, and stay under such a name."""
    reading = read(CHAT)
    sent = {key for key in reading.request.attributes if key.startswith("gen_ai.request.")}
    assert sent == {"gen_ai.request.model", "gen_ai.request.temperature", "gen_ai.request.stream"}
    assert reading.attributes["openlit.default.request.seed"] == 0
    assert "gen_ai.request.max_tokens" not in read(RESPONSE).request.attributes


def test_reported_usage_is_reported() -> None:
    """Cached tokens are part of the input."""
    usage = read(CHAT).result.usage
    assert usage == Usage(input_tokens=1200, output_tokens=30, cache_read=1000, cache_write=0)


def test_counts_of_a_stream_that_reported_none_are_estimates() -> None:
    """OpenLIT ran a tokeniser over the text; that is no bill."""
    usage = read(STREAM).result.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.source) == (6, 3, "estimated")


def test_an_anthropic_input_count_includes_what_was_cached() -> None:
    """100 fresh, 1,000 read and 50 written are 1,150; the original stays."""
    reading = read(MESSAGE)
    assert reading.result.usage == Usage(input_tokens=1150, output_tokens=30, cache_read=1000, cache_write=50)
    assert reading.attributes["openlit.usage.input_tokens"] == 100


def test_an_anthropic_system_prompt_stays_apart() -> None:
    """As the API has it."""
    assert list(read(MESSAGE).request.system_instructions) == [{"type": "text", "content": "Sort alerts."}]


@pytest.mark.parametrize(("index", "reason"), [(CHAT, "tool_calls"), (RESPONSE, "stop"), (MESSAGE, "tool_call")])
def test_finish_reasons_are_in_the_conventions_words(index: int, reason: str) -> None:
    """`completed` and `tool_use` are the vendors'."""
    assert list(read(index).result.finish_reasons) == [reason]


def test_a_refused_call_is_an_error_with_its_message() -> None:
    """The exception event says what happened."""
    result = read(REFUSED).result
    assert (result.outcome, result.error_type) == ("error", "BadRequestError")
    assert result.error_message is not None
    assert "no such model" in result.error_message


def test_an_embedding_is_an_embedding() -> None:
    """With its input and its count."""
    reading = read(EMBEDDING)
    assert (reading.request.operation, reading.request.model) == ("embeddings", "text-embedding-3-small")
    assert reading.result.usage == Usage(input_tokens=4)


def test_the_time_to_the_first_token_is_taken_for_streams_only() -> None:
    """For a whole answer OpenLIT writes the duration of the call there."""
    assert read(STREAM).result.time_to_first_chunk_s is not None
    assert read(CHAT).result.time_to_first_chunk_s is None
