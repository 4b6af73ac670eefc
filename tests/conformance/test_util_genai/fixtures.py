"""In-memory providers: what was emitted can be read back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@pytest.fixture(name="span_exporter")
def fixture_span_exporter() -> Iterator[InMemorySpanExporter]:
    """Give the `span_exporter` that the tests ask for."""
    exporter = InMemorySpanExporter()
    yield exporter
    exporter.clear()


@pytest.fixture(name="log_exporter")
def fixture_log_exporter() -> Iterator[InMemoryLogRecordExporter]:
    """Give the `log_exporter` that the tests ask for."""
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    yield exporter
    exporter.clear()


@pytest.fixture(name="metric_reader")
def fixture_metric_reader() -> InMemoryMetricReader:
    """Give the `metric_reader` that the tests ask for."""
    return InMemoryMetricReader()


@pytest.fixture(name="tracer_provider")
def fixture_tracer_provider(span_exporter: InMemorySpanExporter) -> TracerProvider:
    """Give the `tracer_provider` that the tests ask for."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(span_exporter))
    return provider


@pytest.fixture(name="logger_provider")
def fixture_logger_provider(log_exporter: InMemoryLogRecordExporter) -> LoggerProvider:
    """Give the `logger_provider` that the tests ask for."""
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(log_exporter))
    return provider


@pytest.fixture(name="meter_provider")
def fixture_meter_provider(metric_reader: InMemoryMetricReader) -> MeterProvider:
    """Give the `meter_provider` that the tests ask for."""
    return MeterProvider(metric_readers=[metric_reader])
