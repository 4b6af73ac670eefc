"""`AuditSampler`: sampling decides what tracing backends get, never what the ledger gets.

It asks the user's sampler and turns its DROP into RECORD_ONLY for audited spans: such a span is recorded, carries no
sampled flag, and no batch processor exports it.

`OTEL_TRACES_SAMPLER=spanledger` wraps what `OTEL_TRACES_SAMPLER_ARG` names (`always_off`,
`parentbased_traceidratio=0.1`, or just a ratio), `parentbased_always_on` by default.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    Decision,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanKind, TraceFlags, TraceState, get_current_span
from opentelemetry.util.types import Attributes

from spanledger_exporter.normalise.dialects import is_dialect_key
from spanledger_semconv.invocation import CONTEXT_KEY, Invocation

_log = logging.getLogger(__name__)
_NAMED: dict[str, Sampler] = {
    "always_on": ALWAYS_ON,
    "always_off": ALWAYS_OFF,
    "parentbased_always_on": DEFAULT_ON,
    "parentbased_always_off": DEFAULT_OFF,
}


class _Kept(SamplingResult):
    """A span to record and sample. Its attributes are not proxied: the SDK copies them, a proxy slowly."""

    def __init__(self, attributes: Attributes, trace_state: TraceState | None) -> None:
        self.decision = Decision.RECORD_AND_SAMPLE
        self.attributes: Any = attributes or {}
        self.trace_state = trace_state


class AuditSampler(Sampler):
    """Wraps `sampler`; see the module."""

    def __init__(self, sampler: Sampler, *, audits_every_span: bool = False) -> None:
        self.sampler = sampler
        self._audits_every_span = audits_every_span
        self._keeps_all = sampler is DEFAULT_ON

    def should_sample(  # noqa: PLR0917 - the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return the wrapped sampler's answer, at least RECORD_ONLY for an audited span."""
        if self._keeps_all:
            # What the SDK's own default would say of a root, or below a sampled parent, without its nine calls.
            parent = get_current_span(parent_context).get_span_context()
            if not parent.is_valid or parent.trace_flags & TraceFlags.SAMPLED:
                return _Kept(attributes, parent.trace_state if parent.is_valid else None)
        result = self.sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if result.decision is not Decision.DROP or not self._is_audited(parent_context, attributes):
            return result
        # A dropping sampler gives no attributes back; the span needs those it was started with.
        return SamplingResult(Decision.RECORD_ONLY, attributes, result.trace_state)

    def _is_audited(self, parent_context: Context | None, attributes: Attributes) -> bool:
        if self._audits_every_span or (attributes and any(map(is_dialect_key, attributes))):
            return True
        found = parent_context.get(CONTEXT_KEY) if parent_context else None
        return isinstance(found, Invocation) and not found.is_taken

    def get_description(self) -> str:
        """Return the wrapped sampler's description, marked."""
        return f"AuditSampler{{{self.sampler.get_description()}}}"


def audit_sampler(argument: str | None = None) -> Sampler:
    """Return the sampler of `OTEL_TRACES_SAMPLER=spanledger`; a wrong argument is one clear line, and the default."""
    return AuditSampler(_named_sampler((argument or "").strip() or "parentbased_always_on"))


def _named_sampler(text: str) -> Sampler:
    name, _, ratio = text.partition("=")
    try:
        if name in _NAMED and not ratio:
            return _NAMED[name]
        if name == "traceidratio":
            return TraceIdRatioBased(float(ratio))
        if name == "parentbased_traceidratio":
            return ParentBasedTraceIdRatio(float(ratio))
        return ParentBasedTraceIdRatio(float(text))
    except ValueError:
        _log.error(
            "spanledger: expected OTEL_TRACES_SAMPLER_ARG to be one of %s, traceidratio=R, parentbased_traceidratio=R "
            "or a ratio R from 0 to 1, got %r; continuing with parentbased_always_on",
            ", ".join(_NAMED),
            text,
        )
        return DEFAULT_ON
