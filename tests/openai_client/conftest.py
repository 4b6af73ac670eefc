"""A local provider, the real SDK, and the instrumentor between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import openai
import pytest
import pytest_asyncio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler

from local_provider import LocalProvider
from recorded_calls import Recorded
from spanledger.openai import OpenAIInstrumentor

MODEL = "gpt-5-mini"
CALL: Mapping[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Is the alert real?"}]}


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
