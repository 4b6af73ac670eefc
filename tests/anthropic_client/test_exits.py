"""Every way a call can end: the caller sees what the SDK alone would show, and the call ends once, with the truth."""

import asyncio
import gc
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx2
import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from opentelemetry.trace import StatusCode

from anthropic_client.conftest import CALL, MODEL
from left_early import break_and_drop, close_early, leave_the_block
from local_provider import Event, LocalProvider, Reply
from recorded_calls import Recorded

INPUT_ONLY = {"input_tokens": 12}


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=400), anthropic.BadRequestError),
        (Reply(status=401), anthropic.AuthenticationError),
        (Reply(status=429), anthropic.RateLimitError),
        (Reply(status=529), anthropic.InternalServerError),
        (Reply(reset_after_events=0), anthropic.APIConnectionError),
        (Reply(malformed=True), ValueError),
    ],
)
def test_an_error_reaches_the_caller_unchanged_and_ends_the_call(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded, reply: Reply, error: type[Exception]
) -> None:
    """The span says which error it was, and has no usage."""
    provider.enqueue(reply)
    with pytest.raises(error) as raised:
        client.messages.create(**CALL)
    assert recorded.result.outcome == "error"
    assert recorded.result.error_message == str(raised.value)
    assert str(recorded.attributes["error.type"]).endswith(type(raised.value).__name__)
    assert recorded.span.status.status_code is StatusCode.ERROR
    assert recorded.usage == {}


def test_retries_are_one_call(client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded) -> None:
    """The span covers all attempts, as the conventions ask."""
    provider.enqueue(
        Reply(status=429, headers={"retry-after-ms": "1"}), Reply(status=500, headers={"retry-after-ms": "1"})
    )
    client.with_options(max_retries=2).messages.create(**CALL)
    assert len(provider.requests) == 3
    assert recorded.result.outcome == "success"
    assert recorded.usage["output_tokens"] == 6


def test_a_timeout_is_an_error(client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded) -> None:
    """What was sent is handed over although no answer came."""
    provider.enqueue(Reply(hang=True))
    with pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=0.05).messages.create(**CALL)
    assert (recorded.result.outcome, recorded.attributes["error.type"]) == ("error", "anthropic.APITimeoutError")


@pytest.mark.parametrize("leave", [close_early, leave_the_block, break_and_drop])
def test_a_stream_left_early_reports_what_was_said_and_nothing_else(
    client: anthropic.Anthropic, recorded: Recorded, leave: Callable[[Any], None]
) -> None:
    """The `output_tokens: 1` that opens a stream is a placeholder, and never becomes a count."""
    leave(client.messages.create(**CALL, stream=True))
    gc.collect()
    assert recorded.result.outcome == "cancelled"
    assert recorded.usage == INPUT_ONLY
    assert recorded.span.status.status_code is StatusCode.UNSET


def test_text_that_had_arrived_before_the_caller_left_is_kept(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """The application may have shown it to somebody."""
    with client.messages.stream(**CALL) as stream:
        for text in stream.text_stream:
            if "from" in text:
                break
    assert recorded.result.outcome == "cancelled"
    assert recorded.result.output_messages[0]["parts"] == [{"type": "text", "content": "Hello from "}]
    assert recorded.usage == INPUT_ONLY


def test_a_raw_stream_left_early_reports_the_bytes_that_were_read(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded
) -> None:
    """The caller took lines and left; nothing beyond them had arrived."""
    provider.enqueue(Reply(hold_after_events=4))
    with client.messages.with_streaming_response.create(**CALL, stream=True) as response:
        for line in response.iter_lines():
            if "content_block_delta" in line:
                break
    assert recorded.result.outcome == "cancelled"
    assert recorded.usage == INPUT_ONLY


def test_a_raw_response_that_nobody_reads_ends_when_it_is_dropped(
    client: anthropic.Anthropic, recorded: Recorded
) -> None:
    """As with a stream."""
    response = client.messages.with_raw_response.create(**CALL, stream=True)
    assert recorded.spans == []
    del response
    gc.collect()
    assert recorded.result.outcome == "cancelled"


def test_a_stream_left_after_its_end_is_complete(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """Everything had been said; only the loop was not drained."""
    with client.messages.create(**CALL, stream=True) as stream:
        for event in stream:
            if event.type == "message_stop":
                break
    assert recorded.result.outcome == "success"
    assert recorded.usage["output_tokens"] == 6


def test_a_stream_that_nobody_reads_ends_when_it_is_dropped(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """Nothing was read, so nothing is claimed."""
    stream = client.messages.create(**CALL, stream=True)
    assert recorded.spans == []
    del stream
    gc.collect()
    assert recorded.result.outcome == "cancelled"
    assert recorded.usage == {}


def test_a_connection_lost_in_the_middle_is_an_error(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded
) -> None:
    """What had arrived is kept."""
    provider.enqueue(Reply(reset_after_events=5))
    with pytest.raises(httpx2.TransportError):
        list(client.messages.create(**CALL, stream=True))
    assert recorded.result.outcome == "error"
    assert recorded.attributes["error.type"] == "httpx2.ReadError"


def test_a_stream_that_stops_without_its_end_is_incomplete(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded
) -> None:
    """The SDK shows the caller no error here; the ledger must not call it a success."""
    start = {
        "type": "message_start",
        "message": {"id": "msg_1", "model": MODEL, "content": [], "usage": {"input_tokens": 12, "output_tokens": 1}},
    }
    provider.enqueue(Reply(events=[Event(start, name="message_start")]))
    list(client.messages.create(**CALL, stream=True))
    assert recorded.result.outcome == "incomplete"
    assert list(recorded.result.finish_reasons) == ["error"]
    assert recorded.usage == INPUT_ONLY


def test_an_error_event_in_the_stream_is_an_error(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded
) -> None:
    """The provider may fail after it has begun to answer."""
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    provider.enqueue(Reply(events=[Event(overloaded, name="error")]))
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        list(client.messages.create(**CALL, stream=True))
    assert recorded.result.outcome == "error"


def test_an_exception_of_the_callers_own_leaves_a_cancelled_stream(
    client: anthropic.Anthropic, recorded: Recorded
) -> None:
    """The call was cut short, and the span names what cut it short."""

    def fail() -> None:
        with client.messages.stream(**CALL) as stream:
            next(iter(stream))
            raise LookupError("of the application")

    with pytest.raises(LookupError):
        fail()
    assert recorded.result.outcome == "cancelled"
    assert recorded.attributes["error.type"] == "LookupError"


async def test_a_cancelled_task_ends_its_call(
    async_client: anthropic.AsyncAnthropic, provider: LocalProvider, recorded: Recorded
) -> None:
    """The cancellation goes on to the task; the call says `cancelled`."""
    provider.enqueue(Reply(hang=True))
    task = asyncio.create_task(async_client.messages.create(**CALL))
    await asyncio.to_thread(provider.wait_for_requests, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorded.result.outcome == "cancelled"


async def test_a_task_cancelled_while_it_streams_ends_its_call(
    async_client: anthropic.AsyncAnthropic, provider: LocalProvider, recorded: Recorded
) -> None:
    """Two events had arrived; the third never came."""
    provider.enqueue(Reply(hold_after_events=3))
    seen = asyncio.Event()

    async def read() -> None:
        async with async_client.messages.stream(**CALL) as stream:
            async for _event in stream:
                seen.set()

    task = asyncio.create_task(read())
    await seen.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorded.result.outcome == "cancelled"
    assert recorded.usage == INPUT_ONLY


async def test_an_async_stream_left_early_is_cancelled(
    async_client: anthropic.AsyncAnthropic, recorded: Recorded
) -> None:
    """As with a sync one."""
    stream = await async_client.messages.create(**CALL, stream=True)
    async for _event in stream:
        break
    await stream.close()
    assert recorded.result.outcome == "cancelled"
    assert recorded.usage == INPUT_ONLY


class TestUnsampled:
    @pytest.fixture
    def sampler(self) -> Sampler | None:
        """Drop every span."""
        return ALWAYS_OFF

    def test_an_unsampled_call_works_and_leaves_no_span(self, client: anthropic.Anthropic, recorded: Recorded) -> None:
        """Streams too; the audit sampler, which records such calls all the same, is not at work here."""
        assert client.messages.create(**CALL).usage.output_tokens == 6
        assert list(client.messages.create(**CALL, stream=True))
        assert recorded.spans == []


def test_threads_do_not_mix_their_calls(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """Each span belongs to its own answer, and none is lost."""

    def ask(number: int) -> None:
        stream = client.messages.create(
            model=f"model-{number}", max_tokens=9, messages=[{"role": "user", "content": str(number)}], stream=True
        )
        list(stream)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(40)))
    pairs = [(call.request.model, call.result and call.result.model) for call in recorded.handed_over]
    assert sorted(pairs) == sorted((f"model-{number}", f"model-{number}") for number in range(40))
    assert len(recorded.with_usage) == 40


async def test_concurrent_tasks_do_not_mix_their_calls(
    async_client: anthropic.AsyncAnthropic, recorded: Recorded
) -> None:
    """The same on one event loop."""

    async def ask(number: int) -> None:
        async with async_client.messages.stream(
            model=f"model-{number}", max_tokens=9, messages=[{"role": "user", "content": str(number)}]
        ) as stream:
            await stream.get_final_message()

    await asyncio.gather(*(ask(number) for number in range(20)))
    pairs = [(call.request.model, call.result and call.result.model) for call in recorded.handed_over]
    assert sorted(pairs) == sorted((f"model-{number}", f"model-{number}") for number in range(20))


def test_a_stream_read_in_another_thread_ends_its_call(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """The call belongs to the stream, not to the thread that opened it."""
    stream = client.messages.create(**CALL, stream=True)
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    reader.join(10)
    assert recorded.result.outcome == "success"


def test_a_forked_child_records_its_own_calls(provider: LocalProvider, recorded: Recorded) -> None:
    """And the stream that the parent has open stays the parent's."""
    with anthropic.Anthropic(base_url=provider.url, api_key="local") as client:
        stream = client.messages.create(**CALL, stream=True)
        next(stream)
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            with anthropic.Anthropic(base_url=provider.url, api_key="local", max_retries=0) as own:
                own.messages.create(**CALL)
            os.write(write_end, str(len(recorded.spans)).encode())
            os._exit(0)
        os.close(write_end)
        os.waitpid(child, 0)
        assert os.read(read_end, 9) == b"1"
        os.close(read_end)
        assert recorded.spans == []
        list(stream)
    assert recorded.result.outcome == "success"
