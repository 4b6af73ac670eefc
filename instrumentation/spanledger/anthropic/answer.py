"""What a message says: whole, or as far as its stream came.

Rules
- `input_tokens` is the sum of input, cache-read and cache-write tokens: Anthropic counts the three apart.
- Compaction is billed like the rest and left out of Anthropic's totals: it is added to them, and kept apart as well.
  What an advisor model used has another price: it is kept apart only.
- A count that Anthropic did not report is absent.
- Stop reasons get the conventions' names; Anthropic's own word is kept beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spanledger.anthropic.parts import parts
from spanledger.invocation import Deferred
from spanledger_semconv import attributes as names
from spanledger_semconv.invocation import InvocationResult, Outcome, Usage

FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
    "compaction": "compaction",
}


def read_answer(message: Any, outcome: Outcome = "success") -> InvocationResult:
    """Describe a whole message: a model of the SDK, or what a middleware made of it."""
    return describe(
        outcome,
        response_id=_text(field(message, "id")),
        model=_text(field(message, "model")),
        stop_reason=_text(field(message, "stop_reason")),
        content=field(message, "content") or (),
        usage=read_usage(field(message, "usage")),
        served=field(message, "usage"),
        request_id=_text(getattr(message, "_request_id", None)),
    )


def describe(
    outcome: Outcome,
    *,
    response_id: str | None,
    model: str | None,
    stop_reason: str | None,
    content: Sequence[Any],
    usage: Usage | None,
    served: Any = None,
    request_id: str | None = None,
) -> InvocationResult:
    """Put a result together from what is known; `served` is the usage object, which says at which tier and speed."""
    reason = FINISH_REASONS.get(stop_reason, stop_reason) if stop_reason else None
    extra = {
        names.ANTHROPIC_MESSAGE_STOP_REASON: stop_reason,
        names.ANTHROPIC_RESPONSE_SERVICE_TIER: _text(field(served, "service_tier")),
        names.ANTHROPIC_RESPONSE_SPEED: _text(field(served, "speed")),
        names.ANTHROPIC_REQUEST_ID: request_id,
    }
    return InvocationResult(
        outcome=outcome,
        response_id=response_id,
        model=model,
        finish_reasons=(reason,) if reason else (),
        usage=usage,
        output_messages=Deferred(lambda: _output(content, reason)),
        attributes={name: value for name, value in extra.items() if value is not None},
    )


def _output(content: Sequence[Any], reason: str | None) -> list[dict[str, Any]]:
    found = parts(content)
    if not found and reason is None:
        return []
    message: dict[str, Any] = {"role": "assistant", "parts": found}
    return [{**message, "finish_reason": reason} if reason else message]


def read_usage(usage: Any) -> Usage | None:
    """Read a usage object; None when it says nothing."""
    compactions = _iterations(usage, "compaction")
    fresh = _sum("input_tokens", usage, *compactions)
    read = _sum("cache_read_input_tokens", usage, *compactions)
    write = _sum("cache_creation_input_tokens", usage, *compactions)
    output = _sum("output_tokens", usage, *compactions)
    if fresh is None and read is None and write is None and output is None:
        return None
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (write or 0),
        output_tokens=output,
        cache_read=read,
        cache_write=write,
        reasoning=_count(field(usage, "output_tokens_details"), "thinking_tokens"),
        other=_other_counts(usage, compactions),
    )


def _iterations(usage: Any, kind: str) -> list[Any]:
    """Return the sampling iterations of one kind, whose tokens the totals leave out."""
    entries = field(usage, "iterations")
    return [entry for entry in entries if field(entry, "type") == kind] if isinstance(entries, list) else []


def _other_counts(usage: Any, compactions: Sequence[Any]) -> dict[str, int]:
    """Return the counts that have a price of their own, and those that the totals hide or leave out."""
    written = [field(entry, "cache_creation") for entry in (usage, *compactions)]
    server = field(usage, "server_tool_use")
    advisors = _iterations(usage, "advisor_message")
    counts = {
        "cache_write_5m": _sum("ephemeral_5m_input_tokens", *written),
        "cache_write_1h": _sum("ephemeral_1h_input_tokens", *written),
        "web_searches": _count(server, "web_search_requests"),
        "web_fetches": _count(server, "web_fetch_requests"),
        "compaction_input": _sum_input(compactions),
        "compaction_output": _sum("output_tokens", *compactions),
        "advisor_input": _sum_input(advisors),
        "advisor_output": _sum("output_tokens", *advisors),
    }
    return {name: count for name, count in counts.items() if count}


def _sum_input(entries: Sequence[Any]) -> int:
    kinds = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(_sum(kind, *entries) or 0 for kind in kinds)


def _sum(name: str, *values: Any) -> int | None:
    """Add up a count; None when nobody reported it."""
    counts = [count for value in values if (count := _count(value, name)) is not None]
    return sum(counts) if counts else None


def field(value: Any, name: str) -> Any:
    """Return a field of a model or of a mapping; None where there is none."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _count(value: Any, name: str) -> int | None:
    count = field(value, name)
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
