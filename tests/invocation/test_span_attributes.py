"""Setting attributes at once keeps what the SDK's own way keeps, on every span and for every value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.trace import INVALID_SPAN, Span

from spanledger.invocation.span_attributes import set_attributes

VALUES: dict[str, dict[str, Any]] = {
    "scalars": {"text": "a", "number": 1, "share": 0.5, "flag": True},
    "texts": {"reasons": ("stop", "length"), "none": ()},
    "a list": {"reasons": ["stop"]},
    "nested": {"reasons": (("stop",), "length")},
    "a mapping": {"usage": {"input": 1}},
    "bytes": {"data": b"\x00"},
    "nothing": {"absent": None},
    "a subclass": {"kind": type("Kind", (str,), {})("chat")},
    "an object": {"odd": object},
    "more than there is room for": {f"key {number}": number for number in range(6)},
    "a long text": {"text": "a" * 100},
    "none at all": {},
}
LIMITS = {
    "no limits": SpanLimits(max_attributes=SpanLimits.UNSET),
    "usual limits": SpanLimits(),
    "four": SpanLimits(max_attributes=4),
    "none": SpanLimits(max_attributes=0),
    "ten letters": SpanLimits(max_attribute_length=10),
}


def _held(span: Span) -> tuple[Mapping[str, Any], int]:
    attributes: Any = span.attributes  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    return dict(attributes), span.dropped_attributes  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("attributes", VALUES.values(), ids=VALUES)
def test_a_span_holds_what_the_public_way_would_have_left(attributes: dict[str, Any], limits: SpanLimits) -> None:
    """Values are cleaned, cut and dropped as ever, and what stood on the span before stays or is replaced."""
    tracer = TracerProvider(span_limits=limits).get_tracer("test")
    ours, theirs = (tracer.start_span("chat", attributes={"text": "before", "kept": 1}) for _ in range(2))
    set_attributes(ours, attributes)
    theirs.set_attributes(attributes)
    assert _held(ours) == _held(theirs)


def test_a_span_that_has_ended_learns_nothing() -> None:
    """As with the SDK's own way."""
    span = TracerProvider().get_tracer("test").start_span("chat")
    span.end()
    set_attributes(span, {"late": 1})
    assert _held(span) == ({}, 0)


def test_a_span_of_another_kind_is_asked_itself() -> None:
    """Somebody's wrapper may count, cut or forward what it is told, also one that shows the SDK's span through it."""
    told: list[Mapping[str, Any]] = []
    inner = TracerProvider().get_tracer("test").start_span("chat")

    class Wrapper:
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def set_attributes(self, attributes: Mapping[str, Any]) -> None:
            told.append(attributes)

    wrapper: Any = Wrapper()
    set_attributes(wrapper, {"a": 1})
    assert told == [{"a": 1}]
    assert _held(inner) == ({}, 0)
    set_attributes(INVALID_SPAN, {"a": 1})  # nothing to keep it, nothing raised
