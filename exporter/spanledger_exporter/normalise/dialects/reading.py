"""What a dialect's reader gives back."""

from __future__ import annotations

from dataclasses import dataclass

from spanledger_semconv.invocation import InvocationRequest, InvocationResult


@dataclass(frozen=True, slots=True)
class Reading:
    """One foreign span, understood.

    `request.attributes` and `result.attributes` hold semantic-convention keys that the dialect translated from other
    names. `consumed` names the span's attributes, `consumed_events` the positions of its events, whose content is in
    request or result, so that they need not be kept a second time.
    """

    dialect: str
    request: InvocationRequest
    result: InvocationResult
    consumed: frozenset[str] = frozenset()
    consumed_events: frozenset[int] = frozenset()
