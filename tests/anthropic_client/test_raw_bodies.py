"""A caller of `with_streaming_response` reads the body itself: whichever way, the record is the truth."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import pytest

from anthropic_client.conftest import CALL
from local_provider import LocalProvider, Reply
from recorded_calls import Recorded

READERS: dict[str, Callable[[Any], Any]] = {
    "parse": lambda response: response.parse(),
    "read": lambda response: response.read(),
    "text": lambda response: response.text(),
    "iter_bytes": lambda response: response.iter_bytes(),
    "iter_small_bytes": lambda response: response.iter_bytes(7),
    "iter_text": lambda response: response.iter_text(),
    "iter_lines": lambda response: response.iter_lines(),
}
DOCUMENT_READERS: dict[str, Callable[[Any], Any]] = {
    "json": lambda response: response.json(),
    "parse_to_dict": lambda response: response.parse(to=dict[str, object]),
    "parse_to_text": lambda response: response.parse(to=str),
}
CASES = [(name, stream) for name in READERS for stream in (False, True)] + [(name, False) for name in DOCUMENT_READERS]
readers = pytest.mark.parametrize(("reader", "stream"), CASES)


def lazily(client: Any, *, stream: bool) -> Any:
    """Ask, and leave the body to the caller."""
    return client.messages.with_streaming_response.create(**CALL, **({"stream": True} if stream else {}))


def assert_recorded(recorded: Recorded) -> None:
    """Hold what must be true however the body was read: Anthropic reports usage in every answer."""
    assert len(recorded.with_usage) == 1
    assert (recorded.result.outcome, list(recorded.result.finish_reasons)) == ("success", ["stop"])
    assert recorded.attributes["gen_ai.usage.output_tokens"] == 6
    assert recorded.result.output_messages[0]["parts"][0]["content"].startswith("Hello")


@readers
def test_a_body_is_recorded_however_it_is_read(
    client: anthropic.Anthropic, recorded: Recorded, *, reader: str, stream: bool
) -> None:
    """Parsed, as JSON, as text, or byte by byte."""
    with lazily(client, stream=stream) as response:
        step = (READERS | DOCUMENT_READERS)[reader](response)
        is_iterable = inspect.isgenerator(step) or isinstance(step, anthropic.Stream)
        assert list(step) if is_iterable else step
    assert_recorded(recorded)


@readers
async def test_a_body_is_recorded_however_it_is_read_asynchronously(
    async_client: anthropic.AsyncAnthropic, recorded: Recorded, *, reader: str, stream: bool
) -> None:
    """The same on an event loop."""
    async with lazily(async_client, stream=stream) as response:
        step = (READERS | DOCUMENT_READERS)[reader](response)
        answer: Any = await step if inspect.isawaitable(step) else step
        assert [piece async for piece in answer] if hasattr(answer, "__aiter__") else answer
    assert_recorded(recorded)


def test_a_connection_that_is_lost_while_the_caller_reads_is_an_error(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded
) -> None:
    """It is the network's fault, not the caller's wish; what had been counted is kept."""
    provider.enqueue(Reply(reset_after_events=3))
    with pytest.raises(httpx2.ReadError), lazily(client, stream=True) as response:
        list(response.iter_lines())
    assert recorded.result.outcome == "error"
    assert "gen_ai.usage.output_tokens" not in recorded.attributes


def test_lines_that_are_left_early_are_cancelled(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded
) -> None:
    """With what the provider had said: the input, and not the placeholder for the output."""
    provider.enqueue(Reply(hold_after_events=3))
    with lazily(client, stream=True) as response:
        for line in response.iter_lines():
            if "content_block_start" in line:
                break
    provider.release()
    assert recorded.result.outcome == "cancelled"
    assert recorded.attributes["gen_ai.usage.input_tokens"] > 0
    assert "gen_ai.usage.output_tokens" not in recorded.attributes
