"""How a span's attributes become an event type."""

from __future__ import annotations

import pytest

from spanledger_semconv.events import EVENT_TYPES, HOUSEKEEPING, WITH_INTENT, event_type


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"gen_ai.operation.name": "chat"}, "model_call"),
        ({"gen_ai.operation.name": "embeddings"}, "embedding"),
        ({"gen_ai.operation.name": "execute_tool"}, "tool_call"),
        ({"gen_ai.operation.name": "search_memory"}, "memory"),
        ({"gen_ai.operation.name": "fetch_response", "gen_ai.request.model": "m"}, "span"),
        ({"gen_ai.operation.name": "rerank", "gen_ai.request.model": "m"}, "model_call"),
        ({"gen_ai.tool.name": "lookup"}, "tool_call"),
        ({"mcp.method.name": "tools/call"}, "tool_call"),
        ({"mcp.method.name": "tools/list"}, "span"),
        ({"gen_ai.evaluation.name": "relevance"}, "evaluation"),
        ({"http.request.method": "GET"}, "span"),
        ({}, "span"),
    ],
)
def test_the_event_type_follows_from_the_operation_or_the_evidence(attributes: dict[str, str], expected: str) -> None:
    """The operation's name decides; an unknown one is judged by what else is there."""
    assert event_type(attributes) == expected


def test_an_explicit_event_type_wins_over_the_operation() -> None:
    """The public API says what a span is."""
    assert event_type({"spanledger.event.type": "human_review", "gen_ai.operation.name": "chat"}) == "human_review"


def test_an_unknown_explicit_event_type_is_not_believed() -> None:
    """A row never gets a type that readers do not know."""
    assert event_type({"spanledger.event.type": "gossip", "gen_ai.operation.name": "chat"}) == "model_call"


def test_special_sets_are_part_of_the_event_types() -> None:
    """A typing mistake in one of the sets would switch a rule off silently."""
    assert HOUSEKEEPING <= EVENT_TYPES
    assert WITH_INTENT <= EVENT_TYPES
