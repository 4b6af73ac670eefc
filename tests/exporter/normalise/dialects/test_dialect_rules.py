"""What each dialect means, rule by rule, on spans small enough to read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger_exporter.normalise.dialects import Reading, SpanEvent, SpanFacts, dialect_of, is_dialect_key, read_span


def read(attributes: dict[str, Any], *, events: list[SpanEvent] | None = None, **facts: Any) -> Reading:
    """Read a span that must be understood."""
    reading = read_span(SpanFacts(name="x", attributes=attributes, events=events or [], **facts))
    assert reading is not None
    return reading


def test_a_span_about_something_else_is_not_read() -> None:
    """An HTTP span is no AI call."""
    assert read_span(SpanFacts(name="GET", attributes={"http.request.method": "GET"})) is None


@pytest.mark.parametrize(
    ("scope", "attributes", "dialect"),
    [
        ("spanledger.openai", {"gen_ai.operation.name": "chat"}, "spanledger"),
        ("opentelemetry.instrumentation.genai.openai", {"gen_ai.provider.name": "openai"}, "gen_ai"),
        ("opentelemetry.instrumentation.openai_v2", {"gen_ai.system": "openai"}, "gen_ai_deprecated"),
        ("com.anthropic.sdk.python", {"gen_ai.provider.name": "anthropic"}, "anthropic"),
        ("anything", {"openinference.span.kind": "LLM"}, "openinference"),
        ("anything", {"traceloop.span.kind": "task"}, "openllmetry"),
        ("anything", {"gen_ai.prompt.0.content": "Hi"}, "openllmetry"),
        ("logfire.openai", {"request_data": "{}"}, "logfire"),
        ("mcp-python-sdk", {"mcp.method.name": "tools/call"}, "gen_ai"),
        ("logfire", {"http.route": "/"}, None),
    ],
)
def test_a_dialect_is_told_by_scope_and_attribute_names(scope: str, attributes: dict[str, Any], dialect: str) -> None:
    """The name goes into `capture.dialect`."""
    assert dialect_of(SpanFacts(name="x", scope=scope, attributes=attributes)) == dialect


def test_which_attributes_make_a_span_worth_a_row() -> None:
    """The normaliser asks this for every span of a trace."""
    assert is_dialect_key("gen_ai.request.model")
    assert is_dialect_key("llm.model_name")
    assert not is_dialect_key("http.route")


# The current conventions.


@pytest.mark.parametrize("as_text", [True, False])
def test_messages_are_read_as_json_text_and_structured(as_text: bool) -> None:
    """Span attributes usually hold text, events hold structure."""
    messages = [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
    value = json.dumps(messages) if as_text else messages
    assert read({"gen_ai.input.messages": value}).request.input_messages == messages


def test_a_message_cut_off_in_the_middle_is_kept_as_it_came() -> None:
    """A backend's length limit breaks JSON; the text is still evidence."""
    cut = '[{"role":"user","parts":[{"type":"te'
    part = read({"gen_ai.input.messages": cut}).request.input_messages[0]["parts"][0]
    assert part == {"type": "unparsed", "content": cut}


def test_content_in_the_details_event_is_taken_in() -> None:
    """`EVENT_ONLY` capture leaves the span without messages."""
    messages = [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
    event = SpanEvent("gen_ai.client.inference.operation.details", {"gen_ai.input.messages": messages})
    reading = read({"gen_ai.operation.name": "chat"}, events=[event])
    assert reading.request.input_messages == messages
    assert reading.events == ()


def test_a_tool_call_is_one_message_in_and_one_out() -> None:
    """Arguments and result are content, joined by the call's id."""
    reading = read(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "lookup",
            "gen_ai.tool.call.id": "c1",
            "gen_ai.tool.call.arguments": '{"id":7}',
            "gen_ai.tool.call.result": "Ada",
        }
    )
    call, response = reading.request.input_messages[0]["parts"][0], reading.result.output_messages[0]["parts"][0]
    assert call == {"type": "tool_call", "id": "c1", "name": "lookup", "arguments": {"id": 7}}
    assert response == {"type": "tool_call_response", "id": "c1", "response": "Ada"}


def test_each_retrieved_document_is_a_part_of_its_own() -> None:
    """One reference per part: a document found again is stored once."""
    documents = [{"id": "a", "score": 0.9, "type": "pdf"}, {"id": "b"}]
    reading = read({"gen_ai.retrieval.query.text": "rules", "gen_ai.retrieval.documents": json.dumps(documents)})
    assert [part["id"] for part in reading.result.output_messages[0]["parts"]] == ["a", "b"]
    assert reading.request.input_messages[0]["parts"] == [{"type": "text", "content": "rules"}]


def test_an_exception_event_says_what_went_wrong() -> None:
    """The message is content (it may be personal), the type is a name."""
    event = SpanEvent("exception", {"exception.type": "ValueError", "exception.message": "no Ada"})
    result = read({"gen_ai.operation.name": "chat"}, events=[event], status="error").result
    assert (result.outcome, result.error_type, result.error_message) == ("error", "ValueError", "no Ada")


def test_a_span_without_a_word_about_failure_succeeded() -> None:
    """An unset status is OpenTelemetry's way to say nothing went wrong."""
    result = read({"gen_ai.operation.name": "chat"}).result
    assert (result.outcome, result.error_type, result.usage) == ("success", None, None)


def test_a_count_that_is_no_integer_is_not_believed_and_not_lost() -> None:
    """It stays among the attributes."""
    reading = read({"gen_ai.usage.input_tokens": "many", "gen_ai.usage.output_tokens": 3})
    assert reading.result.usage is not None
    assert (reading.result.usage.input_tokens, reading.result.usage.output_tokens) == (None, 3)
    assert reading.attributes["gen_ai.usage.input_tokens"] == "many"


def test_our_own_spans_from_another_process_keep_prompt_tools_and_call_site() -> None:
    """A collector receives them as attributes only."""
    reading = read(
        {
            "gen_ai.operation.name": "chat",
            "spanledger.prompt.hash": "ab",
            "gen_ai.prompt.name": "triage",
            "spanledger.tool.digests": ["lookup=cd"],
            "spanledger.call_site.module": "shop",
            "spanledger.call_site.function": "run",
        },
        scope="spanledger.openai",
    )
    assert reading.request.prompt is not None
    assert (reading.request.prompt.digest, reading.request.prompt.name) == ("ab", "triage")
    assert reading.request.tools == {"lookup": "cd"}
    assert reading.request.call_site is not None


# Earlier conventions.


def test_old_names_become_current_ones() -> None:
    """`gen_ai.system` and `prompt_tokens` are long deprecated and still everywhere."""
    reading = read({"gen_ai.system": "vertex_ai", "gen_ai.usage.prompt_tokens": 5})
    assert reading.request.provider == "gcp.vertex_ai"
    assert reading.result.usage is not None
    assert reading.result.usage.input_tokens == 5


def test_one_event_per_message_becomes_a_conversation() -> None:
    """The order of the events is the order of the messages."""
    call = {"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": '{"id":7}'}}
    events = [
        SpanEvent("gen_ai.system.message", {"gen_ai.system": "openai", "content": "Sort."}),
        SpanEvent("gen_ai.user.message", {"content": "Alert 7"}),
        SpanEvent("gen_ai.assistant.message", {"tool_calls": json.dumps([call])}),
        SpanEvent("gen_ai.tool.message", {"id": "c1", "content": "Ada"}),
        SpanEvent("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": '{"content":"Close it."}'}),
        SpanEvent("something.else", {}),
    ]
    reading = read({"gen_ai.system": "openai"}, events=events)
    assert [message["role"] for message in reading.request.input_messages] == ["system", "user", "assistant", "tool"]
    assert reading.request.input_messages[2]["parts"][0]["arguments"] == {"id": 7}
    assert reading.result.output_messages[0]["parts"] == [{"type": "text", "content": "Close it."}]
    assert reading.result.finish_reasons == ["stop"]
    assert [event.name for event in reading.events] == ["something.else"]


def test_whole_prompt_and_completion_events_become_messages() -> None:
    """An even older shape: one event with everything in one attribute."""
    events = [
        SpanEvent("gen_ai.content.prompt", {"gen_ai.prompt": '[{"role":"user","content":"Hi"}]'}),
        SpanEvent("gen_ai.content.completion", {"gen_ai.completion": "Hello"}),
    ]
    reading = read({"gen_ai.system": "openai"}, events=events)
    assert reading.request.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
    assert reading.result.output_messages[0]["parts"][0]["content"] == "Hello"


# OpenLLMetry.


def test_indexed_prompts_and_completions_become_messages() -> None:
    """`gen_ai.prompt.N.*` was OpenLLMetry's shape for years; ten comes after nine."""
    prompts = {f"gen_ai.prompt.{n}.content": str(n) for n in range(11)} | {"gen_ai.prompt.0.role": "system"}
    completion = {
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.finish_reason": "tool_calls",
        "gen_ai.completion.0.tool_calls.0.id": "c1",
        "gen_ai.completion.0.tool_calls.0.name": "lookup",
        "gen_ai.completion.0.tool_calls.0.arguments": '{"id":7}',
    }
    reading = read({"gen_ai.system": "OpenAI", "llm.request.type": "chat", **prompts, **completion})
    assert [m["parts"][0]["content"] for m in reading.request.input_messages] == [str(n) for n in range(11)]
    assert reading.request.input_messages[0]["role"] == "system"
    part = reading.result.output_messages[0]["parts"][0]
    assert part == {"type": "tool_call", "id": "c1", "name": "lookup", "arguments": {"id": 7}}
    assert (reading.request.provider, reading.request.operation) == ("openai", "chat")


def test_a_traceloop_tool_is_a_tool_call() -> None:
    """The decorator's entity input and output are arguments and result."""
    reading = read(
        {
            "traceloop.span.kind": "tool",
            "traceloop.entity.name": "lookup",
            "traceloop.entity.input": '{"id":7}',
            "traceloop.entity.output": '"Ada"',
        }
    )
    assert reading.request.operation == "execute_tool"
    assert reading.request.input_messages[0]["parts"][0]["name"] == "lookup"
    assert reading.result.output_messages[0]["parts"][0]["response"] == "Ada"


# OpenInference.


def test_an_openinference_retriever_is_a_retrieval_with_documents() -> None:
    """Query in, documents out."""
    reading = read(
        {
            "openinference.span.kind": "RETRIEVER",
            "input.value": "rules",
            "retrieval.documents.0.document.id": "a",
            "retrieval.documents.0.document.content": "Refund within 14 days.",
            "retrieval.documents.0.document.metadata": '{"page":3}',
        }
    )
    assert reading.request.operation == "retrieval"
    document = reading.result.output_messages[0]["parts"][0]
    assert (document["id"], document["metadata"]) == ("a", {"page": 3})


def test_an_image_inside_a_data_url_becomes_a_blob() -> None:
    """The conventions never put data URLs into `uri`."""
    prefix = "llm.input_messages.0.message.contents.0.message_content"
    reading = read(
        {
            "openinference.span.kind": "LLM",
            "llm.input_messages.0.message.role": "user",
            f"{prefix}.type": "image",
            f"{prefix}.image.image.url": "data:image/png;base64,AAAA",
        }
    )
    part = reading.request.input_messages[0]["parts"][0]
    assert part == {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"}


def test_an_openinference_chain_keeps_its_input_and_output() -> None:
    """Where nothing better is there, the plain values are the content."""
    reading = read({"openinference.span.kind": "CHAIN", "input.value": '{"q":1}', "output.value": "done"})
    assert reading.request.operation == "invoke_workflow"
    assert reading.request.input_messages[0]["parts"] == [{"type": "json", "content": {"q": 1}}]
    assert reading.result.output_messages[0]["parts"] == [{"type": "text", "content": "done"}]


# Logfire.


def test_older_logfire_keeps_messages_in_request_and_response_data() -> None:
    """Both objects stay: they may hold more than messages."""
    reading = read(
        {
            "logfire.span_type": "span",
            "request_data": json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}),
            "response_data": json.dumps({"message": {"role": "assistant", "content": "Hello"}}),
        },
        scope="logfire.openai",
    )
    assert reading.request.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
    assert reading.result.output_messages[0]["parts"][0]["content"] == "Hello"
    assert "request_data" in reading.attributes


def test_pydantic_ai_events_in_one_attribute_become_a_conversation() -> None:
    """Version 1 of its instrumentation writes them so."""
    events = [
        {"event.name": "gen_ai.user.message", "content": "Hi", "role": "user"},
        {"event.name": "gen_ai.choice", "index": 0, "message": {"role": "assistant", "content": "Hello"}},
    ]
    reading = read({"events": json.dumps(events), "gen_ai.system": "openai"}, scope="pydantic-ai")
    assert reading.request.input_messages[0]["parts"][0]["content"] == "Hi"
    assert reading.result.output_messages[0]["parts"][0]["content"] == "Hello"


# Anything at all.

NAMES = st.sampled_from(
    [
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.tool.definitions",
        "gen_ai.system",
        "gen_ai.usage.input_tokens",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.prompt.0.content",
        "gen_ai.prompt.0",
        "gen_ai.prompt.0.tool_calls.0.name",
        "gen_ai.completion.x",
        "llm.request.functions.0",
        "llm.input_messages.0",
        "llm.input_messages.0.message.contents.0",
        "llm.input_messages.1.message.content",
        "llm.tools.0.tool.json_schema",
        "llm.invocation_parameters",
        "retrieval.documents.0.document.metadata",
        "openinference.span.kind",
        "traceloop.span.kind",
        "traceloop.entity.input",
        "request_data",
        "response_data",
        "events",
        "logfire.span_type",
        "input.value",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
VALUES = SCALARS | JSON | JSON.map(json.dumps) | st.sampled_from(["LLM", "TOOL", "RETRIEVER", "tool", "[{", "{"])


@given(
    attributes=st.dictionaries(NAMES, VALUES, max_size=8),
    scope=st.sampled_from(["", "logfire", "com.anthropic.sdk.python"]),
)
def test_no_malformed_span_makes_a_dialect_raise(attributes: dict[str, Any], scope: str) -> None:
    """Whatever an emitter writes under a known name, the row survives."""
    events = [SpanEvent("gen_ai.choice", attributes), SpanEvent("gen_ai.user.message", attributes)]
    for facts in (SpanFacts("x", attributes, scope), SpanFacts("x", attributes, scope, events)):
        reading = read_span(facts)
        if reading is not None:
            assert all("role" in message for message in reading.request.input_messages)


@pytest.mark.parametrize("value", ["[" * 100_000, 10**400, float("inf"), float("nan"), b"\xff", object()])
def test_extreme_values_make_no_dialect_raise(value: Any) -> None:
    """Nesting past the parser's limit, integers past every float, values of no JSON type."""
    attributes = {"gen_ai.input.messages": value, "gen_ai.usage.input_tokens": value, "gen_ai.tool.definitions": value}
    assert read({"gen_ai.operation.name": "chat", **attributes}).request.operation == "chat"
