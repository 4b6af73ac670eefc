"""Several instrumentations watch the same call, and still exactly one span has its usage.

The HTTP instrumentation is the real one. The rival GenAI instrumentations are simulated: installing the real ones would
register their entry points in this environment, and the launcher would load them everywhere. The real ones, each in an
environment of its own, are the business of `tests/conformance/rivals.py`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import wrapt
from anthropic.resources.messages import Messages as AnthropicMessages
from openai.resources.chat.completions import Completions as OpenAICompletions
from opentelemetry import trace
from opentelemetry.context import attach, detach, get_value, set_value
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from local_provider import LocalProvider
from spanledger.anthropic import AnthropicInstrumentor
from spanledger.invocation.coexistence import nested_markers
from spanledger.openai import OpenAIInstrumentor

UTIL_GENAI = "opentelemetry.genai.client.inference.context"
ASK: list[Any] = [{"role": "user", "content": "Hi"}]


def ask_openai(provider: LocalProvider) -> None:
    """Ask for a chat completion with the real SDK."""
    with openai.OpenAI(base_url=provider.openai_url, api_key="local") as client:
        client.chat.completions.create(model="gpt-5-mini", messages=ASK)


def ask_anthropic(provider: LocalProvider) -> None:
    """Ask for a message with the real SDK."""
    with anthropic.Anthropic(base_url=provider.url, api_key="local") as client:
        client.messages.create(model="claude-sonnet-5", max_tokens=9, messages=ASK)


Ask = Callable[[LocalProvider], None]
both_sdks = pytest.mark.parametrize("ask", [ask_openai, ask_anthropic])


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    """Run the local provider."""
    with LocalProvider() as running:
        yield running


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Give a global tracer provider whose spans can be looked at."""
    kept = InMemorySpanExporter()
    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", tracer_provider)
    return kept


@pytest.fixture
def instrumented(exporter: InMemorySpanExporter) -> Iterator[None]:
    """Switch both of our instrumentors on."""
    del exporter
    instrumentors = (OpenAIInstrumentor(), AnthropicInstrumentor())
    for instrumentor in instrumentors:
        instrumentor.instrument(skip_dep_check=True)
    yield
    for instrumentor in instrumentors:
        instrumentor.uninstrument()


def with_usage(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """Return the spans that carry token counts."""
    return [span for span in exporter.get_finished_spans() if any(".usage." in key for key in span.attributes or {})]


@both_sdks
@pytest.mark.usefixtures("instrumented")
def test_http_spans_are_children_without_usage(
    provider: LocalProvider, exporter: InMemorySpanExporter, ask: Ask
) -> None:
    """The real HTTP instrumentation adds a span below ours, for each request that was sent."""
    http = HTTPX2ClientInstrumentor()
    http.instrument(skip_dep_check=True)
    try:
        ask(provider)
    finally:
        http.uninstrument()
    (call,) = with_usage(exporter)
    others = [span for span in exporter.get_finished_spans() if span is not call]
    assert [span.name for span in others] == ["POST"]
    assert others[0].parent == call.get_span_context()


class Rival:
    """Another GenAI instrumentation: wraps a method of each SDK and makes a span with usage."""

    def __init__(self, module: str, *, listens: bool) -> None:
        self.module = module
        self.listens = listens
        self._originals: list[tuple[Any, str, Any]] = []

    def install(self) -> None:
        """Wrap the methods, and be visible as the real package would be."""
        for owner, name in (
            (OpenAICompletions, "create"),
            (AnthropicMessages, "create"),
        ):
            original = vars(owner)[name]
            self._originals.append((owner, name, original))
            setattr(owner, name, wrapt.FunctionWrapper(original, self._call))

    def remove(self) -> None:
        """Put the methods back."""
        for owner, name, original in self._originals:
            setattr(owner, name, original)

    def _call(self, wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        if self.listens and get_value(UTIL_GENAI):
            return wrapped(*args, **kwargs)
        with trace.get_tracer(self.module).start_as_current_span("rival") as span:
            token = attach(set_value(UTIL_GENAI, value=True)) if self.listens else None
            try:
                answer = wrapped(*args, **kwargs)
            finally:
                if token is not None:
                    detach(token)
            span.set_attribute("gen_ai.usage.input_tokens", 12)
            return answer


@pytest.fixture
def install_rival(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install rivals, and remove them after the test."""
    installed: list[Rival] = []

    def install(name: str, *, listens: bool) -> None:
        module, _, instrumentor = name.partition(":")
        stub = ModuleType(module)
        active = type(instrumentor, (), {"_is_instrumented_by_opentelemetry": True})
        vars(stub)[instrumentor] = type(instrumentor, (), {"_instance": active()})
        monkeypatch.setitem(sys.modules, module, stub)
        rival = Rival(module, listens=listens)
        rival.install()
        installed.append(rival)

    yield install
    for rival in reversed(installed):
        rival.remove()


@both_sdks
@pytest.mark.usefixtures("instrumented")
def test_a_rival_that_says_so_in_the_context_is_not_counted_twice(
    provider: LocalProvider, exporter: InMemorySpanExporter, install_rival: Callable[..., None], ask: Ask
) -> None:
    """The official instrumentations do; whoever is outermost records the call, the SDK's own span stays away."""
    install_rival("opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor", listens=True)
    ask(provider)
    assert len(with_usage(exporter)) == 1


@pytest.mark.parametrize(
    ("rival", "ask"),
    [
        ("openinference.instrumentation.openai:OpenAIInstrumentor", ask_openai),
        ("openinference.instrumentation.anthropic:AnthropicInstrumentor", ask_anthropic),
        ("opentelemetry.instrumentation.openai:OpenAIInstrumentor", ask_openai),
        ("opentelemetry.instrumentation.anthropic:AnthropicInstrumentor", ask_anthropic),
        ("openlit.instrumentation.openai:OpenAIInstrumentor", ask_openai),
    ],
)
@pytest.mark.usefixtures("instrumented")
def test_we_step_aside_for_a_rival_that_does_not_listen(
    provider: LocalProvider,
    exporter: InMemorySpanExporter,
    install_rival: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    *,
    rival: str,
    ask: Ask,
) -> None:
    """Each call is counted once, and the log names the variable that decides who counts."""
    install_rival(rival, listens=False)
    with caplog.at_level(logging.WARNING, "spanledger"):
        ask(provider)
    assert [span.name for span in with_usage(exporter)] == ["rival"]
    assert "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS" in caplog.text


@pytest.mark.usefixtures("exporter")
def test_the_official_family_is_told_by_an_object_of_its_own_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything else in its context key is not believed, and the call would be counted twice."""

    class InferenceData:
        """As in opentelemetry-util-genai 1.3b0."""

    stub = ModuleType("opentelemetry.util.genai._inference_invocation")
    vars(stub)["InferenceData"] = InferenceData
    monkeypatch.setitem(sys.modules, stub.__name__, stub)
    markers = nested_markers()
    assert isinstance(markers[UTIL_GENAI], InferenceData)
    assert markers["opentelemetry.genai.client.embedding.context"] is True


class ProxiedResponse(wrapt.ObjectProxy[Any]):
    """As the official instrumentation puts around a stream's HTTP response."""

    def close(self) -> None:
        """Close what is wrapped."""
        self.__wrapped__.close()


class ProxiedStream(wrapt.ObjectProxy[Any]):
    """As OpenLLMetry puts around a stream: for sync and async streams alike."""

    def __next__(self) -> Any:
        return next(self.__wrapped__)

    async def __anext__(self) -> Any:
        return await anext(self.__wrapped__)


@pytest.fixture
def proxying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have somebody below us return proxies, as if instrumented before we were."""
    original = OpenAICompletions.create

    def create(self: Any, **kwargs: Any) -> Any:
        stream = original(self, **kwargs)
        stream.response = ProxiedResponse(stream.response)
        return ProxiedStream(stream)

    monkeypatch.setattr(OpenAICompletions, "create", create)


@pytest.mark.usefixtures("proxying")
@pytest.mark.parametrize("read", [list, lambda stream: stream.close()])
def test_a_stream_in_the_proxies_of_somebody_below_us_is_read_and_closed_as_ever(
    provider: LocalProvider, exporter: InMemorySpanExporter, read: Callable[[Any], Any]
) -> None:
    """Our observer and our hook sit in the SDK's own objects: in a proxy they would call each other for ever."""
    OpenAIInstrumentor().instrument(skip_dep_check=True)
    try:
        with openai.OpenAI(base_url=provider.openai_url, api_key="local") as client:
            read(client.chat.completions.create(model="gpt-5-mini", messages=ASK, stream=True))
    finally:
        OpenAIInstrumentor().uninstrument()
    assert [span.name for span in exporter.get_finished_spans()] == ["chat gpt-5-mini"]


@both_sdks
@pytest.mark.usefixtures("instrumented")
def test_suppressed_instrumentation_is_suppressed(
    provider: LocalProvider, exporter: InMemorySpanExporter, ask: Ask
) -> None:
    """An exporter's own calls, for example, are nobody's business."""
    with suppress_instrumentation():
        ask(provider)
    assert with_usage(exporter) == []


@pytest.mark.usefixtures("instrumented")
def test_an_application_without_an_instrumented_sdk_notices_nothing(
    provider: LocalProvider, exporter: InMemorySpanExporter
) -> None:
    """Plain HTTP to the same endpoint is not ours."""
    httpx2.post(f"{provider.openai_url}/chat/completions", json={"model": "m", "messages": ASK})
    assert exporter.get_finished_spans() == ()
