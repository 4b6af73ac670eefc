"""Switching the instrumentor on and off: lazily, reversibly, again, and without an SDK that nobody imported."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai.resources.chat.completions import Completions
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from local_provider import LocalProvider
from openai_client.conftest import CALL
from spanledger.invocation import faults
from spanledger.openai import OpenAIInstrumentor


@pytest.fixture
def client(provider: LocalProvider) -> Iterator[openai.OpenAI]:
    """Connect before anything is switched on."""
    with openai.OpenAI(base_url=provider.openai_url, api_key="local", timeout=5, max_retries=0) as connected:
        yield connected


def switched_on() -> InMemorySpanExporter:
    """Switch the instrumentor on with a provider of its own."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    OpenAIInstrumentor().instrument(skip_dep_check=True, tracer_provider=provider)
    return exporter


@pytest.fixture(autouse=True)
def _switched_off_afterwards() -> Iterator[None]:
    yield
    if OpenAIInstrumentor().is_instrumented_by_opentelemetry:
        OpenAIInstrumentor().uninstrument()


def methods_of_the_sdk() -> dict[tuple[str, str, str], Any]:
    """Give what stands in every class of the SDK's resources, by module, class and name."""
    return {
        (name, owner.__name__, member): value
        for name, module in list(sys.modules.items())
        if name.startswith("openai.resources.")
        for owner in vars(module).values()
        if isinstance(owner, type) and owner.__module__ == name
        for member, value in vars(owner).items()
    }


def test_switching_off_puts_every_original_back() -> None:
    """Every class is what it was before, by identity; another instance of the instrumentor may switch off."""
    before = methods_of_the_sdk()
    switched_on()
    during = methods_of_the_sdk()
    changed = {key for key in before if during[key] is not before[key]}
    chat = "openai.resources.chat.completions.completions"
    assert {
        (chat, owner, name) for owner in ("Completions", "AsyncCompletions") for name in ("create", "parse")
    } <= changed
    OpenAIInstrumentor().uninstrument()
    after = methods_of_the_sdk()
    assert {key for key in before if after[key] is not before[key]} == set()


def test_it_can_be_switched_on_again_with_another_provider(client: openai.OpenAI) -> None:
    """Each time the spans go where the latest switching on said."""
    first = switched_on()
    OpenAIInstrumentor().uninstrument()
    second = switched_on()
    client.chat.completions.create(**CALL)
    assert (len(first.get_finished_spans()), len(second.get_finished_spans())) == (0, 1)


def test_a_method_that_was_bound_while_switched_on_passes_through_afterwards(client: openai.OpenAI) -> None:
    """The SDK keeps `with_raw_response`, and the wrapper in it, for the client's life."""
    exporter = switched_on()
    raw = client.chat.completions.with_raw_response
    OpenAIInstrumentor().uninstrument()
    assert raw.create(**CALL).parse().choices
    assert exporter.get_finished_spans() == ()


def test_a_wrapper_of_somebody_else_survives_switching_off(client: openai.OpenAI) -> None:
    """Ours below it passes calls through."""
    import wrapt

    exporter = switched_on()
    calls: list[str] = []

    def count(wrapped: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        calls.append("called")
        return wrapped(*args, **kwargs)

    ours = vars(Completions)["create"]
    try:
        wrapt.wrap_function_wrapper(Completions, "create", count)
        OpenAIInstrumentor().uninstrument()
        client.chat.completions.create(**CALL)
        assert (calls, exporter.get_finished_spans()) == (["called"], ())
    finally:
        Completions.create = ours.__wrapped__  # type: ignore[method-assign]


def test_an_sdk_that_is_imported_later_is_instrumented_then() -> None:
    """And switching on imports no SDK."""
    program = """
import sys
from spanledger.openai import OpenAIInstrumentor
OpenAIInstrumentor().instrument(skip_dep_check=True)
assert not {"openai", "anthropic", "chdb", "genai_prices"} & set(sys.modules)
import openai
from openai.resources.chat.completions import Completions
print(type(vars(Completions)["create"]).__name__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "_ObservedMethod"


def test_what_reads_calls_is_imported_with_the_sdk_and_not_with_the_first_call() -> None:
    """Switching on stays quick in a process that never uses the SDK, and no call pays for it."""
    program = """
import sys
from spanledger.openai import OpenAIInstrumentor
from spanledger.anthropic import AnthropicInstrumentor
OpenAIInstrumentor().instrument(skip_dep_check=True)
AnthropicInstrumentor().instrument(skip_dep_check=True)
readers = {"spanledger.openai.chat", "spanledger.openai.responses", "spanledger.anthropic.exchange"}
before = readers & set(sys.modules)
import openai, anthropic
print(len(before), sorted(readers - set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0 []"


def test_readers_that_cannot_be_imported_are_reported_once_and_the_sdk_works() -> None:
    """A broken installation of ours costs the record, not the application."""
    program = """
import sys
from spanledger.openai import OpenAIInstrumentor
OpenAIInstrumentor().instrument(skip_dep_check=True)
sys.modules["spanledger.openai.responses"] = None  # as if its file were missing
import openai
import openai.resources.images
from openai.resources.chat.completions import Completions
print(type(vars(Completions)["create"]).__name__)
OpenAIInstrumentor().uninstrument()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "function"
    assert done.stderr.count("spanledger could not") == 1
    assert "spanledger could not prepare to observe openai: ModuleNotFoundError" in done.stderr
    assert "no call of openai is recorded" in done.stderr


def test_an_sdk_that_is_imported_after_switching_off_stays_as_it_is() -> None:
    """Import hooks cannot be taken back; ours do nothing then."""
    program = """
import sys
from spanledger.openai import OpenAIInstrumentor
OpenAIInstrumentor().instrument(skip_dep_check=True)
OpenAIInstrumentor().uninstrument()
from openai.resources.chat.completions import Completions
print(type(vars(Completions)["create"]).__name__, "spanledger.openai.methods" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "function False"


def test_an_sdk_that_is_too_old_is_left_alone_with_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The launcher skips the base class's check; ours names what is there, what is needed, and what to do."""
    monkeypatch.setattr("spanledger.invocation.instrumentor.version", lambda _name: "1.9.0")
    before = vars(Completions)["create"]
    switched_on()
    assert vars(Completions)["create"] is before
    assert "expected openai >= 3.0, got 1.9.0" in caplog.text
    assert "pip install -U openai" in caplog.text


def test_our_own_failure_is_logged_once_and_never_raised(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The application gets its answers."""
    monkeypatch.setattr(faults, "_reported", set())
    monkeypatch.setattr("spanledger.openai.chat.server_of", lambda _resource: 1 / 0)
    switched_on()
    with caplog.at_level(logging.WARNING, logger="spanledger"):
        assert client.chat.completions.create(**CALL).choices
        assert list(client.chat.completions.create(**CALL, stream=True))
    assert [record.message.split(":")[0] for record in caplog.records] == ["spanledger could not start a call"]


def test_a_message_that_contains_itself_is_one_line_in_the_log(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK refuses to send it; a traceback of ours would have a thousand frames."""
    monkeypatch.setattr(faults, "_reported", set())
    exporter = switched_on()
    part: dict[str, Any] = {"type": "text"}
    part["part"] = part
    messages: Any = [{"role": "user", "content": [{"type": "odd", "part": part}]}]
    with pytest.raises(ValueError, match="Circular reference"):
        client.chat.completions.create(model=CALL["model"], messages=messages)
    assert len(exporter.get_finished_spans()) == 1
    assert len(caplog.text.splitlines()) <= 1
