"""A stream stays the SDK's own object, and token counts that the caller did not ask for never reach the caller."""

import inspect
import sys
import weakref
from typing import Any

import openai
import pytest

from local_provider import Event, LocalProvider, Reply
from openai_client.conftest import CALL
from recorded_calls import Recorded
from spanledger.openai import OpenAIInstrumentor, include_usage

REFUSAL = {"error": {"message": "Unrecognized request argument supplied: stream_options", "type": "invalid"}}


@pytest.fixture(autouse=True)
def _no_server_is_known_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(include_usage, "_refusing", set())


def test_the_caller_gets_the_sdks_own_stream(client: openai.OpenAI) -> None:
    """Not a wrapper that looks like one: type, attributes and response are the library's."""
    stream = client.chat.completions.create(**CALL, stream=True)
    assert type(stream) is openai.Stream
    assert stream.response.status_code == 200
    assert [chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content]


async def test_the_caller_gets_the_sdks_own_async_stream(async_client: openai.AsyncOpenAI) -> None:
    """The same for the async client."""
    stream = await async_client.chat.completions.create(**CALL, stream=True)
    assert type(stream) is openai.AsyncStream
    assert [chunk async for chunk in stream]


class OnlyNext:
    """An iterator that knows one method, as another instrumentation may put in the place of the library's."""

    def __init__(self, inner: Any) -> None:
        self.__next__inner = inner.__next__

    def __next__(self) -> Any:
        return self.__next__inner()


def test_an_iterator_that_can_only_go_on_is_read(
    client: openai.OpenAI, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller's loop gets every chunk, and the call ends with the last one."""
    inside = sys.modules["spanledger.invocation.stream"]
    monkeypatch.setattr(inside, "_acyclic_iterator", lambda stream: OnlyNext(stream._iterator))
    assert list(client.chat.completions.create(**CALL, stream=True))
    assert recorded.usage == {"input_tokens": 12, "output_tokens": 6}


def test_what_the_caller_throws_while_it_has_a_chunk_is_not_the_streams_failure(
    client: openai.OpenAI, recorded: Recorded
) -> None:
    """A loop that raises leaves the stream readable: the call is open until somebody reads on, or lets go of it."""
    stream = client.chat.completions.create(**CALL, stream=True)
    loop: Any = iter(stream)  # a generator
    next(loop)
    with pytest.raises(KeyError):
        loop.throw(KeyError("the caller's own"))
    assert not recorded.spans
    assert list(stream)
    assert recorded.usage == {"input_tokens": 12, "output_tokens": 6}


def test_chunks_are_byte_for_byte_what_they_are_without_us(client: openai.OpenAI, recorded: Recorded) -> None:
    """Usage is asked for and reported, and the caller's chunks show no trace of it."""
    observed = [chunk.to_dict() for chunk in client.chat.completions.create(**CALL, stream=True)]
    OpenAIInstrumentor().uninstrument()
    plain = [chunk.to_dict() for chunk in client.chat.completions.create(**CALL, stream=True)]
    OpenAIInstrumentor().instrument(skip_dep_check=True)
    varying = ("id", "created")
    assert [{**chunk, **dict.fromkeys(varying)} for chunk in observed] == [
        {**chunk, **dict.fromkeys(varying)} for chunk in plain
    ]
    assert recorded.usage == {"input_tokens": 12, "output_tokens": 6}


@pytest.mark.parametrize("wanted", [True, False])
def test_a_caller_who_says_whether_to_include_usage_gets_exactly_that(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded, *, wanted: bool
) -> None:
    """Then the option is the caller's, either way."""
    options: Any = {"include_usage": wanted}
    chunks = list(client.chat.completions.create(**CALL, stream=True, stream_options=options))
    assert provider.requests[0].body["stream_options"] == options
    assert any(chunk.usage for chunk in chunks) is wanted
    assert bool(recorded.usage) is wanted


def test_other_stream_options_of_the_caller_are_kept(client: openai.OpenAI, provider: LocalProvider) -> None:
    """Ours is added to them, on a copy."""
    options: Any = {"include_obfuscation": False}
    list(client.chat.completions.create(**CALL, stream=True, stream_options=options))
    assert provider.requests[0].body["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert options == {"include_obfuscation": False}


def test_a_server_that_refuses_the_option_is_asked_again_without_it_and_never_again(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded
) -> None:
    """The application does not see a failure that we caused, and the whole is one call."""
    provider.enqueue(Reply(status=400, body=REFUSAL))
    assert list(client.chat.completions.create(**CALL, stream=True))
    assert list(client.chat.completions.create(**CALL, stream=True))
    asked = ["stream_options" in request.body for request in provider.requests]
    assert asked == [True, False, False]
    assert [call.result and call.result.outcome for call in recorded.handed_over] == ["success", "success"]


def test_any_other_bad_request_is_the_callers_own(client: openai.OpenAI, provider: LocalProvider) -> None:
    """It is not repeated."""
    provider.enqueue(Reply(status=400, body={"error": {"message": "context length exceeded"}}))
    with pytest.raises(openai.BadRequestError, match="context length"):
        client.chat.completions.create(**CALL, stream=True)
    assert len(provider.requests) == 1


def test_the_switch_turns_asking_off(
    client: openai.OpenAI, provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`SPANLEDGER_OPENAI_INCLUDE_USAGE=false` is read when the instrumentor is switched on."""
    monkeypatch.setenv(include_usage.VARIABLE, "false")
    OpenAIInstrumentor().uninstrument()
    OpenAIInstrumentor().instrument(skip_dep_check=True)
    list(client.chat.completions.create(**CALL, stream=True))
    assert "stream_options" not in provider.requests[0].body


def test_bytes_that_the_caller_reads_itself_are_not_added_to(client: openai.OpenAI, provider: LocalProvider) -> None:
    """Nothing could be taken out of them again."""
    with client.chat.completions.with_streaming_response.create(**CALL, stream=True) as response:
        assert "usage" not in "".join(response.iter_lines())
    assert "stream_options" not in provider.requests[0].body


def test_a_long_stream_does_not_pile_up_in_memory(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded
) -> None:
    """A chunk is folded as it passes, and none is kept."""
    piece = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunk = {**piece, "choices": [{"index": 0, "delta": {"content": "ab"}}]}
    last = {**piece, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    provider.enqueue(Reply(events=[*([Event(chunk)] * 1200), Event(last), Event("[DONE]")]))
    alive: list[weakref.ref[Any]] = []
    for passing in client.chat.completions.create(**CALL, stream=True):
        assert sum(known() is not None for known in alive[-3:]) <= 1  # the SDK's own loop may hold the one before
        alive.append(weakref.ref(passing))
    assert recorded.result.output_messages[0]["parts"][0]["content"] == "ab" * 1200


def test_time_to_the_first_chunk_is_measured(client: openai.OpenAI, recorded: Recorded) -> None:
    """In seconds, and below the duration of the call."""
    list(client.chat.completions.create(**CALL, stream=True))
    first_s = recorded.attributes["gen_ai.response.time_to_first_chunk"]
    duration_ns = (recorded.span.end_time or 0) - (recorded.span.start_time or 0)
    assert 0 < first_s * 1e9 < duration_ns


async def test_the_async_method_still_looks_like_a_coroutine_function(async_client: openai.AsyncOpenAI) -> None:
    """Frameworks that look at the signature see the library's."""
    assert "messages" in inspect.signature(async_client.chat.completions.create).parameters
