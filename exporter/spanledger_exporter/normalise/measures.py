"""Usage, cost and times of a finished call: as reported, marked where estimated, or absent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from spanledger_exporter.ledger.canonical import canonical_json
from spanledger_exporter.normalise.shared_fields import quoted
from spanledger_semconv import attributes as keys
from spanledger_semconv import cost
from spanledger_semconv.invocation import InvocationRequest, InvocationResult, Usage


def add_measures(
    own: dict[str, str],
    request: InvocationRequest,
    result: InvocationResult,
    facts: Mapping[str, Any],
    *,
    started_ns: int,
    ended_ns: int,
) -> None:
    """Add usage, cost and times to a row's `own` fields, as JSON; what nobody reported is left out."""
    usage = result.usage
    if result.finish_reasons:
        own["finish_reasons"] = _reasons(tuple(result.finish_reasons))
    if started_ns and ended_ns:
        own["latency_ms"] = _milliseconds(ended_ns - started_ns)
    if result.time_to_first_chunk_s is not None:
        own["ttft_ms"] = f'"{result.time_to_first_chunk_s * 1e3:.3f}"'
    if usage is not None:
        own["usage"] = _usage(usage)
        own["usage_source"] = quoted(usage.source)
    elif keys.SPANLEDGER_COST_USD not in facts:
        return
    cost_of_call = _cost(request, result, facts, time_ns=started_ns)
    if cost_of_call is not None:
        own["cost"] = cost_of_call


def _milliseconds(duration_ns: int) -> str:
    """Return nanoseconds as the JSON of milliseconds with three digits behind the point."""
    microseconds = (duration_ns + 500) // 1000
    if microseconds < 1000:  # also a clock that was put back while the call ran
        return f'"{duration_ns / 1e6:.3f}"'
    text = str(microseconds)  # formatting a float runs more code than all the rest of a row's measures
    return f'"{text[:-3]}.{text[-3:]}"'


@lru_cache(maxsize=64)
def _reasons(reasons: tuple[str, ...]) -> str:
    """Encode finish reasons once: there are a handful."""
    return canonical_json(list(reasons)).decode()


def _usage(usage: Usage) -> str:
    counts = {**usage.other} if usage.other else {}
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
    return canonical_json(counts).decode()


def _cost(
    request: InvocationRequest, result: InvocationResult, facts: Mapping[str, Any], *, time_ns: int
) -> str | None:
    """Return the cost that the span states, else what the price list says; None when nobody knows."""
    if keys.SPANLEDGER_COST_USD in facts:
        return canonical_json({name: facts.get(key) for name, key in _STATED.items()}).decode()
    if result.usage is None:
        return None
    served: Any
    if facts.get(keys.ANTHROPIC_RESPONSE_SPEED) == _FAST:
        served = _FAST
    else:
        served = facts.get(keys.OPENAI_RESPONSE_SERVICE_TIER) or facts.get(keys.ANTHROPIC_RESPONSE_SERVICE_TIER)
    tier = served or facts.get(keys.OPENAI_REQUEST_SERVICE_TIER) or facts.get(keys.ANTHROPIC_REQUEST_SERVICE_TIER)
    model = result.model or request.model
    known = cost.price(request.provider, model, result.usage, service_tier=str(tier) if tier else None, time_ns=time_ns)
    if known is None:
        return None
    # The provider may have served another tier than the one that was asked for.
    is_estimated = result.usage.source == "estimated" or bool(tier and not served)
    return known.as_json(is_estimated=is_estimated)


_FAST: Final = "fast"  # Anthropic's other speed has a price of its own, whatever the tier is called
_STATED: Final = {
    "usd": keys.SPANLEDGER_COST_USD,
    "input_usd": keys.SPANLEDGER_COST_INPUT_USD,
    "output_usd": keys.SPANLEDGER_COST_OUTPUT_USD,
    "price_source": keys.SPANLEDGER_COST_PRICE_SOURCE,
    "price_version": keys.SPANLEDGER_COST_PRICE_VERSION,
}
