"""A caller of `with_streaming_response` reads the body itself: the bytes are the server's, the record is the truth."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pydantic
import pytest

from local_provider import Event, LocalProvider, Reply, openai_wire
from openai_client.conftest import CALL, MODEL
from recorded_calls import Recorded
from spanledger.openai import OpenAIInstrumentor

ASK: dict[str, Any] = {"model": MODEL, "input": "Is the alert real?"}
WRITE: dict[str, Any] = {"model": MODEL, "prompt": "Is the alert real?"}

ENDPOINTS: dict[str, tuple[Callable[[Any], Any], dict[str, Any], dict[str, int]]] = {
    "chat": (lambda client: client.chat.completions, dict(CALL), {"input_tokens": 12, "output_tokens": 6}),
    "responses": (lambda client: client.responses, ASK, {"input_tokens": 12, "output_tokens": 6}),
    "completions": (lambda client: client.completions, WRITE, {"input_tokens": 4, "output_tokens": 3}),
}
endpoints = pytest.mark.parametrize("endpoint", ENDPOINTS)

WHOLE: dict[str, Callable[[Any], Any]] = {
    "parse": lambda response: response.parse(),
    "parse_to_dict": lambda response: response.parse(to=dict[str, object]),
    "parse_to_text": lambda response: response.parse(to=str),
    "json": lambda response: response.json(),
}
"""Ways to read a body that is one JSON document, besides those that any body has."""

ANY: dict[str, Callable[[Any], Any]] = {
    "read": lambda response: response.read(),
    "text": lambda response: response.text(),
    "iter_bytes": lambda response: response.iter_bytes(),
    "iter_small_bytes": lambda response: response.iter_bytes(7),
    "iter_text": lambda response: response.iter_text(),
    "iter_lines": lambda response: response.iter_lines(),
}


async def read_async(step: Any) -> list[Any]:
    """Take what one of the methods gives, whether it is awaited or iterated."""
    answer: Any = await step if inspect.isawaitable(step) else step
    return [piece async for piece in answer] if hasattr(answer, "__aiter__") else [answer]


def read_sync(step: Any) -> list[Any]:
    """Take what one of the methods gives, in pieces or at once."""
    is_iterable = inspect.isgenerator(step) or isinstance(step, openai.Stream)
    return list(step) if is_iterable else [step]


def lazily(client: Any, endpoint: str, **arguments: Any) -> Any:
    """Ask, and leave the body to the caller."""
    resource, call, _ = ENDPOINTS[endpoint]
    return resource(client).with_streaming_response.create(**call, **arguments)


def assert_recorded(recorded: Recorded, endpoint: str, *, is_streamed: bool = False) -> None:
    """Hold what must be true however the body was read; OpenAI reports a stream's usage only to whom asks for it."""
    assert (recorded.result.outcome, list(recorded.result.finish_reasons)) == ("success", ["stop"])
    assert recorded.result.output_messages[0]["parts"][0]["content"].startswith("Hello")
    is_reported = not is_streamed or endpoint == "responses"
    assert recorded.usage == (ENDPOINTS[endpoint][2] if is_reported else {})
    assert "error.type" not in recorded.attributes


@endpoints
@pytest.mark.parametrize("method", [*WHOLE, *ANY])
def test_a_whole_body_is_recorded_however_it_is_read(
    client: openai.OpenAI, recorded: Recorded, endpoint: str, method: str
) -> None:
    """Parsed, as JSON, as text, or byte by byte: the answer and its usage."""
    with lazily(client, endpoint) as response:
        assert read_sync((WHOLE | ANY)[method](response))
    assert_recorded(recorded, endpoint)


@endpoints
@pytest.mark.parametrize("method", [*WHOLE, *ANY])
async def test_a_whole_body_is_recorded_however_it_is_read_asynchronously(
    async_client: openai.AsyncOpenAI, recorded: Recorded, endpoint: str, method: str
) -> None:
    """The same on an event loop."""
    async with lazily(async_client, endpoint) as response:
        assert await read_async((WHOLE | ANY)[method](response))
    assert_recorded(recorded, endpoint)


@endpoints
@pytest.mark.parametrize("method", ["parse", *ANY])
def test_a_streamed_body_is_recorded_however_it_is_read(
    client: openai.OpenAI, recorded: Recorded, endpoint: str, method: str
) -> None:
    """Text and finish reason always; usage where the provider said it without being asked."""
    with lazily(client, endpoint, stream=True) as response:
        assert read_sync((WHOLE | ANY)[method](response))
    assert_recorded(recorded, endpoint, is_streamed=True)


@endpoints
@pytest.mark.parametrize("method", ["parse", *ANY])
async def test_a_streamed_body_is_recorded_however_it_is_read_asynchronously(
    async_client: openai.AsyncOpenAI, recorded: Recorded, endpoint: str, method: str
) -> None:
    """The same on an event loop."""
    async with lazily(async_client, endpoint, stream=True) as response:
        assert await read_async((WHOLE | ANY)[method](response))
    assert_recorded(recorded, endpoint, is_streamed=True)


@endpoints
def test_a_caller_who_asks_for_usage_gets_it_and_so_does_the_record(
    client: openai.OpenAI, recorded: Recorded, endpoint: str
) -> None:
    """Its own `stream_options` are its own business, and what comes of them is recorded."""
    options = {} if endpoint == "responses" else {"stream_options": {"include_usage": True}}
    with lazily(client, endpoint, stream=True, **options) as response:
        assert "usage" in "".join(response.iter_text())
    assert recorded.usage == ENDPOINTS[endpoint][2]


@endpoints
@pytest.mark.parametrize("stream", [False, True])
def test_the_bytes_are_the_servers(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded, endpoint: str, *, stream: bool
) -> None:
    """What is sent and what is read are the same with us and without."""
    arguments = {"stream": True} if stream else {}
    with lazily(client, endpoint, **arguments) as response:
        observed = response.read()
    OpenAIInstrumentor().uninstrument()
    with lazily(client, endpoint, **arguments) as response:
        plain = response.read()
    first, second = (request.body for request in provider.requests)
    assert (observed, first) == (plain, second)
    assert len(recorded.spans) == 1


@endpoints
def test_a_body_that_nobody_reads_is_cancelled(client: openai.OpenAI, recorded: Recorded, endpoint: str) -> None:
    """The provider may have answered; what it said, nobody saw."""
    with lazily(client, endpoint) as response:
        assert response.headers
    assert (recorded.result.outcome, recorded.usage) == ("cancelled", {})


@pytest.mark.parametrize(("endpoint", "events"), [("chat", 3), ("responses", 6), ("completions", 2)])
def test_lines_that_are_left_early_are_cancelled_and_claim_no_usage(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded, *, endpoint: str, events: int
) -> None:
    """The rest never came; what had been read is kept."""
    provider.enqueue(Reply(hold_after_events=events))
    with lazily(client, endpoint, stream=True) as response:
        for line in response.iter_lines():
            if "Hello" in line:
                break
    provider.release()
    assert (recorded.result.outcome, recorded.usage) == ("cancelled", {})
    assert recorded.result.output_messages[0]["parts"][0]["content"].startswith("Hello")


def test_a_stream_that_the_server_cut_short_is_incomplete(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded
) -> None:
    """The caller read all there was, and there was no end: nobody cancelled anything."""
    piece = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    provider.enqueue(Reply(events=[Event({**piece, "choices": [{"index": 0, "delta": {"content": "half an ans"}}]})]))
    with lazily(client, "chat", stream=True) as response:
        list(response.iter_lines())
    assert (recorded.result.outcome, list(recorded.result.finish_reasons)) == ("incomplete", ["error"])


@pytest.mark.parametrize("endpoint", ["chat", "responses"])
def test_a_connection_that_is_lost_while_the_caller_reads_is_an_error(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded, endpoint: str
) -> None:
    """It is the network's fault, not the caller's wish."""
    provider.enqueue(Reply(reset_after_events=3))
    with pytest.raises(httpx2.ReadError) as raised, lazily(client, endpoint, stream=True) as response:
        list(response.iter_lines())
    assert recorded.result.outcome == "error"
    assert str(recorded.attributes["error.type"]).endswith(type(raised.value).__name__)


async def test_a_connection_that_is_lost_is_an_error_on_an_event_loop_too(
    async_client: openai.AsyncOpenAI, provider: LocalProvider, recorded: Recorded
) -> None:
    """With what had arrived."""
    provider.enqueue(Reply(reset_after_events=3))

    async def read() -> None:
        async with lazily(async_client, "chat", stream=True) as response:
            await read_async(response.iter_lines())

    with pytest.raises(httpx2.ReadError):
        await read()
    assert recorded.result.outcome == "error"


def test_an_exception_of_the_callers_own_names_itself(client: openai.OpenAI, recorded: Recorded) -> None:
    """The call was cut short by the application."""

    def fail() -> None:
        with lazily(client, "chat") as response:
            assert response.status_code == 200
            raise LookupError("of the application")

    with pytest.raises(LookupError):
        fail()
    assert (recorded.result.outcome, recorded.attributes["error.type"]) == ("cancelled", "LookupError")


def test_a_document_that_is_left_in_the_middle_is_cancelled_without_a_complaint(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can read half of it, and that is no failure of ours."""
    provider.enqueue(Reply(body=openai_wire.chat_completion("x" * 4_000_000)))
    with lazily(client, "chat") as response:
        next(iter(response.iter_bytes(10)))
    assert (recorded.result.outcome, recorded.usage) == ("cancelled", {})
    assert caplog.records == []


def test_a_document_that_the_server_broke_is_incomplete(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded
) -> None:
    """The caller took all the bytes there were."""
    provider.enqueue(Reply(malformed=True))
    with lazily(client, "chat") as response:
        assert response.read()
    assert (recorded.result.outcome, recorded.usage) == ("incomplete", {})


class Verdict(pydantic.BaseModel):
    """What the caller wants the model to write."""

    is_real: bool


def test_an_answer_that_does_not_fit_the_callers_format_was_paid_for(client: openai.OpenAI, recorded: Recorded) -> None:
    """`parse` fails on a text that is no JSON, outside the call: answer and usage are recorded all the same."""
    with (
        client.chat.completions.with_streaming_response.parse(**CALL, response_format=Verdict) as response,
        pytest.raises(pydantic.ValidationError),
    ):
        response.parse()
    assert recorded.result.outcome == "error"
    assert recorded.usage == {"input_tokens": 12, "output_tokens": 6}
    assert recorded.result.output_messages
