"""Spans that the Anthropic SDK makes itself (scope `com.anthropic.sdk.python`, anthropic 2 and newer).

They follow the current conventions, in JSON text, with a few names of their own; `input_tokens` already includes what
was cached.
"""

from __future__ import annotations

from typing import Any

from spanledger_exporter.normalise.dialects.gen_ai import OTHER_USAGE_PREFIX
from spanledger_exporter.normalise.dialects.span_facts import SpanEvent, SpanFacts, rename
from spanledger_semconv import attributes as keys

SCOPE = "com.anthropic.sdk.python"

_NAMES = {
    "anthropic.usage.cache_creation.ephemeral_5m_input_tokens": OTHER_USAGE_PREFIX + "cache_write_5m",
    "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": OTHER_USAGE_PREFIX + "cache_write_1h",
    "anthropic.tool_result.content": keys.GEN_AI_TOOL_CALL_RESULT,
}
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
    "compaction": "compaction",
}


def recognises(facts: SpanFacts) -> bool:
    """Say whether the SDK itself made the span."""
    return facts.scope == SCOPE


def rewrite(_facts: SpanFacts, attributes: dict[str, Any], _events: list[SpanEvent]) -> None:
    """Give the SDK's own names their place in the conventions; the original stop reason stays as well."""
    rename(attributes, _NAMES)
    reason = attributes.get("anthropic.message.stop_reason")
    if isinstance(reason, str):
        attributes.setdefault(keys.GEN_AI_RESPONSE_FINISH_REASONS, [_FINISH_REASONS.get(reason, reason)])
