"""What the SDK's span holds, read where it keeps it.

Each public property of a span is a call, and those of its lists are four, with a lock and two copies: the rows of a
span would take forty. The SDK may keep things elsewhere one day, so what is not found is asked for by its public name.
"""

# pyright: reportPrivateUsage=false
# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext


class SpanState(NamedTuple):
    """A span's identity and times, in Unix nanoseconds and 0 for what has not happened. To be unpacked, not asked."""

    name: str
    context: SpanContext | None
    parent: SpanContext | None
    started_ns: int
    ended_ns: int
    resource: Resource
    scope: InstrumentationScope | None
    links: Sequence[Link]


_as_tuple: Any = tuple.__new__  # twice per call: half the time of the class's own constructor


def state_of(span: ReadableSpan) -> SpanState:
    """Return what identifies `span` and when it happened."""
    state: SpanState
    held: Any = span
    try:
        fields = (
            held._name,
            held._context,
            held._parent,
            held._start_time or 0,
            held._end_time or 0,
            held._resource,
            held._instrumentation_scope,
            held.links if held._links._dq else (),
        )
    except AttributeError:
        fields = (
            span.name,
            span.get_span_context(),
            span.parent,
            span.start_time or 0,
            span.end_time or 0,
            span.resource,
            span.instrumentation_scope,
            span.links,
        )
    state = _as_tuple(SpanState, fields)
    return state


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """Return a copy of the span's attributes."""
    held: Any = span
    try:
        copy: dict[str, Any] = held._attributes._dict.copy()
    except AttributeError:
        copy = dict(span.attributes or {})
    return copy


def events_of(span: ReadableSpan) -> Sequence[Event]:
    """Return the span's events."""
    held: Any = span
    try:
        return span.events if held._events._dq else ()
    except AttributeError:
        return span.events


def dropped_of(span: ReadableSpan) -> Mapping[str, int] | None:
    """Return how many attributes, events and links the SDK's span limits dropped; None for none."""
    held: Any = span
    try:
        attributes, events, links = held._attributes.dropped, held._events.dropped, held._links.dropped
    except AttributeError:
        attributes, events, links = span.dropped_attributes, span.dropped_events, span.dropped_links
    if not (attributes or events or links):
        return None
    counts = {"attributes": attributes, "events": events, "links": links}
    return {name: count for name, count in counts.items() if count}
