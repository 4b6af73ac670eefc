"""One conversation, recorded by five other instrumentations, read as one and the same call.

`captures/` holds what the real packages emitted for the same three calls (an OpenAI chat with an image and a tool call,
an OpenAI embedding, an Anthropic message with thinking and a tool call) against a canned transport:
openinference-instrumentation-openai 0.1.66 and -anthropic 3.1.0, opentelemetry-instrumentation-openai and -anthropic
0.62.4 (OpenLLMetry), logfire 5.2.0, anthropic 2.11.0's own telemetry, and the official
opentelemetry-instrumentation-genai-openai and -anthropic 1.3b0 (`gen_ai`, which puts tool calls before the text).
What OpenLIT makes of the same calls is not the same conversation any more: see `test_openlit`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spanledger_exporter.normalise.dialects import Reading, SpanEvent, SpanFacts, read_span
from spanledger_semconv.digests import json_digest
from spanledger_semconv.invocation import InvocationRequest, Usage

CAPTURES = Path(__file__).parent / "captures"

ALERT_IN = [
    {"role": "system", "parts": [{"type": "text", "content": "Sort alerts."}]},
    {
        "role": "user",
        "parts": [
            {"type": "text", "content": "Alert 7"},
            {"type": "uri", "modality": "image", "uri": "https://x.test/a.png"},
        ],
    },
    {"role": "assistant", "parts": [{"type": "tool_call", "id": "call_0", "name": "lookup", "arguments": {"id": 1}}]},
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_0", "response": "Ada"}]},
]
ALERT_OUT = [
    {"type": "text", "content": "Let me look."},
    {"type": "tool_call", "id": "call_1", "name": "lookup", "arguments": {"id": 7}},
]
LOOKUP = {
    "type": "function",
    "name": "lookup",
    "description": "Find a customer",
    "parameters": {"type": "object", "properties": {"id": {"type": "integer"}}},
}


def facts(dialect: str) -> list[SpanFacts]:
    """Load what one instrumentation emitted."""
    spans = json.loads((CAPTURES / f"{dialect}.json").read_text(encoding="utf-8"))
    return [
        SpanFacts(
            name=span["name"],
            scope=span["scope"],
            attributes=span["attributes"],
            events=[SpanEvent(event["name"], event["attributes"]) for event in span["events"]],
            status=span["status"],
        )
        for span in spans
    ]


def read(span: SpanFacts) -> Reading:
    """Read a span that must be understood."""
    reading = read_span(span)
    assert reading is not None
    return reading


OPENAI = ["gen_ai", "openinference", "openllmetry", "logfire"]
ANTHROPIC = [*OPENAI, "anthropic"]


@pytest.mark.parametrize("dialect", OPENAI)
def test_an_openai_chat_reads_the_same_whoever_recorded_it(dialect: str) -> None:
    """Messages, parts, their order and the tool's definition come out in the conventions' shapes."""
    reading = read(facts(dialect)[0])
    assert reading.dialect == dialect
    assert reading.request.input_messages == ALERT_IN
    assert sorted(reading.result.output_messages[0]["parts"], key=lambda part: part["type"]) == ALERT_OUT
    assert reading.request.tool_definitions == [LOOKUP]
    assert reading.request.tools == {"lookup": json_digest(LOOKUP)}


@pytest.mark.parametrize("dialect", OPENAI)
def test_model_parameters_and_usage_of_an_openai_chat_are_found(dialect: str) -> None:
    """The requested and the answering model are told apart; cached and reasoning tokens are parts of the totals."""
    reading = read(facts(dialect)[0])
    request = reading.request
    assert (request.operation, request.provider, request.model) == ("chat", "openai", "gpt-5.2")
    assert request.attributes["gen_ai.request.temperature"] == 0.2
    assert reading.result.model == "gpt-5.2-2025-12-11"
    assert reading.result.usage is not None
    assert reading.result.usage.input_tokens == 1200
    assert reading.result.usage.cache_read == 1000
    assert reading.result.usage.reasoning == 10


@pytest.mark.parametrize("dialect", OPENAI)
def test_an_embedding_is_an_embedding_whoever_recorded_it(dialect: str) -> None:
    """Its model and its count are there."""
    reading = read(facts(dialect)[1])
    assert (reading.request.operation, reading.request.model) == ("embeddings", "text-embedding-3-small")
    assert reading.result.usage is not None
    assert reading.result.usage.input_tokens == 4


@pytest.mark.parametrize("dialect", ANTHROPIC)
def test_an_anthropic_message_reads_the_same_whoever_recorded_it(dialect: str) -> None:
    """Thinking, text and tool use keep their order; the input count includes what was cached."""
    reading = read(facts(dialect)[-1])
    thinking, text, call = reading.result.output_messages[0]["parts"]
    assert thinking.get("content", thinking.get("thinking")) == "Hm."
    assert text == {"type": "text", "content": "Let me look."}
    assert call == {"type": "tool_call", "id": "toolu_1", "name": "lookup", "arguments": {"id": 7}}
    assert reading.result.usage is not None
    assert (reading.result.usage.input_tokens, reading.result.usage.output_tokens) == (1150, 30)


@pytest.mark.parametrize("dialect", ANTHROPIC)
def test_the_system_prompt_of_an_anthropic_message_is_not_lost(dialect: str) -> None:
    """OpenInference makes it the first message, the others keep it apart as the API does."""
    request = read(facts(dialect)[-1]).request
    first = request.system_instructions or request.input_messages[0]["parts"]
    assert first == [{"type": "text", "content": "Sort alerts."}]


def test_the_anthropic_sdk_reports_cache_lifetimes_and_they_reach_the_usage() -> None:
    """An hour of cache costs more than five minutes: the counts are told apart."""
    usage = read(facts("anthropic")[0]).result.usage
    assert usage == Usage(
        input_tokens=1150,
        output_tokens=30,
        cache_read=1000,
        cache_write=50,
        other={"cache_write_5m": 10, "cache_write_1h": 40},
    )


def test_the_anthropic_sdks_own_stop_reason_becomes_a_finish_reason() -> None:
    """The original stays among the attributes."""
    reading = read(facts("anthropic")[0])
    assert reading.result.finish_reasons == ["tool_call"]
    assert reading.attributes["anthropic.message.stop_reason"] == "tool_use"


CASES = [(dialect, index) for dialect in [*ANTHROPIC, "openlit"] for index in range(len(facts(dialect)))]


def leaves(value: Any) -> set[str]:
    """Return every scalar inside a value, JSON texts opened."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        return leaves(json.loads(value))
    if isinstance(value, dict):
        return set().union(*map(leaves, value.values()))
    if isinstance(value, (list, tuple)):
        return set().union(*map(leaves, value))
    return {str(value)}


@pytest.mark.parametrize(("dialect", "index"), CASES)
def test_no_value_of_a_captured_span_is_lost(dialect: str, index: int) -> None:
    """Every scalar that came in is in a record or among the remaining attributes, except names that were mapped."""
    span = facts(dialect)[index]
    reading = read(span)
    kept = leaves([vars_of(reading.request), vars_of(reading.result), dict(reading.attributes)])
    mapped = {"image", "image_url", "tool_use", "text"}  # part types that have another name in the conventions
    mapped |= {"system"} if dialect == "openlit" else set()  # the role of a system prompt that it repeats
    assert leaves(dict(span.attributes)) - kept - mapped == set()


def vars_of(record: Any) -> dict[str, Any]:
    """Return the fields of a slotted record."""
    fields = {name: getattr(record, name) for name in type(record).__slots__}
    if isinstance(fields.get("usage"), Usage):
        fields["usage"] = vars_of(fields["usage"])
    return {name: value for name, value in fields.items() if not isinstance(value, InvocationRequest)}


@pytest.mark.parametrize("dialect", ["openinference", "logfire", "anthropic"])
def test_what_decides_the_price_of_cached_tokens_is_found_whoever_recorded_it(dialect: str) -> None:
    """Tier and cache lifetimes stand in the provider's answer, which these three keep; OpenLLMetry does not."""
    reading = read(facts(dialect)[-1])
    assert reading.result.usage is not None
    assert reading.result.usage.other == {"cache_write_5m": 10, "cache_write_1h": 40}
    assert reading.attributes["anthropic.response.service_tier"] == "standard"
