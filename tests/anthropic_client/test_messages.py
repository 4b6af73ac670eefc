"""What one message leaves behind: a span in the conventions' words, and a hand-over with all of its content."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from opentelemetry.trace import SpanKind
from pydantic import BaseModel

from anthropic_client.conftest import CALL, MODEL
from local_provider import LocalProvider, Reply, anthropic_wire
from recorded_calls import Recorded
from spanledger_semconv.invocation import Usage


class Verdict(BaseModel):
    """What the application wants to have."""

    real: bool


def test_a_message_is_one_client_span(client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded) -> None:
    """Name, kind and attributes are those of the conventions; no content is on the span by default."""
    client.messages.create(**CALL)
    attributes = recorded.attributes
    assert (recorded.span.name, recorded.span.kind) == (f"chat {MODEL}", SpanKind.CLIENT)
    assert attributes.pop("spanledger.prompt.hash")
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.max_tokens": 99,
        "server.address": "127.0.0.1",
        "server.port": int(provider.url.rpartition(":")[2]),
        "spanledger.call_site.module": __name__,
        "spanledger.call_site.function": "test_a_message_is_one_client_span",
        "gen_ai.response.id": "msg_local",
        "gen_ai.response.model": MODEL,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 6,
        "anthropic.message.stop_reason": "end_turn",
        "anthropic.response.service_tier": "standard",
        "anthropic.request.id": "req_local_0001",
    }


def test_the_hand_over_has_the_content_that_the_span_has_not(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """Instructions, input and output travel beside the span."""
    client.messages.create(**CALL, system="Be brief.")
    assert list(recorded.request.system_instructions) == [{"type": "text", "content": "Be brief."}]
    assert list(recorded.request.input_messages) == [
        {"role": "user", "parts": [{"type": "text", "content": "Is the alert real?"}]}
    ]
    assert list(recorded.result.output_messages) == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "Hello from the local provider."}],
            "finish_reason": "stop",
        }
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_input_tokens_include_what_the_cache_read_and_wrote(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded, *, stream: bool
) -> None:
    """Anthropic counts the three apart; the conventions want the sum, and each price needs its part."""
    usage = {
        **anthropic_wire.message_usage(10, 42, cache_read=1000, cache_write=200),
        "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 150},
        "output_tokens_details": {"thinking_tokens": 30},
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
    }
    provider.enqueue(Reply(body=anthropic_wire.message(usage=usage)))
    answer = client.messages.create(**CALL, stream=stream)
    if stream:
        list(answer)
    counted = recorded.result.usage
    assert counted == Usage(
        input_tokens=1210,
        output_tokens=42,
        cache_read=1000,
        cache_write=200,
        reasoning=30,
        other={"cache_write_5m": 50, "cache_write_1h": 150, "web_searches": 2},
    )
    assert recorded.attributes["gen_ai.usage.input_tokens"] == 1210


@pytest.mark.parametrize("stream", [False, True])
def test_compaction_is_billed_and_counted(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded, *, stream: bool
) -> None:
    """Anthropic's totals leave it out; ours do not, and what an advisor model used stays apart."""
    counts = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    usage = {
        **anthropic_wire.message_usage(10, 5),
        "iterations": [
            {"type": "compaction", "input_tokens": 1000, "output_tokens": 50, **counts},
            {"type": "message", "input_tokens": 10, "output_tokens": 5, **counts},
            {"type": "advisor_message", "model": "claude-opus-5", "input_tokens": 7, "output_tokens": 3, **counts},
        ],
    }
    provider.enqueue(Reply(body=anthropic_wire.message(usage=usage)))
    answer: Any = client.beta.messages.create(**CALL, stream=stream)
    if stream:
        list(answer)
    counted = recorded.result.usage
    assert counted
    assert (counted.input_tokens, counted.output_tokens) == (1010, 55)
    assert counted.other == {
        "compaction_input": 1000,
        "compaction_output": 50,
        "advisor_input": 7,
        "advisor_output": 3,
    }


@pytest.mark.parametrize("stream", [False, True])
def test_every_kind_of_output_block_is_a_part(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded, *, stream: bool
) -> None:
    """Thinking is reasoning, a tool use is a call, and what the provider ran itself is told apart from both."""
    result = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [{"type": "web_search_result"}]}
    content = [
        anthropic_wire.thinking_block("Look it up first."),
        anthropic_wire.text_block("One moment."),
        anthropic_wire.tool_use_block("srv_1", "web_search", {"query": "lagos tallinn"}, server=True),
        result,
        anthropic_wire.tool_use_block("toolu_1", "lookup", {"user": "d.okafor", "hours": 48}),
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
    ]
    provider.enqueue(Reply(body=anthropic_wire.message(content)))
    answer = client.messages.create(**CALL, stream=stream)
    if stream:
        list(answer)
    (message,) = recorded.result.output_messages
    search = {"type": "web_search", "arguments": {"query": "lagos tallinn"}}
    found = {"type": "web_search", "content": [{"type": "web_search_result"}]}
    assert message["parts"] == [
        {"type": "reasoning", "content": "Look it up first."},
        {"type": "text", "content": "One moment."},
        {"type": "server_tool_call", "id": "srv_1", "name": "web_search", "server_tool_call": search},
        {"type": "server_tool_call_response", "id": "srv_1", "server_tool_call_response": found},
        {"type": "tool_call", "id": "toolu_1", "name": "lookup", "arguments": {"user": "d.okafor", "hours": 48}},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
    ]
    assert message["finish_reason"] == "tool_call"


def test_every_kind_of_input_block_is_a_part(client: anthropic.Anthropic, recorded: Recorded, tmp_path: Path) -> None:
    """Images and documents by value, address or id, and tool results, also when they failed."""
    file = tmp_path / "screen.png"
    file.write_bytes(b"png")
    png = base64.b64encode(b"png").decode()
    content: list[Any] = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": file}},
        {"type": "image", "source": {"type": "url", "url": "https://images.test/a.png"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "title": "Log", "source": {"type": "text", "media_type": "text/plain", "data": "the log"}},
        {
            "type": "document",
            "title": "Notes",
            "source": {"type": "content", "content": [{"type": "text", "text": "a"}]},
        },
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no such user", "is_error": True},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": [{"type": "text", "text": "two"}]},
    ]
    client.messages.create(model=MODEL, max_tokens=9, messages=[{"role": "user", "content": content}])
    blob = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": png}
    text = base64.b64encode(b"the log").decode()
    log = {"type": "blob", "modality": "document", "mime_type": "text/plain", "title": "Log", "content": text}
    failed = {"type": "tool_call_response", "id": "toolu_1", "response": "no such user", "is_error": True}
    listed = {"type": "tool_call_response", "id": "toolu_2", "response": [{"type": "text", "content": "two"}]}
    assert recorded.request.input_messages[0]["parts"] == [
        blob,
        blob,
        {"type": "uri", "modality": "image", "uri": "https://images.test/a.png"},
        {"type": "file", "modality": "document", "file_id": "file_1"},
        log,
        {"type": "document", "title": "Notes"},
        {"type": "text", "content": "a"},
        failed,
        listed,
    ]


def test_an_answer_that_is_sent_back_is_the_same_part_again(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded
) -> None:
    """The next turn holds the SDK's own objects; equal content must give equal references."""
    content = [anthropic_wire.thinking_block("Hm."), anthropic_wire.tool_use_block("toolu_1", "lookup", {"user": "x"})]
    provider.enqueue(Reply(body=anthropic_wire.message(content)))
    answer = client.messages.create(**CALL)
    turns: list[Any] = [*CALL["messages"], {"role": "assistant", "content": answer.content}, *CALL["messages"]]
    client.messages.create(model=MODEL, max_tokens=9, messages=turns)
    first, second = recorded.handed_over
    assert first.result
    assert second.request.input_messages[1]["parts"] == first.result.output_messages[0]["parts"]


def test_what_shapes_the_answer_is_an_attribute(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """Effort is the reasoning level; thinking, tier, stop sequences and the form of the output are kept too."""
    client.messages.create(
        **CALL,
        output_config={"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        thinking={"type": "enabled", "budget_tokens": 1024},
        service_tier="auto",
        stop_sequences=["END"],
        extra_body={"temperature": 0.5},
    )
    kept = recorded.attributes
    assert kept["gen_ai.request.reasoning.level"] == "high"
    assert kept["gen_ai.output.type"] == "json"
    assert kept["gen_ai.request.stop_sequences"] == ("END",)
    assert kept["gen_ai.request.temperature"] == 0.5
    assert (kept["anthropic.thinking.type"], kept["anthropic.thinking.budget_tokens"]) == ("enabled", 1024)
    assert kept["anthropic.request.service_tier"] == "auto"


def test_what_was_not_asked_for_is_not_claimed(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """No parameter appears that the caller did not send."""
    client.messages.create(**CALL)
    sent = {name for name in recorded.attributes if name.startswith("gen_ai.request.")}
    assert sent == {"gen_ai.request.model", "gen_ai.request.max_tokens"}


def test_a_tool_has_the_digest_of_its_definition(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """Where the prompt cache is cut is no part of a tool's version; its description is."""
    tool: dict[str, Any] = {"name": "lookup", "description": "Look up.", "input_schema": {"type": "object"}}
    for variant in (tool, {**tool, "cache_control": {"type": "ephemeral"}}, {**tool, "description": "Search."}):
        client.messages.create(**CALL, tools=[variant])  # type: ignore[list-item]  # a plain dict, as users write it
    plain, cached, changed = (call.request.tools["lookup"] for call in recorded.handed_over)
    assert plain == cached != changed
    assert list(recorded.handed_over[0].request.tool_definitions) == [
        {"type": "function", "name": "lookup", "description": "Look up.", "parameters": {"type": "object"}}
    ]


def test_a_server_tool_keeps_its_own_shape(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """It has no schema of the caller's."""
    client.messages.create(**CALL, tools=[{"type": "web_search_20250305", "name": "web_search"}])
    assert list(recorded.request.tool_definitions) == [{"type": "web_search_20250305", "name": "web_search"}]


def test_the_token_of_an_mcp_server_is_kept_nowhere(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """Name and address say which tools there were; the secret is the caller's."""
    server = {"type": "url", "name": "tickets", "url": "https://mcp.test", "authorization_token": "s3cret"}
    client.beta.messages.create(**CALL, mcp_servers=[server])  # type: ignore[list-item]
    assert list(recorded.request.tool_definitions) == [{"type": "mcp", "name": "tickets", "url": "https://mcp.test"}]
    assert "s3cret" not in repr(recorded.request)


def test_the_prompt_digest_depends_on_the_instructions_alone(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """Another question under the same system prompt is the same prompt."""
    question: Any = [{"role": "user", "content": "Another question"}]
    client.messages.create(**CALL, system="Be brief.")
    client.messages.create(model=MODEL, max_tokens=9, messages=question, system=[{"type": "text", "text": "Be brief."}])
    client.messages.create(**CALL, system="Be long.")
    same, again, other = (call.request.prompt for call in recorded.handed_over)
    assert same == again != other


def test_messages_from_an_iterator_are_sent_and_recorded(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded
) -> None:
    """A generator can be read once, at whatever depth; both the SDK and we get all of it."""

    def turns() -> Iterator[Any]:
        yield {"role": "user", "content": iter([{"type": "text", "text": "Is the alert real?"}])}

    client.messages.create(model=MODEL, max_tokens=9, messages=turns())
    sent = {"role": "user", "content": [{"type": "text", "text": "Is the alert real?"}]}
    assert provider.requests[0].body["messages"] == [sent]
    assert recorded.request.input_messages[0]["parts"] == [{"type": "text", "content": "Is the alert real?"}]


def test_an_iterator_that_fails_fails_for_the_caller(client: anthropic.Anthropic, provider: LocalProvider) -> None:
    """As without us: its exception comes out, and nothing is sent."""

    def turns() -> Iterator[Any]:
        yield from CALL["messages"]
        raise LookupError("of the application")

    with pytest.raises(LookupError, match="of the application"):
        client.messages.create(model=MODEL, max_tokens=9, messages=turns())
    assert provider.requests == ()


@pytest.mark.parametrize("opened", [io.BytesIO(b"png"), io.StringIO("png")])
def test_the_content_of_a_file_is_sent_and_recorded(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded, opened: io.IOBase
) -> None:
    """The SDK has to send it, the ledger has to show what the model saw, and it can be read once."""
    call_with_file(client, opened)
    sent = provider.requests[0].body["messages"][0]["content"][0]["source"]
    (part,) = recorded.request.input_messages[0]["parts"]
    assert sent["data"] == base64.b64encode(b"png").decode()
    assert part == {"type": "blob", "modality": "image", "mime_type": "image/png", "content": sent["data"]}


def test_a_file_that_cannot_be_read_fails_for_the_caller(client: anthropic.Anthropic, provider: LocalProvider) -> None:
    """As without us: its exception comes out, and nothing is sent."""
    closed = io.BytesIO(b"png")
    closed.close()
    with pytest.raises(ValueError, match="closed file"):
        call_with_file(client, closed)
    assert provider.requests == ()


def test_the_callers_own_request_is_not_touched(client: anthropic.Anthropic) -> None:
    """The file stays in its place, read to its end as the SDK would have."""
    opened = io.BytesIO(b"png")
    source = call_with_file(client, opened)
    assert source["data"] is opened
    assert opened.read() == b""


def call_with_file(client: anthropic.Anthropic, opened: io.IOBase) -> dict[str, Any]:
    """Send an image that is given as a file; returns the block's source, as the caller still has it."""
    source = {"type": "base64", "media_type": "image/png", "data": opened}
    content: Any = [{"type": "image", "source": source}]
    client.messages.create(model=MODEL, max_tokens=9, messages=[{"role": "user", "content": content}])
    return source


def test_an_answer_that_does_not_fit_the_callers_format_keeps_its_usage(
    client: anthropic.Anthropic, recorded: Recorded
) -> None:
    """The tokens were paid for, also where the text is no JSON and the caller gets an exception."""
    with pytest.raises(ValueError, match="Invalid JSON"):
        client.messages.parse(**CALL, output_format=Verdict)
    assert recorded.result.outcome == "error"
    assert recorded.result.usage
    assert recorded.result.usage.output_tokens == 6
    assert recorded.result.output_messages[0]["parts"][0]["content"] == "Hello from the local provider."


def test_content_is_on_the_span_when_the_user_says_so(
    monkeypatch: pytest.MonkeyPatch, provider: LocalProvider, request: pytest.FixtureRequest
) -> None:
    """`true` is what several official documents still tell users to set."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    kept: Recorded = request.getfixturevalue("recorded")
    with anthropic.Anthropic(base_url=provider.url, api_key="local") as client:
        client.messages.create(**CALL)
    assert "Is the alert real?" in kept.attributes["gen_ai.input.messages"]
    assert "Hello from the local provider." in kept.attributes["gen_ai.output.messages"]


def test_a_conversation_that_the_application_names_is_kept(provider: LocalProvider, recorded: Recorded) -> None:
    """The client's own option carries it; no id is made up."""
    with anthropic.Anthropic(
        base_url=provider.url, api_key="local", open_telemetry={"conversation_id": "conv_7"}
    ) as client:
        client.messages.create(**CALL)
    assert recorded.attributes["gen_ai.conversation.id"] == "conv_7"
