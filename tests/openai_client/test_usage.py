"""Usage as OpenAI reports it, and what the provider did besides that is billed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from spanledger.openai.usage import responses_usage

USAGE = SimpleNamespace(input_tokens=100, output_tokens=10, input_tokens_details=None, output_tokens_details=None)


def item(kind: str, action: str | None = None) -> Any:
    """Make one item of a response's output."""
    return SimpleNamespace(type=kind, action=None if action is None else SimpleNamespace(type=action))


def test_searches_of_the_provider_are_counted_apart_from_tokens() -> None:
    """Opening a page that was found is no search."""
    output = [
        item("web_search_call", "search"),
        item("web_search_call", "open_page"),
        item("web_search_call"),
        item("file_search_call"),
        item("message"),
    ]
    usage = responses_usage(USAGE, output)
    assert usage is not None
    assert usage.other == {"web_searches": 2, "storage_searches": 1}


def test_a_response_without_searches_has_no_further_counts() -> None:
    """Absent, not zero."""
    usage = responses_usage(USAGE, [item("message")])
    assert usage is not None
    assert usage.other == {}
