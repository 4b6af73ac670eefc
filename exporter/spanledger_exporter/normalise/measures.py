"""Usage, cost and times of a finished call: as reported, marked where estimated, or absent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import orjson
from opentelemetry.sdk.trace import ReadableSpan

from spanledger_exporter.ledger.canonical import canonical_json
from spanledger_semconv import attributes as keys
from spanledger_semconv import cost
from spanledger_semconv.invocation import InvocationRequest, InvocationResult, Usage


def add_measures(
    envelope: dict[str, Any],
    span: ReadableSpan,
    request: InvocationRequest,
    result: InvocationResult,
    facts: Mapping[str, Any],
) -> None:
    """Add usage, cost and times to `envelope`, as text or in canonical bytes; what nobody reported is left out."""
    if result.finish_reasons:
        envelope["finish_reasons"] = _reasons(tuple(result.finish_reasons))
    if span.start_time is not None and span.end_time is not None:
        envelope["latency_ms"] = _milliseconds(span.end_time - span.start_time)
    if result.time_to_first_chunk_s is not None:
        envelope["ttft_ms"] = _milliseconds(result.time_to_first_chunk_s * 1e9)
    if result.usage is None and keys.SPANLEDGER_COST_USD not in facts:
        return
    if result.usage is not None:
        envelope["usage"] = _usage(result.usage)
        envelope["usage_source"] = result.usage.source
    cost_of_call = _cost(request, result, facts, time_ns=span.start_time or 0)
    if cost_of_call is not None:
        envelope["cost"] = cost_of_call


@lru_cache(maxsize=64)
def _reasons(reasons: tuple[str, ...]) -> orjson.Fragment:
    """Encode finish reasons once: there are a handful."""
    return orjson.Fragment(canonical_json(list(reasons)))


def _milliseconds(duration_ns: float) -> str:
    return f"{duration_ns / 1e6:.3f}"


def _usage(usage: Usage) -> orjson.Fragment:
    counts = dict(usage.other)
    if usage.input_tokens is not None:
        counts["input_tokens"] = usage.input_tokens
    if usage.output_tokens is not None:
        counts["output_tokens"] = usage.output_tokens
    if usage.cache_read is not None:
        counts["cache_read"] = usage.cache_read
    if usage.cache_write is not None:
        counts["cache_write"] = usage.cache_write
    if usage.reasoning is not None:
        counts["reasoning"] = usage.reasoning
    return orjson.Fragment(canonical_json(counts))


def _cost(
    request: InvocationRequest, result: InvocationResult, facts: Mapping[str, Any], *, time_ns: int
) -> orjson.Fragment | None:
    """Return the cost that the span states, else what the price list says; None when nobody knows."""
    if keys.SPANLEDGER_COST_USD in facts:
        return orjson.Fragment(canonical_json({name: facts.get(key) for name, key in _STATED.items()}))
    if result.usage is None:
        return None
    is_fast = facts.get(keys.ANTHROPIC_RESPONSE_SPEED) == _FAST
    served = _FAST if is_fast else _first(facts, _SERVED_TIERS)
    tier = served or _first(facts, _REQUESTED_TIERS)
    model = result.model or request.model
    known = cost.price(request.provider, model, result.usage, service_tier=tier, time_ns=time_ns)
    if known is None:
        return None
    figures = known.as_envelope()  # decimal strings only: nothing in it needs the profile's walk
    if result.usage.source == "estimated" or (tier and not served):  # the provider may have served another tier
        figures["estimated"] = True
    return orjson.Fragment(orjson.dumps(figures, option=orjson.OPT_SORT_KEYS))


def _first(facts: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        if value := facts.get(name):
            return str(value)
    return None


_FAST: Final = "fast"  # Anthropic's other speed has a price of its own, whatever the tier is called
_SERVED_TIERS: Final = (keys.OPENAI_RESPONSE_SERVICE_TIER, keys.ANTHROPIC_RESPONSE_SERVICE_TIER)
_REQUESTED_TIERS: Final = (keys.OPENAI_REQUEST_SERVICE_TIER, keys.ANTHROPIC_REQUEST_SERVICE_TIER)
_STATED: Final = {
    "usd": keys.SPANLEDGER_COST_USD,
    "input_usd": keys.SPANLEDGER_COST_INPUT_USD,
    "output_usd": keys.SPANLEDGER_COST_OUTPUT_USD,
    "price_source": keys.SPANLEDGER_COST_PRICE_SOURCE,
    "price_version": keys.SPANLEDGER_COST_PRICE_VERSION,
}
