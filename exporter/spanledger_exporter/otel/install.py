"""Adds the ledger to a tracer provider: for applications that set OpenTelemetry up themselves."""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from spanledger_exporter.config import Settings, is_closed
from spanledger_exporter.otel.process_ledger import process_ledger
from spanledger_exporter.otel.processor import AuditSpanProcessor, RefusingProcessor
from spanledger_exporter.otel.sampler import AuditSampler

_log = logging.getLogger(__name__)


def install(tracer_provider: TracerProvider, settings: Settings | None = None) -> AuditSpanProcessor | None:
    """Record every audited span of `tracer_provider`; call it before the first tracer is made of it.

    A tracer copies its provider's sampler when it is made: one that is older keeps dropping what that drops.
    Installing twice changes nothing. Returns None after one clear line when the settings are wrong; with
    `SPANLEDGER_ON_FAILURE=closed` among them the calls of instrumented libraries are refused then.
    """
    present = _find_processor(tracer_provider)
    if present is not None:
        return present
    ledger = process_ledger(settings, sampling=tracer_provider.sampler.get_description())
    if ledger is None:
        if is_closed():
            _audit_samples(tracer_provider, audits_every_span=False)
            _add_first(tracer_provider, RefusingProcessor())
        return None
    _audit_samples(tracer_provider, audits_every_span=ledger.settings.spans == "all")
    processor = AuditSpanProcessor(ledger)
    _add_first(tracer_provider, processor)
    return processor


def _audit_samples(tracer_provider: TracerProvider, *, audits_every_span: bool) -> None:
    if not isinstance(tracer_provider.sampler, AuditSampler):
        tracer_provider.sampler = AuditSampler(tracer_provider.sampler, audits_every_span=audits_every_span)


def _processors(tracer_provider: TracerProvider) -> tuple[Any, ...]:
    composite = getattr(tracer_provider, "_active_span_processor", None)
    return tuple(getattr(composite, "_span_processors", ()))


def _find_processor(tracer_provider: TracerProvider) -> AuditSpanProcessor | None:
    found = (one for one in _processors(tracer_provider) if isinstance(one, AuditSpanProcessor))
    return next(found, None)


def _add_first(tracer_provider: TracerProvider, processor: SpanProcessor) -> None:
    """Add `processor` and put it before the others.

    An exporting processor that comes first may hand a span to `SpanLedgerExporter` before the audit processor has seen
    its end, and the row would be made from attributes alone. Where the SDK's inside looks different, the order stays.
    """
    tracer_provider.add_span_processor(processor)
    composite: Any = getattr(tracer_provider, "_active_span_processor", None)
    processors = _processors(tracer_provider)
    if processor in processors:
        composite._span_processors = (processor, *(one for one in processors if one is not processor))  # noqa: SLF001
