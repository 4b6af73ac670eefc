"""Every way to ask for a message leaves exactly one span with usage, and the caller gets what the SDK gives."""

import inspect
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import pytest
from anthropic.lib.streaming import MessageStream
from anthropic.lib.vertex import AnthropicVertex
from pydantic import BaseModel

from anthropic_client.conftest import CALL, MODEL
from local_provider import LocalProvider, Reply, anthropic_wire
from recorded_calls import Recorded

TEXT = "Hello from the local provider."
BETA = "beta.messages"


class Verdict(BaseModel):
    """What the application wants to have."""

    real: bool


def create(client: anthropic.Anthropic) -> str:
    """`messages.create`."""
    return text_of(client.messages.create(**CALL))


def create_stream(client: anthropic.Anthropic) -> str:
    """`messages.create(stream=True)`."""
    return text_of_events(list(client.messages.create(**CALL, stream=True)))


def stream_helper(client: anthropic.Anthropic) -> str:
    """`messages.stream`, read as text."""
    with client.messages.stream(**CALL) as stream:
        assert isinstance(stream, MessageStream)
        return "".join(stream.text_stream)


def final_message(client: anthropic.Anthropic) -> str:
    """`messages.stream`, read as one message."""
    with client.messages.stream(**CALL) as stream:
        return text_of(stream.get_final_message())


def beta_create(client: anthropic.Anthropic) -> str:
    """`beta.messages.create`."""
    return text_of(client.beta.messages.create(**CALL, betas=["context-1m-2025-08-07"]))


def beta_stream(client: anthropic.Anthropic) -> str:
    """`beta.messages.stream`."""
    with client.beta.messages.stream(**CALL) as stream:
        return text_of(stream.get_final_message())


def raw_response(client: anthropic.Anthropic) -> str:
    """`with_raw_response.create`, parsed."""
    return text_of(client.messages.with_raw_response.create(**CALL).parse())


def raw_response_unparsed(client: anthropic.Anthropic) -> str:
    """`with_raw_response.create`, of which only a header is read."""
    assert client.messages.with_raw_response.create(**CALL).headers["request-id"]
    return TEXT


def raw_response_stream(client: anthropic.Anthropic) -> str:
    """`with_raw_response.create(stream=True)`, parsed into a stream."""
    return text_of_events(list(client.messages.with_raw_response.create(**CALL, stream=True).parse()))


def streaming_response(client: anthropic.Anthropic) -> str:
    """`with_streaming_response.create`, parsed."""
    with client.messages.with_streaming_response.create(**CALL) as response:
        return text_of(response.parse())


def streaming_response_json(client: anthropic.Anthropic) -> str:
    """`with_streaming_response.create`, read as JSON."""
    with client.messages.with_streaming_response.create(**CALL) as response:
        body: Any = response.json()
    return str(body["content"][0]["text"])


def streaming_response_lines(client: anthropic.Anthropic) -> str:
    """`with_streaming_response.create(stream=True)`, read as lines."""
    with client.messages.with_streaming_response.create(**CALL, stream=True) as response:
        assert any("message_stop" in line for line in response.iter_lines())
    return TEXT


async def async_create(client: anthropic.AsyncAnthropic) -> str:
    """`messages.create`."""
    return text_of(await client.messages.create(**CALL))


async def async_create_stream(client: anthropic.AsyncAnthropic) -> str:
    """`messages.create(stream=True)`."""
    return text_of_events([event async for event in await client.messages.create(**CALL, stream=True)])


async def async_stream_helper(client: anthropic.AsyncAnthropic) -> str:
    """`messages.stream`, read as text."""
    async with client.messages.stream(**CALL) as stream:
        return "".join([text async for text in stream.text_stream])


async def async_beta_stream(client: anthropic.AsyncAnthropic) -> str:
    """`beta.messages.stream`."""
    async with client.beta.messages.stream(**CALL) as stream:
        return text_of(await stream.get_final_message())


async def async_raw_response_unparsed(client: anthropic.AsyncAnthropic) -> str:
    """`with_raw_response.create`, of which only a header is read."""
    assert (await client.messages.with_raw_response.create(**CALL)).headers["request-id"]
    return TEXT


async def async_raw_response_stream(client: anthropic.AsyncAnthropic) -> str:
    """`with_raw_response.create(stream=True)`, parsed into a stream."""
    response = await client.messages.with_raw_response.create(**CALL, stream=True)
    return text_of_events([event async for event in await response.parse()])


async def async_streaming_response_json(client: anthropic.AsyncAnthropic) -> str:
    """`with_streaming_response.create`, read as JSON."""
    async with client.messages.with_streaming_response.create(**CALL) as response:
        body: Any = await response.json()
    return str(body["content"][0]["text"])


async def async_streaming_response(client: anthropic.AsyncAnthropic) -> str:
    """`with_streaming_response.create`, parsed."""
    async with client.messages.with_streaming_response.create(**CALL) as response:
        return text_of(await response.parse())


async def async_streaming_response_lines(client: anthropic.AsyncAnthropic) -> str:
    """`with_streaming_response.create(stream=True)`, read as lines."""
    async with client.messages.with_streaming_response.create(**CALL, stream=True) as response:
        assert any("message_stop" in line for line in [line async for line in response.iter_lines()])
    return TEXT


def text_of(message: Any) -> str:
    """Join the text blocks of a message."""
    return "".join(block.text for block in message.content if block.type == "text")


def text_of_events(events: list[Any]) -> str:
    """Join the text deltas of a stream."""
    return "".join(event.delta.text for event in events if event.type == "content_block_delta")


METHODS: list[Callable[[anthropic.Anthropic], str]] = [
    create,
    create_stream,
    stream_helper,
    final_message,
    beta_create,
    beta_stream,
    raw_response,
    raw_response_unparsed,
    raw_response_stream,
    streaming_response,
    streaming_response_json,
    streaming_response_lines,
]
ASYNC_METHODS: list[Callable[[anthropic.AsyncAnthropic], Awaitable[str]]] = [
    async_create,
    async_create_stream,
    async_stream_helper,
    async_beta_stream,
    async_raw_response_unparsed,
    async_raw_response_stream,
    async_streaming_response,
    async_streaming_response_json,
    async_streaming_response_lines,
]


def assert_recorded_once(recorded: Recorded) -> None:
    """Hold what must be true after any complete call."""
    assert len(recorded.with_usage) == 1
    assert recorded.result.outcome == "success"
    assert recorded.attributes["gen_ai.usage.output_tokens"] == 6
    assert recorded.result.output_messages[0]["parts"] == [{"type": "text", "content": TEXT}]
    assert recorded.request.call_site
    assert recorded.request.call_site.module == __name__


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_recorded_once(
    client: anthropic.Anthropic, recorded: Recorded, method: Callable[[anthropic.Anthropic], str]
) -> None:
    """Whatever the method, one span has the usage, one hand-over has the content."""
    assert method(client) == TEXT
    assert_recorded_once(recorded)


@pytest.mark.parametrize("method", ASYNC_METHODS)
async def test_an_async_method_is_recorded_once(
    async_client: anthropic.AsyncAnthropic,
    recorded: Recorded,
    method: Callable[[anthropic.AsyncAnthropic], Awaitable[str]],
) -> None:
    """Async clients do not differ."""
    assert await method(async_client) == TEXT
    assert_recorded_once(recorded)


@pytest.mark.parametrize("messages", ["messages", "beta.messages"])
def test_a_parsed_message_is_recorded_as_it_was_sent(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded, messages: str
) -> None:
    """The schema that the caller asked for is part of the prompt's identity, the text is the output."""
    provider.enqueue(Reply(body=anthropic_wire.message([anthropic_wire.text_block('{"real": true}')])))
    resource = client.messages if messages == "messages" else client.beta.messages
    assert resource.parse(**CALL, output_format=Verdict).parsed_output == Verdict(real=True)
    assert recorded.attributes["gen_ai.output.type"] == "json"
    assert recorded.result.output_messages[0]["parts"][0]["content"] == '{"real": true}'


def test_a_tool_runner_leaves_one_span_with_usage_for_each_message(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded
) -> None:
    """The SDK's own spans of the loop and of the tool stay, and carry no usage."""

    @anthropic.beta_tool
    def lookup(user: str) -> str:
        """Look up a user."""
        return f"{user} is on leave"

    call = anthropic_wire.tool_use_block("toolu_1", "lookup", {"user": "ada"})
    provider.enqueue(Reply(body=anthropic_wire.message([call])), Reply())
    final = client.beta.messages.tool_runner(**CALL, tools=[lookup]).until_done()
    assert text_of(final) == TEXT
    assert [span.name for span in recorded.with_usage] == [f"chat {MODEL}"] * 2
    kept = {span.name for span in recorded.spans if span not in recorded.with_usage}
    assert kept == {"anthropic.messages.tool_runner", "anthropic.custom_tool_use lookup"}
    asked = recorded.handed_over[1].request.input_messages[-1]
    assert asked["parts"][0]["response"] in ("ada is on leave", [{"type": "text", "content": "ada is on leave"}])


def test_counting_tokens_is_no_inference(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """It generates nothing: no hand-over, no usage."""
    client.messages.count_tokens(model=MODEL, messages=CALL["messages"])
    assert recorded.handed_over == []
    assert recorded.with_usage == []


def test_a_client_for_another_platform_is_recorded_under_that_platform(
    provider: LocalProvider, recorded: Recorded
) -> None:
    """Vertex rewrites the address later; the local provider does not know it, and the answer is an error."""
    with (
        AnthropicVertex(
            base_url=provider.url, access_token="local", project_id="p", region="europe-west1", max_retries=0
        ) as client,
        pytest.raises(anthropic.NotFoundError),
    ):
        client.messages.create(**CALL)
    assert "/publishers/anthropic/models/" in provider.requests[0].path
    assert recorded.attributes["gen_ai.provider.name"] == "gcp.vertex_ai"
    assert recorded.result.outcome == "error"


def test_a_request_without_a_method_of_the_sdk_is_recorded_too(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """`client.post` is what a user takes for a parameter that the SDK does not know yet."""
    answer = client.post("/v1/messages", body=dict(CALL), cast_to=dict[str, object])
    assert answer["id"] == "msg_local"
    assert recorded.attributes["gen_ai.usage.output_tokens"] == 6


def test_nothing_is_imported_before_the_application_imports_it() -> None:
    """The SDK takes more than half a second; only who uses it pays for it, and is recorded all the same."""
    program = (
        "import sys\n"
        "from spanledger.anthropic import AnthropicInstrumentor\n"
        "AnthropicInstrumentor().instrument(skip_dep_check=True)\n"
        "assert not {'anthropic', 'httpx2', 'opentelemetry.sdk'} & set(sys.modules)\n"
        "import anthropic\n"
        "print(hasattr(anthropic.Anthropic.request, '__wrapped__'))\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "True\n"


def test_the_sdk_looks_the_same_from_outside(client: anthropic.Anthropic) -> None:
    """Signatures and types are the library's own: only what every method goes through is wrapped."""
    assert "max_tokens" in inspect.signature(client.messages.create).parameters
    assert type(client.messages.create(**CALL, stream=True)).__name__ == "Stream"
