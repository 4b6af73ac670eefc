"""The SDK's own telemetry stays at its default, and each call still has exactly one span with usage."""

import anthropic
import pytest
from opentelemetry.context import attach, detach, get_current, set_value
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import get_tracer

from anthropic_client.conftest import CALL, MODEL
from local_provider import LocalProvider
from recorded_calls import Recorded
from spanledger.anthropic import AnthropicInstrumentor

NATIVE_SCOPE = "com.anthropic.sdk.python"


def scopes(recorded: Recorded) -> list[str]:
    """Return who made each span."""
    return [span.instrumentation_scope.name for span in recorded.spans if span.instrumentation_scope]


def test_the_sdk_makes_usage_spans_of_its_own_by_default(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """Without us there is one: the premise of everything here."""
    AnthropicInstrumentor().uninstrument()
    client.messages.create(**CALL)
    assert scopes(recorded) == [NATIVE_SCOPE]
    assert len(recorded.with_usage) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_recorded_call_has_no_native_span(client: anthropic.Anthropic, recorded: Recorded, *, stream: bool) -> None:
    """One call, one span, one usage."""
    answer = client.messages.create(**CALL, stream=stream)
    if stream:
        list(answer)
    assert scopes(recorded) == ["spanledger.anthropic"]


def test_the_request_carries_the_trace_context_of_our_span(
    client: anthropic.Anthropic, provider: LocalProvider, recorded: Recorded
) -> None:
    """The SDK's `propagation` option keeps its promise."""
    client.messages.create(**CALL)
    context = recorded.span.get_span_context()
    assert context
    assert provider.requests[0].headers["traceparent"] == f"00-{context.trace_id:032x}-{context.span_id:016x}-03"


def test_a_client_that_propagates_nothing_still_propagates_nothing(provider: LocalProvider, recorded: Recorded) -> None:
    """The user's own option is not overruled."""
    with anthropic.Anthropic(base_url=provider.url, api_key="local", open_telemetry={"propagation": False}) as client:
        client.messages.create(**CALL)
    assert "traceparent" not in provider.requests[0].headers
    assert len(recorded.with_usage) == 1


def test_a_client_without_native_telemetry_is_recorded_all_the_same(
    provider: LocalProvider, recorded: Recorded
) -> None:
    """We do not depend on what we replace."""
    with anthropic.Anthropic(base_url=provider.url, api_key="local", open_telemetry=False) as client:
        client.messages.create(**CALL)
    assert scopes(recorded) == ["spanledger.anthropic"]


def test_a_client_with_a_tracer_provider_of_its_own_leaves_no_second_span_there(
    provider: LocalProvider, recorded: Recorded
) -> None:
    """Two providers may well export to the same backend."""
    elsewhere = Recorded()
    own = TracerProvider()
    own.add_span_processor(elsewhere)
    with anthropic.Anthropic(base_url=provider.url, api_key="local", open_telemetry={"tracer_provider": own}) as client:
        client.messages.create(**CALL)
    assert len(recorded.with_usage) == 1
    assert elsewhere.spans == []


def test_other_calls_keep_their_native_spans(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """Counting tokens is no inference: its span has no usage and is none of our business."""
    client.messages.count_tokens(model=MODEL, messages=CALL["messages"])
    assert scopes(recorded) == [NATIVE_SCOPE]


def test_our_span_is_a_child_of_the_applications_span(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """As the native one would have been."""
    with get_tracer("application").start_as_current_span("triage"):
        client.messages.create(**CALL)
    call, triage = recorded.spans
    assert call.parent == triage.get_span_context()


def test_when_another_instrumentation_records_the_call_the_native_span_stays_away_too(
    client: anthropic.Anthropic, recorded: Recorded
) -> None:
    """opentelemetry-util-genai says so in the context; the usage is on its span."""
    token = attach(set_value("opentelemetry.genai.client.inference.context", True, get_current()))
    try:
        client.messages.create(**CALL)
    finally:
        detach(token)
    assert recorded.spans == []


def test_after_uninstrumenting_everything_is_as_before(provider: LocalProvider, recorded: Recorded) -> None:
    """Also for a client, and for a bound method, that were used while we were there."""
    with anthropic.Anthropic(base_url=provider.url, api_key="local") as client:
        bound = client.messages.with_raw_response.create
        bound(**CALL)
        AnthropicInstrumentor().uninstrument()
        bound(**CALL)
    assert scopes(recorded) == ["spanledger.anthropic", NATIVE_SCOPE]
    assert len(recorded.handed_over) == 1


def test_instrumenting_again_works(client: anthropic.Anthropic, recorded: Recorded) -> None:
    """Twice in a row changes nothing; off and on again is on."""
    instrumentor = AnthropicInstrumentor()
    instrumentor.instrument(skip_dep_check=True)
    instrumentor.uninstrument()
    instrumentor.instrument(skip_dep_check=True)
    client.messages.create(**CALL)
    assert scopes(recorded) == ["spanledger.anthropic"]
