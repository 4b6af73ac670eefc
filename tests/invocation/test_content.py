"""Content leaves through three doors: the hand-over always, spans and events as the user says, and the hook."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from local_provider import LocalProvider, Reply
from spanledger.invocation.settings import CAPTURE_MESSAGE_CONTENT, METRICS
from spanledger.openai import OpenAIInstrumentor
from spanledger_semconv.invocation import CONTEXT_KEY, Invocation

CONTENT = {"gen_ai.input.messages", "gen_ai.output.messages"}


class Emitted(SpanProcessor):
    """What an instrumented application emitted, and what it handed over."""

    handed_over: Invocation

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Take the hand-over."""
        del span
        found = parent_context.get(CONTEXT_KEY) if parent_context else None
        assert isinstance(found, Invocation)
        self.handed_over = found

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.logs = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        self.metrics = InMemoryMetricReader()

    def data_points(self) -> dict[str, Any]:
        """Collect, and give the first data point of each metric."""
        data = self.metrics.get_metrics_data()
        return {
            metric.name: metric.data.data_points[0]
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


Ask = Callable[..., Emitted]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Instrument with the given settings and make one call."""

    def run(*, reply: Reply | None = None, hook: Any = None, sampled: bool = True, **variables: str) -> Emitted:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        emitted = Emitted()
        tracer_provider = TracerProvider() if sampled else TracerProvider(sampler=ALWAYS_OFF)
        tracer_provider.add_span_processor(SimpleSpanProcessor(emitted.spans))
        tracer_provider.add_span_processor(emitted)
        logger_provider = LoggerProvider()
        logger_provider.add_log_record_processor(SimpleLogRecordProcessor(emitted.logs))
        OpenAIInstrumentor().instrument(
            skip_dep_check=True,
            tracer_provider=tracer_provider,
            logger_provider=logger_provider,
            meter_provider=MeterProvider(metric_readers=[emitted.metrics]),
            completion_hook=hook,
        )
        with LocalProvider() as provider, openai.OpenAI(base_url=provider.openai_url, api_key="x") as client:
            if reply is not None:
                provider.enqueue(reply)
            try:
                client.with_options(max_retries=0).chat.completions.create(
                    model="gpt-5-mini", messages=[{"role": "user", "content": "a secret"}]
                )
            except openai.APIError:
                assert reply is not None
        return emitted

    yield run
    OpenAIInstrumentor().uninstrument()


def test_no_content_leaves_by_default(ask: Ask) -> None:
    """Not on the span, and no event."""
    emitted = ask()
    (span,) = emitted.spans.get_finished_spans()
    assert "a secret" not in str(dict(span.attributes or {}))
    assert emitted.logs.get_finished_logs() == ()


def test_content_on_spans_is_json_text(ask: Ask) -> None:
    """Attributes cannot hold structures."""
    (span,) = ask(**{CAPTURE_MESSAGE_CONTENT: "SPAN_ONLY"}).spans.get_finished_spans()
    attributes = dict(span.attributes or {})
    assert attributes.keys() >= CONTENT
    messages = json.loads(str(attributes["gen_ai.input.messages"]))
    assert messages == [{"role": "user", "parts": [{"type": "text", "content": "a secret"}], "name": None}]


def test_content_on_events_is_structured_and_not_on_the_span(ask: Ask) -> None:
    """The event carries what the span carries, and the content."""
    emitted = ask(**{CAPTURE_MESSAGE_CONTENT: "EVENT_ONLY"})
    (log,) = emitted.logs.get_finished_logs()
    (span,) = emitted.spans.get_finished_spans()
    attributes: dict[str, Any] = dict(log.log_record.attributes or {})
    assert log.log_record.event_name == "gen_ai.client.inference.operation.details"
    assert attributes["gen_ai.input.messages"][0]["parts"][0]["content"] == "a secret"
    assert attributes["gen_ai.usage.input_tokens"] == 12
    assert not CONTENT & set(span.attributes or {})
    assert log.log_record.span_id == (span.context.span_id if span.context else 0)


class Redacting:
    """A completion hook that changes what will be recorded."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def on_completion(self, **completion: Any) -> None:
        """Take the messages, and redact them in place."""
        self.seen.append(completion)
        completion["inputs"][0]["parts"][0]["content"] = "[redacted]"


def test_the_completion_hook_may_redact_before_anything_is_recorded(ask: Ask) -> None:
    """The conventions ask for that order. What is handed over to the ledger is its own redaction's business."""
    hook = Redacting()
    emitted = ask(hook=hook, **{CAPTURE_MESSAGE_CONTENT: "SPAN_ONLY"})
    (span,) = emitted.spans.get_finished_spans()
    assert len(hook.seen) == 1
    assert "a secret" not in str(dict(span.attributes or {}))
    assert emitted.handed_over.request.input_messages[0]["parts"][0]["content"] == "a secret"


def test_the_completion_hook_sees_unsampled_calls(ask: Ask) -> None:
    """Sampling is about traces, not about what must be kept."""
    hook = Redacting()
    assert ask(hook=hook, sampled=False).spans.get_finished_spans() == ()
    assert hook.seen[0]["outputs"]


def test_a_hook_that_fails_costs_nothing(ask: Ask) -> None:
    """The span is recorded all the same."""

    class Failing:
        def on_completion(self, **_completion: Any) -> None:
            raise RuntimeError("a bug of the hook")

    assert len(ask(hook=Failing()).spans.get_finished_spans()) == 1


def test_metrics_have_the_newest_names(ask: Ask) -> None:
    """Counters and histograms, with the tokens that were reported."""
    points = ask().data_points()
    assert points["gen_ai.client.inference.duration"].count == 1
    assert points["gen_ai.client.inference.usage.input_tokens"].value == 12
    assert points["gen_ai.client.inference.operation.output_tokens"].sum == 6
    assert "gen_ai.client.token.usage" not in points


def test_metrics_keep_the_released_names_on_request(ask: Ask) -> None:
    """For dashboards that were built on them."""
    points = ask(**{METRICS: "released"}).data_points()
    assert points.keys() == {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}


def test_a_failed_call_counts_no_tokens_and_names_its_error(ask: Ask) -> None:
    """The conventions ask for a zero, not for silence."""
    points = ask(reply=Reply(status=500)).data_points()
    assert points["gen_ai.client.inference.usage.input_tokens"].value == 0
    assert points["gen_ai.client.inference.duration"].attributes["error.type"] == "openai.InternalServerError"
    assert "gen_ai.client.inference.operation.input_tokens" not in points
