"""The application's own code can run inside a call: what it calls there is recorded, and nothing stays behind.

A signal handler, a finaliser or a trace function interrupts a call anywhere; an HTTP hook is called by it. An exception
that is thrown into a thread lands anywhere too.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import httpx2
import openai
import pytest
from opentelemetry.context import Context, attach, get_current

from local_provider import LocalProvider
from openai_client.conftest import CALL
from recorded_calls import Recorded


def test_a_call_made_by_a_hook_of_the_http_client_is_a_call(
    provider: LocalProvider, client: openai.OpenAI, recorded: Recorded
) -> None:
    """A guard that asks a model before the request leaves: two requests, two spans, the inner one below the outer."""

    def ask_the_guard(_: httpx2.Request) -> None:
        client.embeddings.create(model="text-embedding-3-small", input="Is this allowed?")

    with httpx2.Client(event_hooks={"request": [ask_the_guard]}) as http:
        guarded = openai.OpenAI(base_url=provider.openai_url, api_key="local", http_client=http)
        guarded.chat.completions.create(**CALL)
    inner, outer = recorded.spans
    assert [inner.name, outer.name] == ["embeddings text-embedding-3-small", "chat gpt-5-mini"]
    assert inner.parent == outer.get_span_context()
    assert len(provider.requests) == 2


async def test_an_async_call_made_by_a_hook_is_a_call(
    provider: LocalProvider, async_client: openai.AsyncOpenAI, recorded: Recorded
) -> None:
    """As above."""

    async def ask_the_guard(_: httpx2.Request) -> None:
        await async_client.embeddings.create(model="text-embedding-3-small", input="Is this allowed?")

    async with httpx2.AsyncClient(event_hooks={"request": [ask_the_guard]}) as http:
        guarded = openai.AsyncOpenAI(base_url=provider.openai_url, api_key="local", http_client=http)
        await guarded.chat.completions.create(**CALL)
    assert [span.name for span in recorded.spans] == ["embeddings text-embedding-3-small", "chat gpt-5-mini"]


@pytest.fixture
def on_alarm() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Give what sets the handler of SIGALRM, until the end of the test."""
    before = signal.getsignal(signal.SIGALRM)

    def handle(what: Callable[[], object]) -> None:
        def handler(_: int, __: FrameType | None) -> None:
            what()

        signal.signal(signal.SIGALRM, handler)

    yield handle
    signal.signal(signal.SIGALRM, before)


def test_a_call_made_by_a_signal_handler_inside_a_call_is_a_call(
    provider: LocalProvider,
    client: openai.OpenAI,
    recorded: Recorded,
    on_alarm: Callable[[Callable[[], object]], None],
) -> None:
    """The handler runs in the context of the call that it interrupts."""
    on_alarm(lambda: client.chat.completions.create(**CALL))
    with httpx2.Client(event_hooks={"request": [lambda _: signal.raise_signal(signal.SIGALRM)]}) as http:
        openai.OpenAI(base_url=provider.openai_url, api_key="local", http_client=http).chat.completions.create(**CALL)
    assert len(recorded.spans) == len(provider.requests) == 2


def test_a_call_that_the_library_makes_in_the_course_of_another_is_a_part_of_it(
    client: openai.OpenAI, recorded: Recorded
) -> None:
    """One of the SDK's methods may be built upon another: usage is counted once."""
    library: dict[str, Any] = {"__name__": "openai.resources.some_helper", "client": client, "post": None}
    exec(  # noqa: S102 - a function whose module is the library
        "def helper(*args, **kwargs):\n"
        "    client.embeddings.create(model='text-embedding-3-small', input='x')\n"
        "    return post(*args, **kwargs)\n",
        library,
    )
    completions: Any = client.chat.completions
    library["post"], completions._post = completions._post, library["helper"]
    completions.create(**CALL)
    assert recorded.span.name == "chat gpt-5-mini"


class Thrown(BaseException):
    """What another thread, or a signal handler, throws into this one."""


def _thrown_after(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def stepped(argument: Any) -> Any:
        step(argument)
        raise Thrown

    return stepped


def _thrown_before(_: Any) -> None:
    raise Thrown


@pytest.mark.parametrize(("name", "interrupted"), [("attach", _thrown_after(attach)), ("detach", _thrown_before)])
def test_an_exception_thrown_into_the_wrapper_leaves_no_context_behind(
    client: openai.OpenAI,
    recorded: Recorded,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    interrupted: Callable[[Any], Any],
) -> None:
    """It would make every later call of the thread look like a part of this one, which no row would show."""
    before: Context = get_current()
    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["spanledger.invocation.observe"], name, interrupted)
        with pytest.raises(Thrown):
            client.chat.completions.create(**CALL)
    assert get_current() == before
    client.chat.completions.create(**CALL)
    interrupted_call, next_call = recorded.spans
    assert next_call.parent is None
    assert interrupted_call.end_time is not None
