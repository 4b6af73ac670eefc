"""A local provider, the real SDK, and the instrumentor between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import anthropic
import pytest
import pytest_asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler

from local_provider import LocalProvider
from recorded_calls import Recorded
from spanledger.anthropic import AnthropicInstrumentor

MODEL = "claude-sonnet-5"
CALL: Mapping[str, Any] = {
    "model": MODEL,
    "max_tokens": 99,
    "messages": [{"role": "user", "content": "Is the alert real?"}],
}


def set_global_provider(monkeypatch: pytest.MonkeyPatch, provider: TracerProvider) -> None:
    """Make `provider` the global one, where the SDK's own telemetry finds it, for one test."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)


@pytest.fixture
def sampler() -> Sampler | None:
    """Sample everything; a test may say otherwise."""
    return None


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, sampler: Sampler | None) -> Iterator[Recorded]:
    """Switch the instrumentor on, with everything else at its default."""
    kept = Recorded()
    tracer_provider = TracerProvider(sampler=sampler)
    tracer_provider.add_span_processor(kept)
    set_global_provider(monkeypatch, tracer_provider)
    instrumentor = AnthropicInstrumentor()
    instrumentor.instrument(skip_dep_check=True)
    yield kept
    instrumentor.uninstrument()


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    """Run the local provider."""
    with LocalProvider() as running:
        yield running


@pytest.fixture
def client(provider: LocalProvider, recorded: Recorded) -> Iterator[anthropic.Anthropic]:
    """Connect an ordinary client."""
    del recorded
    with anthropic.Anthropic(base_url=provider.url, api_key="local", timeout=5, max_retries=0) as connected:
        yield connected


@pytest_asyncio.fixture
async def async_client(provider: LocalProvider, recorded: Recorded) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Connect an ordinary async client."""
    del recorded
    async with anthropic.AsyncAnthropic(base_url=provider.url, api_key="local", timeout=5, max_retries=0) as connected:
        yield connected
