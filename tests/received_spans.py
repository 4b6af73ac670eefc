"""Completing rows of one trace's spans, as their own process and as the collector write them."""

from __future__ import annotations

from typing import Any

TRACE = "a" * 32


def span(number: int, tier: str, **more: Any) -> dict[str, Any]:
    """Return the completing row of a span as its process or the collector writes it."""
    span_id = f"{number:016x}"
    return {
        "event_type": "model_call",
        "event_id": f"{TRACE}:{span_id}",
        "trace_id": TRACE,
        "span_id": span_id,
        "name": "chat m",
        "outcome": "success",
        "usage": {"input_tokens": 10, "output_tokens": 5},
        "cost": {"usd": "0.5"},
        "capture": {"tier": tier, "scope": "spanledger.openai"},
        **more,
    }
