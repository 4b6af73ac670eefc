"""A local provider, the real SDK, and a stand-in for the audit processor that keeps what it is handed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import openai
import pytest
import pytest_asyncio
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler

from local_provider import LocalProvider
from spanledger.openai import OpenAIInstrumentor
from spanledger_semconv.invocation import CONTEXT_KEY, Invocation, InvocationRequest, InvocationResult

MODEL = "gpt-5-mini"
CALL: Mapping[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Is the alert real?"}]}


class Recorded(SpanProcessor):
    """Keeps every span and every hand-over, as the audit processor would."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.handed_over: list[Invocation] = []
        self.refusal: Exception | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Take the hand-over while the span starts, or refuse the call."""
        del span
        if self.refusal is not None:
            raise self.refusal
        found = None if parent_context is None else parent_context.get(CONTEXT_KEY)
        if isinstance(found, Invocation):
            list(found.request.input_messages)  # the intent row reads what is about to be sent
            self.handed_over.append(found)

    def on_end(self, span: ReadableSpan) -> None:
        """Keep the span."""
        self.spans.append(span)

    @property
    def span(self) -> ReadableSpan:
        """The only span."""
        assert len(self.spans) == 1, [span.name for span in self.spans]
        return self.spans[0]

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of the only span."""
        return dict(self.span.attributes or {})

    @property
    def usage(self) -> dict[str, Any]:
        """The token counts on the only span, by the end of their names."""
        prefix = "gen_ai.usage."
        return {name.removeprefix(prefix): count for name, count in self.attributes.items() if name.startswith(prefix)}

    @property
    def request(self) -> InvocationRequest:
        """The request of the only call."""
        assert len(self.handed_over) == 1
        return self.handed_over[0].request

    @property
    def result(self) -> InvocationResult:
        """The result of the only call, which must have ended."""
        assert len(self.handed_over) == 1
        result = self.handed_over[0].result
        assert result is not None, "the call has not ended"
        return result


@pytest.fixture
def sampler() -> Sampler | None:
    """Sample everything; a test may say otherwise."""
    return None


@pytest.fixture
def metric_reader() -> InMemoryMetricReader:
    """Collect metrics when a test asks."""
    return InMemoryMetricReader()


@pytest.fixture
def recorded(sampler: Sampler | None, metric_reader: InMemoryMetricReader) -> Iterator[Recorded]:
    """Switch the instrumentor on, with everything else at its default."""
    kept = Recorded()
    tracer_provider = TracerProvider(sampler=sampler)
    tracer_provider.add_span_processor(kept)
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(
        skip_dep_check=True,
        tracer_provider=tracer_provider,
        meter_provider=MeterProvider(metric_readers=[metric_reader]),
    )
    yield kept
    instrumentor.uninstrument()


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    """Run the local provider."""
    with LocalProvider() as running:
        yield running


@pytest.fixture
def client(provider: LocalProvider, recorded: Recorded) -> Iterator[openai.OpenAI]:
    """Connect an ordinary client."""
    del recorded
    with openai.OpenAI(base_url=provider.openai_url, api_key="local", timeout=5, max_retries=0) as connected:
        yield connected


@pytest_asyncio.fixture
async def async_client(provider: LocalProvider, recorded: Recorded) -> AsyncIterator[openai.AsyncOpenAI]:
    """Connect an ordinary async client."""
    del recorded
    async with openai.AsyncOpenAI(base_url=provider.openai_url, api_key="local", timeout=5, max_retries=0) as connected:
        yield connected
