"""A review tool in any language records with nothing but an OpenTelemetry span."""

from __future__ import annotations

import json
from typing import Any

from opentelemetry.sdk.trace import TracerProvider


def test_a_span_with_review_attributes_is_a_human_review(ledger: Any, provider: TracerProvider) -> None:
    """Body from `spanledger.review.*`, content from the conventions' message attributes."""
    attributes: dict[str, Any] = {
        "spanledger.event.type": "human_review",
        "spanledger.parent_event.id": "4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7",
        "spanledger.case.id": "C-1",
        "spanledger.review.reviewer.id": "m.keller",
        "spanledger.review.action": "reject",
        "spanledger.review.seconds_spent": 12.5,
        "gen_ai.input.messages": json.dumps([{"role": "reviewer", "parts": [{"type": "draft", "content": "Close."}]}]),
        "gen_ai.output.messages": json.dumps(
            [{"role": "reviewer", "parts": [{"type": "reasoning", "content": "two prior alerts"}]}]
        ),
    }
    provider.get_tracer("review-tool").start_span("review", attributes=attributes).end()
    (row,) = ledger.envelopes()
    assert (row["event_type"], row["parent_event_id"]) == ("human_review", attributes["spanledger.parent_event.id"])
    assert row["review"] == {"reviewer": {"id": "m.keller"}, "action": "reject", "seconds_spent": "12.5"}
    assert row["context"] == {"case_id": "C-1"}
    assert ledger.text(row["input"][0]) == "Close."
    assert ledger.text(row["output"][0]) == "two prior alerts"


def test_a_span_with_decision_attributes_is_a_decision(ledger: Any, provider: TracerProvider) -> None:
    """Its rationale is content, although it came as an attribute."""
    attributes = {
        "spanledger.event.type": "decision",
        "spanledger.decision.name": "route",
        "spanledger.decision.result": "close",
        "spanledger.decision.rationale": "no prior alerts",
    }
    provider.get_tracer("rules-engine").start_span("decide", attributes=attributes).end()
    (row,) = ledger.envelopes()
    assert row["decision"] == {"name": "route", "result": "close"}
    assert ledger.text(row["output"][0]) == "no prior alerts"


def test_an_external_action_of_another_language_has_its_intent_row(ledger: Any, provider: TracerProvider) -> None:
    """As long as its attributes are set when the span starts."""
    attributes = {"spanledger.event.type": "external_action", "spanledger.action.name": "refund"}
    span = provider.get_tracer("payments").start_span("refund", attributes=attributes)
    assert [row["event_id"].endswith(":begin") for row in ledger.envelopes()] == [True]
    span.end()
    assert ledger.envelopes()[-1]["action"] == {"name": "refund"}
