"""`AuditSpanProcessor`: every audited span into the ledger, its intent before the request leaves; and its stand-in."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from spanledger_exporter.normalise.reading import read
from spanledger_exporter.otel.ledger import SpanLedger
from spanledger_semconv.events import WITH_INTENT, event_type
from spanledger_semconv.invocation import CallRefusedError


class AuditSpanProcessor(SpanProcessor):
    """Writes on the caller's thread: when `on_start` returns, the intent row survives kill -9.

    The SDK lets an exception of `on_start` pass out of `Tracer.start_span`; `CallRefusedError` uses that.
    """

    def __init__(self, ledger: SpanLedger) -> None:
        self.ledger = ledger

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Record the intent."""
        self.ledger.start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Record the completion."""
        self.ledger.end(span)

    def shutdown(self) -> None:
        """End the chain."""
        self.ledger.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the interface's
        """Return at once: every row is in the spool already."""
        return True


class RefusingProcessor(SpanProcessor):
    """Refuses every call of an instrumented library: no row can be written, and no call may go without one."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the interface's
        """Raise CallRefusedError before the request leaves; what would have no intent row passes."""
        if event_type(read(span).attributes) in WITH_INTENT:
            raise CallRefusedError(
                "the audit trail is not configured, so this call was refused (SPANLEDGER_ON_FAILURE=closed): "
                "`spanledger doctor` says which setting is wrong"
            )
