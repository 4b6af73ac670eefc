"""What a span holds is the same, wherever this release of the SDK keeps it."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.trace import Link, SpanContext, TraceFlags

from spanledger_exporter.normalise.measures import add_measures
from spanledger_exporter.normalise.span_state import attributes_of, dropped_of, events_of, state_of
from spanledger_semconv.invocation import InvocationRequest, InvocationResult

ELSEWHERE = Link(SpanContext(7, 7, is_remote=True, trace_flags=TraceFlags(1)), {"why": "a retry of that one"})


class OnlyPublic:
    """A span of an SDK that keeps its fields elsewhere: only the public names lead to them."""

    def __init__(self, span: ReadableSpan) -> None:
        self.__span = span

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.__span, name)


def ended_span(*, links: int = 0, events: int = 0, limits: SpanLimits | None = None) -> ReadableSpan:
    """Return a span of the SDK with two attributes, below a parent."""
    tracer = TracerProvider(span_limits=limits or SpanLimits()).get_tracer("the.scope", "1.2")
    with tracer.start_as_current_span("parent"):
        span = tracer.start_span("chat m", links=[ELSEWHERE] * links, attributes={"a": 1, "b": "two"})
    for number in range(events):
        span.add_event(f"event {number}", {"n": number})
    span.end()
    assert isinstance(span, ReadableSpan)
    return span


SPANS = {
    "plain": {},
    "with links and events": {"links": 2, "events": 2},
    "beyond its limits": {"links": 2, "events": 3, "limits": SpanLimits(1, 1, 1)},
}


@pytest.mark.parametrize("options", SPANS.values(), ids=SPANS)
def test_what_is_read_is_what_the_public_names_say(options: dict[str, Any]) -> None:
    """Both ways: from where the SDK keeps it, and by the public names of a span that keeps it elsewhere."""
    span = ended_span(**options)
    said = {
        "state": (
            *(span.name, span.context, span.parent, span.start_time, span.end_time),
            *(span.resource, span.instrumentation_scope, tuple(span.links)),
        ),
        "attributes": dict(span.attributes or {}),
        "events": tuple(span.events),
        "dropped": (span.dropped_attributes, span.dropped_events, span.dropped_links),
    }
    public: Any = OnlyPublic(span)
    for held in (span, public):
        state = state_of(held)
        dropped = dropped_of(held) or {}
        assert said == {
            "state": (*state[:-1], tuple(state.links)),
            "attributes": attributes_of(held),
            "events": tuple(events_of(held)),
            "dropped": tuple(dropped.get(name, 0) for name in ("attributes", "events", "links")),
        }


def test_nothing_dropped_is_none() -> None:
    """And no three zeros in the envelope."""
    assert dropped_of(ended_span()) is None


def test_what_has_not_happened_is_0() -> None:
    """A span that has just started has no end, and one that was made by hand perhaps no start."""
    assert state_of(ReadableSpan("made by hand"))[3:5] == (0, 0)


LATENCIES = {
    1: "0.000",
    999_499: "0.999",
    1_000_000: "1.000",
    12_345_678: "12.346",
    86_400_000_000_000: "86400000.000",
    -2_000_000: "-2.000",
}


@pytest.mark.parametrize(("duration_ns", "text"), LATENCIES.items())
def test_a_latency_has_three_digits(duration_ns: int, text: str) -> None:
    """Milliseconds, rounded, as JSON text; negative when the clock was put back meanwhile."""
    own: dict[str, str] = {}
    started_ns = 10**18
    add_measures(
        own,
        InvocationRequest("chat"),
        InvocationResult("success"),
        {},
        started_ns=started_ns,
        ended_ns=started_ns + duration_ns,
    )
    assert own["latency_ms"] == f'"{text}"'
