"""Every way a call can end: the caller sees what the SDK alone would show, and the call ends once, with the truth."""

import asyncio
import gc
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from opentelemetry.trace import StatusCode

from left_early import break_and_drop, close_early, leave_the_block
from local_provider import Event, LocalProvider, Reply
from openai_client.conftest import CALL
from recorded_calls import Recorded
from spanledger_semconv.invocation import CallRefusedError


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=400), openai.BadRequestError),
        (Reply(status=401), openai.AuthenticationError),
        (Reply(status=429), openai.RateLimitError),
        (Reply(status=500), openai.InternalServerError),
        (Reply(reset_after_events=0), openai.APIConnectionError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_reaches_the_caller_unchanged_and_ends_the_call(  # noqa: PLR0917  # a table
    client: openai.OpenAI,
    provider: LocalProvider,
    recorded: Recorded,
    reply: Reply,
    error: type[Exception],
    stream: bool,
) -> None:
    """The span says which error it was, and has no usage."""
    provider.enqueue(reply)
    with pytest.raises(error) as raised:
        list(client.chat.completions.create(**CALL, stream=stream))
    assert recorded.result.outcome == "error"
    assert recorded.result.error_message == str(raised.value)
    assert str(recorded.attributes["error.type"]).endswith(type(raised.value).__name__)
    assert recorded.span.status.status_code is StatusCode.ERROR
    assert recorded.usage == {}


def test_an_answer_that_is_no_json_is_an_error(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded
) -> None:
    """The SDK's own complaint reaches the caller."""
    provider.enqueue(Reply(malformed=True))
    with pytest.raises(ValueError, match=r"JSON|Expecting|Unterminated"):
        client.chat.completions.create(**CALL)
    assert recorded.result.outcome == "error"


def test_retries_are_one_call(client: openai.OpenAI, provider: LocalProvider, recorded: Recorded) -> None:
    """The span covers all attempts, as the conventions ask."""
    again = {"retry-after-ms": "1"}
    provider.enqueue(Reply(status=429, headers=again), Reply(status=500, headers=again))
    client.with_options(max_retries=2).chat.completions.create(**CALL)
    assert len(provider.requests) == 3
    assert (recorded.result.outcome, recorded.usage["input_tokens"]) == ("success", 12)


def test_a_timeout_is_an_error(client: openai.OpenAI, provider: LocalProvider, recorded: Recorded) -> None:
    """What was sent is handed over although no answer came."""
    provider.enqueue(Reply(hang=True))
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.05).chat.completions.create(**CALL)
    assert (recorded.result.outcome, recorded.attributes["error.type"]) == ("error", "openai.APITimeoutError")
    assert recorded.request.input_messages[0]["parts"] == [{"type": "text", "content": "Is the alert real?"}]


def test_a_refused_call_never_leaves(client: openai.OpenAI, provider: LocalProvider, recorded: Recorded) -> None:
    """The ledger's refusal is the one exception of ours that the application sees."""
    recorded.refusal = CallRefusedError("disk full")
    with pytest.raises(CallRefusedError, match="disk full"):
        client.chat.completions.create(**CALL)
    assert len(provider.requests) == 0


def test_any_other_failure_of_a_processor_leaves_the_call_alone(client: openai.OpenAI, recorded: Recorded) -> None:
    """Telemetry that breaks costs a record, never a call."""
    recorded.refusal = RuntimeError("a bug of ours")
    assert client.chat.completions.create(**CALL).choices
    assert recorded.spans == []


def drop_unread(stream: Any) -> None:
    """Never read anything."""
    del stream


def close_the_response(stream: Any) -> None:
    """Close what is below the stream."""
    next(stream)
    stream.response.close()


@pytest.mark.parametrize("leave", [close_early, leave_the_block, break_and_drop, drop_unread, close_the_response])
def test_a_stream_left_early_is_cancelled_and_claims_nothing(
    client: openai.OpenAI, recorded: Recorded, leave: Callable[[Any], None]
) -> None:
    """No count was reported yet, so there is none; an early close is no error."""
    leave(client.chat.completions.create(**CALL, stream=True))
    gc.collect()
    assert recorded.result.outcome == "cancelled"
    assert recorded.attributes["spanledger.event.outcome"] == "cancelled"
    assert (recorded.usage, list(recorded.result.finish_reasons)) == ({}, [])
    assert recorded.span.status.status_code is StatusCode.UNSET


def test_a_broken_loop_ends_its_call_without_waiting_for_the_garbage_collector(
    client: openai.OpenAI, recorded: Recorded
) -> None:
    """The SDK's stream alone is a reference cycle; observed, it goes with its last reference."""
    gc.disable()
    try:
        for _chunk in client.chat.completions.create(**CALL, stream=True):
            break
        assert recorded.result.outcome == "cancelled"
    finally:
        gc.enable()


def test_text_that_had_arrived_is_kept(client: openai.OpenAI, recorded: Recorded) -> None:
    """The application may have shown it to somebody."""
    close_early(client.chat.completions.create(**CALL, stream=True))
    (message,) = recorded.result.output_messages
    assert message["parts"][0]["content"].startswith("Hello")
    assert recorded.result.response_id


def test_a_stream_left_after_its_finish_reason_is_complete(client: openai.OpenAI, recorded: Recorded) -> None:
    """The provider had said everything; only its usage was not waited for."""
    with client.chat.completions.create(**CALL, stream=True) as stream:
        for chunk in stream:
            if chunk.choices[0].finish_reason:
                break
    assert recorded.result.outcome == "success"
    assert recorded.usage == {}


def test_a_stream_that_stops_without_its_end_is_incomplete(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded
) -> None:
    """The SDK shows the caller no error here; the ledger must not call it a success."""
    piece = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunk = {**piece, "choices": [{"index": 0, "delta": {"content": "half an ans"}}]}
    provider.enqueue(Reply(events=[Event(chunk)]))
    list(client.chat.completions.create(**CALL, stream=True))
    assert (recorded.result.outcome, list(recorded.result.finish_reasons)) == ("incomplete", ["error"])


def test_a_connection_lost_in_the_middle_is_an_error(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded
) -> None:
    """What had arrived is kept."""
    provider.enqueue(Reply(reset_after_events=2))
    with pytest.raises(openai.APIConnectionError):
        list(client.chat.completions.create(**CALL, stream=True))
    assert recorded.result.outcome == "error"
    assert recorded.result.output_messages


def test_an_exception_of_the_callers_own_is_named_on_a_cancelled_call(
    client: openai.OpenAI, recorded: Recorded
) -> None:
    """The call was cut short, and the span says by what."""

    def fail() -> None:
        with client.chat.completions.create(**CALL, stream=True) as stream:
            next(stream)
            raise LookupError("of the application")

    with pytest.raises(LookupError):
        fail()
    assert (recorded.result.outcome, recorded.attributes["error.type"]) == ("cancelled", "LookupError")


def test_a_stream_read_while_another_error_is_handled_is_not_blamed_for_it(
    client: openai.OpenAI, recorded: Recorded
) -> None:
    """A fallback call runs inside an `except` block, and closes its stream there."""
    try:
        dict[str, str]()["the first provider"]
    except LookupError:
        with client.chat.completions.create(**CALL, stream=True) as stream:
            list(stream)
    assert recorded.result.outcome == "success"
    assert "error.type" not in recorded.attributes


async def test_a_cancelled_task_ends_its_call(
    async_client: openai.AsyncOpenAI, provider: LocalProvider, recorded: Recorded
) -> None:
    """The cancellation goes on to the task; the call says `cancelled`."""
    provider.enqueue(Reply(hang=True))
    task = asyncio.create_task(async_client.chat.completions.create(**CALL))
    await asyncio.to_thread(provider.wait_for_requests, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorded.result.outcome == "cancelled"


async def test_a_task_cancelled_while_it_streams_ends_its_call(
    async_client: openai.AsyncOpenAI, provider: LocalProvider, recorded: Recorded
) -> None:
    """Some chunks had arrived; the next never came."""
    provider.enqueue(Reply(hold_after_events=2))
    seen = asyncio.Event()

    async def read() -> None:
        async for _chunk in await async_client.chat.completions.create(**CALL, stream=True):
            seen.set()

    task = asyncio.create_task(read())
    await seen.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (recorded.result.outcome, recorded.usage) == ("cancelled", {})


async def test_an_async_stream_left_early_is_cancelled(async_client: openai.AsyncOpenAI, recorded: Recorded) -> None:
    """As with a sync one."""
    stream = await async_client.chat.completions.create(**CALL, stream=True)
    async for _chunk in stream:
        break
    await stream.close()
    assert (recorded.result.outcome, recorded.usage) == ("cancelled", {})


async def test_a_closed_coroutine_ends_its_call(
    async_client: openai.AsyncOpenAI, provider: LocalProvider, recorded: Recorded
) -> None:
    """Nobody will ever await it again."""
    provider.enqueue(Reply(hang=True))
    coroutine = async_client.chat.completions.create(**CALL)
    task = asyncio.ensure_future(asyncio.wait_for(coroutine, timeout=0.2))
    with pytest.raises(TimeoutError):
        await task
    assert recorded.result.outcome == "cancelled"


class TestUnsampled:
    @pytest.fixture
    def sampler(self) -> Sampler | None:
        """Drop every span."""
        return ALWAYS_OFF

    def test_an_unsampled_call_works_and_leaves_no_span(self, client: openai.OpenAI, recorded: Recorded) -> None:
        """Streams too; the audit sampler, which records such calls all the same, is not at work here."""
        assert client.chat.completions.create(**CALL).usage
        assert list(client.chat.completions.create(**CALL, stream=True))
        assert recorded.spans == []


def test_threads_do_not_mix_their_calls(client: openai.OpenAI, recorded: Recorded) -> None:
    """Each span belongs to its own answer, and none is lost."""

    def ask(number: int) -> None:
        list(
            client.chat.completions.create(
                model=f"model-{number}", messages=[{"role": "user", "content": str(number)}], stream=True
            )
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(40)))
    pairs = [(call.request.model, call.result and call.result.model) for call in recorded.handed_over]
    assert sorted(pairs) == sorted((f"model-{number}", f"model-{number}") for number in range(40))
    assert len(recorded.spans) == 40


async def test_concurrent_tasks_do_not_mix_their_calls(async_client: openai.AsyncOpenAI, recorded: Recorded) -> None:
    """The same on one event loop."""

    async def ask(number: int) -> None:
        await async_client.chat.completions.create(
            model=f"model-{number}", messages=[{"role": "user", "content": str(number)}]
        )

    await asyncio.gather(*(ask(number) for number in range(20)))
    pairs = [(call.request.model, call.result and call.result.model) for call in recorded.handed_over]
    assert sorted(pairs) == sorted((f"model-{number}", f"model-{number}") for number in range(20))


def test_a_stream_read_in_another_thread_ends_its_call(client: openai.OpenAI, recorded: Recorded) -> None:
    """The call belongs to the stream, not to the thread that opened it."""
    stream = client.chat.completions.create(**CALL, stream=True)
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    reader.join(10)
    assert recorded.result.outcome == "success"


def test_a_forked_child_records_its_own_calls(provider: LocalProvider, recorded: Recorded) -> None:
    """And the stream that the parent has open stays the parent's."""
    with openai.OpenAI(base_url=provider.openai_url, api_key="local") as client:
        stream = client.chat.completions.create(**CALL, stream=True)
        next(stream)
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            del stream
            gc.collect()
            with openai.OpenAI(base_url=provider.openai_url, api_key="local", max_retries=0) as own:
                own.chat.completions.create(**CALL)
            os.write(write_end, str(len(recorded.spans)).encode())
            os._exit(0)
        os.close(write_end)
        os.waitpid(child, 0)
        assert os.read(read_end, 9) == b"1"
        os.close(read_end)
        assert recorded.spans == []
        list(stream)
    assert recorded.result.outcome == "success"
