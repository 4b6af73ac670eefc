"""Figures wait for a reader, and not without a bound."""

from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import INVALID_SPAN_CONTEXT

from spanledger.invocation import metrics
from spanledger_semconv.invocation import InvocationRequest, InvocationResult


def test_a_call_never_records_more_than_two_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a reader the memory stays bounded, and no single call pays for all of those before it."""
    monkeypatch.setattr(metrics, "MOST_NOTED", 8)
    calls = metrics.CallMetrics(NoOpMeterProvider().get_meter("test"), "latest")
    recorded: list[Any] = []
    monkeypatch.setattr(calls, "_record", recorded.append)

    numbers: list[int] = []
    for number in range(12):
        before = len(recorded)
        calls.note(InvocationRequest("chat"), InvocationResult("success"), float(number), None, INVALID_SPAN_CONTEXT)
        numbers.append(len(recorded) - before)

    assert numbers == [0] * 8 + [2, 0, 2, 0]
    assert [noted.duration_s for noted in recorded] == [0, 1, 2, 3]
