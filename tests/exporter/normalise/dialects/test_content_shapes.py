"""Content blocks as providers' APIs have them, whichever dialect carries them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spanledger_exporter.normalise.dialects import Reading, SpanEvent, SpanFacts, read_span

PNG = "data:image/png;base64,AAAA"
BLOB = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"}


def read(attributes: dict[str, Any], *events: SpanEvent, scope: str = "") -> Reading:
    """Read a span that must be understood."""
    reading = read_span(SpanFacts("x", attributes, scope, events))
    assert reading is not None
    return reading


def parts_in(reading: Reading) -> list[Any]:
    """Return the parts of the first input message."""
    return list(reading.request.input_messages[0]["parts"])


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ("plain", {"type": "text", "content": "plain"}),
        (7, {"type": "json", "content": 7}),
        ({"type": "input_text", "text": "Hi"}, {"type": "text", "content": "Hi"}),
        (
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "reasoning", "content": "Hm.", "signature": "s"},
        ),
        (
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            {"type": "tool_call", "id": "t", "name": "f", "arguments": {"a": 1}},
        ),
        (
            {"type": "tool_result", "tool_use_id": "t", "content": "Ada"},
            {"type": "tool_call_response", "id": "t", "response": "Ada"},
        ),
        ({"type": "image_url", "image_url": {"url": PNG}}, BLOB),
        ({"type": "something", "x": 1}, {"type": "something", "x": 1}),
        ({"x": 1}, {"type": "json", "content": {"x": 1}}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_block_of_a_message_event_becomes_a_part(block: Any, part: dict[str, Any]) -> None:
    """As the OpenAI and Anthropic APIs write them."""
    content = json.dumps([block]) if isinstance(block, dict) else [block]
    event = SpanEvent("gen_ai.user.message", {"content": content})
    assert parts_in(read({"gen_ai.system": "openai"}, event)) == [part]


def test_a_structured_content_that_is_no_list_is_kept_as_json() -> None:
    """Some emitters put an object there."""
    event = SpanEvent("gen_ai.user.message", {"content": {"x": 1}})
    assert parts_in(read({"gen_ai.system": "openai"}, event)) == [{"type": "json", "content": {"x": 1}}]


def test_a_message_event_may_hold_its_body_in_one_attribute() -> None:
    """Log records bridged to span events look like this."""
    event = SpanEvent("gen_ai.user.message", {"event_body": '{"content": "Hi"}', "event.name": "gen_ai.user.message"})
    message = read({"gen_ai.system": "openai"}, event).request.input_messages[0]
    assert message == {"role": "user", "parts": [{"type": "text", "content": "Hi"}]}


def test_a_flat_tool_call_is_a_tool_call() -> None:
    """Without the `function` wrapper."""
    calls = [{"id": "c", "name": "f", "arguments": "{}"}]
    event = SpanEvent("gen_ai.assistant.message", {"tool_calls": calls})
    part = parts_in(read({"gen_ai.system": "openai"}, event))[0]
    assert part == {"id": "c", "type": "tool_call", "name": "f", "arguments": {}}


# OpenLLMetry.


def test_openllmetry_content_in_json_becomes_parts() -> None:
    """Multi-modal prompts came as a JSON list inside the content."""
    content = json.dumps([{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": PNG}}, {"x": 1}])
    reading = read({"llm.request.type": "chat", "gen_ai.prompt.0.content": content})
    assert parts_in(reading) == [
        {"type": "text", "content": "Look"},
        BLOB,
        {"type": "json", "content": {"x": 1}},
    ]


def test_an_openllmetry_tool_answer_is_a_tool_call_response() -> None:
    """Joined to its call by the id."""
    prompt = {"gen_ai.prompt.0.role": "tool", "gen_ai.prompt.0.content": "Ada", "gen_ai.prompt.0.tool_call_id": "c"}
    reading = read({"llm.request.type": "chat", **prompt})
    assert parts_in(reading) == [{"type": "tool_call_response", "id": "c", "response": "Ada"}]


def test_openllmetry_functions_become_tool_definitions() -> None:
    """OpenAI's and Anthropic's field for the schema."""
    functions = {
        "llm.request.functions.0.name": "f",
        "llm.request.functions.0.parameters": '{"type":"object"}',
        "llm.request.functions.1.name": "g",
        "llm.request.functions.1.input_schema": '{"type":"string"}',
    }
    reading = read({"llm.request.type": "chat", **functions})
    assert reading.request.tool_definitions == [
        {"type": "function", "name": "f", "parameters": {"type": "object"}},
        {"type": "function", "name": "g", "parameters": {"type": "string"}},
    ]


@pytest.mark.parametrize(
    ("kind", "operation", "key"),
    [("workflow", "invoke_workflow", "gen_ai.workflow.name"), ("agent", "invoke_agent", "gen_ai.agent.name")],
)
def test_a_traceloop_decorator_is_a_step_with_its_input_and_output(kind: str, operation: str, key: str) -> None:
    """Both are JSON as traceloop wrote them."""
    entity = {"traceloop.entity.name": "n", "traceloop.entity.input": '{"a":1}', "traceloop.entity.output": '"b"'}
    reading = read({"traceloop.span.kind": kind, **entity})
    assert (reading.request.operation, reading.attributes[key]) == (operation, "n")
    assert parts_in(reading) == [{"type": "json", "content": {"a": 1}}]
    assert reading.result.output_messages[0]["parts"] == [{"type": "json", "content": "b"}]


# OpenInference.


@pytest.mark.parametrize(
    ("kind", "event_type"), [("RERANKER", "retrieval"), ("EVALUATOR", "evaluation"), ("GUARDRAIL", "evaluation")]
)
def test_an_openinference_kind_without_an_operation_has_an_event_type(kind: str, event_type: str) -> None:
    """The conventions have no operation for these."""
    assert read({"openinference.span.kind": kind}).attributes["spanledger.event.type"] == event_type


def test_openinference_completions_of_the_old_api_become_messages() -> None:
    """`llm.prompts` and `llm.choices`."""
    attributes = {"llm.prompts.0.prompt.text": "Once", "llm.choices.0.completion.text": "upon a time"}
    reading = read({"openinference.span.kind": "LLM", **attributes})
    assert parts_in(reading) == [{"type": "text", "content": "Once"}]
    assert reading.result.output_messages == [
        {"role": "assistant", "parts": [{"type": "text", "content": "upon a time"}]}
    ]


def test_an_openinference_part_of_an_unknown_type_keeps_everything() -> None:
    """Tomorrow's modality."""
    prefix = "llm.input_messages.0.message.contents.0.message_content"
    reading = read({"openinference.span.kind": "LLM", f"{prefix}.type": "smell", f"{prefix}.odour": "roses"})
    assert parts_in(reading) == [{"odour": "roses", "type": "smell"}]


def test_an_openinference_tool_call_may_have_no_id() -> None:
    """Older versions left it out."""
    prefix = "llm.output_messages.0.message.tool_calls.0.tool_call.function"
    reading = read({"openinference.span.kind": "LLM", f"{prefix}.name": "f", f"{prefix}.arguments": "{}"})
    assert reading.result.output_messages[0]["parts"] == [{"type": "tool_call", "name": "f", "arguments": {}}]


def test_an_openinference_tool_has_arguments_and_result() -> None:
    """From the plain input and output values."""
    values = {"input.value": '{"id":7}', "output.value": "Ada", "tool.name": "lookup"}
    reading = read({"openinference.span.kind": "TOOL", **values})
    assert parts_in(reading)[0]["arguments"] == {"id": 7}
    assert reading.result.output_messages[0]["parts"][0]["response"] == "Ada"


def test_an_openinference_retriever_without_documents_keeps_its_output() -> None:
    """Some retrievers report a text only."""
    reading = read({"openinference.span.kind": "RETRIEVER", "input.value": "q", "output.value": "found"})
    assert reading.result.output_messages[0]["parts"] == [{"type": "text", "content": "found"}]


# The current conventions and Logfire.


def test_a_text_part_of_the_providers_shape_is_read() -> None:
    """`text` where the conventions say `content`."""
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi"}, "there"]}]
    assert parts_in(read({"gen_ai.input.messages": messages})) == [
        {"type": "text", "content": "Hi"},
        {"type": "text", "content": "there"},
    ]


def test_an_evaluations_explanation_is_content() -> None:
    """It quotes what was evaluated."""
    reading = read({"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.explanation": "cites the rule"})
    assert reading.result.output_messages[0]["parts"] == [{"type": "text", "content": "cites the rule"}]


def test_memory_records_are_parts_of_their_own() -> None:
    """Like documents."""
    reading = read({"gen_ai.operation.name": "search_memory", "gen_ai.memory.records": '[{"id":"m1"},"plain"]'})
    parts = reading.result.output_messages[0]["parts"]
    assert parts == [{"id": "m1", "type": "memory_record"}, {"type": "memory_record", "content": "plain"}]


def test_a_whole_number_written_as_a_float_is_a_count() -> None:
    """JSON has one kind of number."""
    usage = read({"gen_ai.usage.input_tokens": 12.0}).result.usage
    assert usage is not None
    assert usage.input_tokens == 12


def test_an_outcome_that_the_span_states_is_believed() -> None:
    """A status cannot say `cancelled`."""
    assert read({"spanledger.event.outcome": "cancelled"}).result.outcome == "cancelled"


def test_further_counts_reach_the_usage() -> None:
    """A count that is no number stays an attribute."""
    reading = read({"gen_ai.usage.audio.input_tokens": 3, "spanledger.usage.other.web_searches": "many"})
    assert reading.result.usage is not None
    assert reading.result.usage.other == {"input_audio": 3}
    assert reading.attributes["spanledger.usage.other.web_searches"] == "many"


def test_a_logfire_tool_span_has_arguments_and_response() -> None:
    """Pydantic AI's names for them."""
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "f",
        "tool_arguments": '{"a":1}',
        "tool_response": "done",
    }
    reading = read(attributes, scope="pydantic-ai")
    assert parts_in(reading)[0]["arguments"] == {"a": 1}
    assert reading.result.output_messages[0]["parts"][0]["response"] == "done"


def test_a_streamed_logfire_answer_is_its_combined_text() -> None:
    """And an Anthropic request's system text stands apart."""
    attributes = {
        "request_data": json.dumps({"model": "m", "system": "Sort.", "messages": [{"role": "user", "content": "Hi"}]}),
        "response_data": json.dumps({"combined_chunk_content": "Hello", "chunk_count": 2}),
    }
    reading = read(attributes, scope="logfire.anthropic")
    assert reading.request.system_instructions == [{"type": "text", "content": "Sort."}]
    assert reading.result.output_messages == [{"role": "assistant", "parts": [{"type": "text", "content": "Hello"}]}]


def test_a_users_text_that_looks_like_a_list_stays_a_text() -> None:
    """Somebody typed `[7]`."""
    event = SpanEvent("gen_ai.user.message", {"content": "[7]"})
    assert parts_in(read({"gen_ai.system": "openai"}, event)) == [{"type": "text", "content": "[7]"}]


def test_an_openinference_span_of_an_unknown_kind_is_still_read() -> None:
    """Tomorrow's kind; a metadata-less document; an address that is none."""
    prefix = "llm.input_messages.0.message.contents.0.message_content"
    attributes = {
        "openinference.span.kind": "SOMETHING",
        "retrieval.documents.0.document.id": "a",
        f"{prefix}.type": "image",
        f"{prefix}.image.image": "no address",
    }
    reading = read(attributes)
    assert reading.request.operation == ""
    assert parts_in(reading) == [{"type": "image", "image": {"image": "no address"}}]


def test_an_openllmetry_completion_without_a_reason_is_a_message_all_the_same() -> None:
    """Streams cut off have none."""
    reading = read({"llm.request.type": "chat", "gen_ai.completion.0.content": "Hi"})
    assert reading.result.finish_reasons == []
    assert reading.result.output_messages[0]["parts"] == [{"type": "text", "content": "Hi"}]


def test_openinferences_provider_becomes_the_conventions_name() -> None:
    """Who serves and whose model it is are two facts; both are kept."""
    reading = read({"openinference.span.kind": "LLM", "llm.provider": "azure", "llm.system": "openai"})
    assert reading.request.provider == "azure.ai.openai"
    assert reading.attributes["llm.system"] == "openai"


def test_pydantic_ai_events_without_an_answer_are_the_input_only() -> None:
    """The call failed."""
    events = [{"event.name": "gen_ai.user.message", "content": "Hi"}]
    reading = read({"events": json.dumps(events), "gen_ai.system": "openai"}, scope="pydantic-ai")
    assert parts_in(reading) == [{"type": "text", "content": "Hi"}]
    assert reading.result.output_messages == []


def test_an_openinference_tool_of_an_unknown_shape_is_kept() -> None:
    """Whatever is there."""
    tools = {"llm.tools.0.tool.json_schema": '{"name":"f"}', "llm.tools.1.tool.name": "g"}
    definitions = read({"openinference.span.kind": "LLM", **tools}).request.tool_definitions
    assert definitions == [{"type": "function", "name": "f"}, {"tool": {"name": "g"}}]


def test_a_message_whose_content_is_a_text_has_one_text_part() -> None:
    """Some emitters write the provider's own message; a text that looks like JSON stays a text."""
    messages = [{"role": "user", "content": "[7]"}]
    assert parts_in(read({"gen_ai.input.messages": messages})) == [{"type": "text", "content": "[7]"}]


@pytest.mark.parametrize(("text", "kind"), [("Sort.", "text"), ('[{"type":"te', "unparsed")])
def test_system_instructions_in_one_text_are_one_part(text: str, kind: str) -> None:
    """Plain, or cut off in the middle of their JSON."""
    reading = read({"gen_ai.system_instructions": text})
    assert reading.request.system_instructions == [{"type": kind, "content": text}]
