"""Digests: the version of what has none."""

from __future__ import annotations

from hashlib import sha256

import pytest

from spanledger.invocation import tool_digest
from spanledger_semconv.digests import json_digest, text_digest, tool_digests

LOOKUP = {"type": "function", "name": "lookup", "parameters": {"type": "object"}}


def test_the_order_of_keys_does_not_matter() -> None:
    """Two SDK versions may write a definition in another order."""
    assert json_digest({"a": 1, "b": 2}) == json_digest({"b": 2, "a": 1})


def test_a_digest_is_sha256_of_canonical_json() -> None:
    """Anybody can recompute it."""
    assert json_digest({"b": 2, "a": "ü"}) == sha256('{"a":"ü","b":2}'.encode()).hexdigest()
    assert text_digest("ü") == sha256("ü".encode()).hexdigest()


def test_our_instrumentation_and_the_reading_of_others_give_one_digest() -> None:
    """A tool has one version, whoever recorded the call."""
    assert tool_digests([LOOKUP]) == {"lookup": tool_digest(LOOKUP)}


def test_a_provider_s_own_tool_goes_by_its_type() -> None:
    """It has no name."""
    assert list(tool_digests([{"type": "web_search"}, {}])) == ["web_search", "tool"]


@pytest.mark.parametrize("value", ["\ud800", 2**70, object()], ids=["surrogate", "large", "object"])
def test_a_value_that_json_cannot_hold_has_a_digest_too(value: object) -> None:
    """Nothing raises."""
    assert len(json_digest({"x": value})) == 64
