"""A tracer provider of the test's own, and a ledger in a directory of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from spanledger import event_span
from spanledger_exporter.config import load_settings
from spanledger_exporter.ledger.content import Content
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.otel.ledger import SpanLedger
from spanledger_exporter.otel.processor import AuditSpanProcessor
from spanledger_exporter.spool.reader import Damage, chains

Spans = Callable[[], list[ReadableSpan]]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    """Let the public API write to a provider of this test's own."""
    made = TracerProvider()
    monkeypatch.setattr(event_span, "_tracer", lambda: made.get_tracer(event_span.SCOPE))
    return made


@pytest.fixture
def spans(provider: TracerProvider) -> Spans:
    """Give the spans that ended so far."""
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return lambda: list(exporter.get_finished_spans())


class SpoolOfTest:
    """What a ledger wrote: envelopes in order, and contents by reference."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def records(self) -> Iterator[Row | Content | Damage]:
        """Read every record of every chain."""
        for chain in chains(self.directory):
            yield from (frame.record for frame in chain.read())

    def envelopes(self) -> list[dict[str, Any]]:
        """Give the rows' envelopes, without `chain.*` rows."""
        found = [json.loads(record.env) for record in self.records() if isinstance(record, Row)]
        return [envelope for envelope in found if not envelope["event_type"].startswith("chain.")]

    def text(self, item: dict[str, Any]) -> str:
        """Give the stored text of one item of `input` or `output`."""
        found = (record for record in self.records() if isinstance(record, Content) and record.ref.hex() == item["ref"])
        return (next(found).data or b"").decode()


@pytest.fixture
def ledger(provider: TracerProvider, tmp_path: Path) -> Iterator[SpoolOfTest]:
    """Record the provider's spans as an application does."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path)}, working_directory=tmp_path)
    span_ledger = SpanLedger(settings)
    provider.add_span_processor(AuditSpanProcessor(span_ledger))
    yield SpoolOfTest(settings.spool_directory)
    span_ledger.close()
