"""`SpanLedgerExporter`: spans that come through an ordinary span processor, recorded from their attributes.

With the audit span processor in the same process a span is recorded there, when it ends, and skipped here. Without it
there are no intent rows, and a batch processor may drop spans or lose its buffer with the process: prefer
`opentelemetry-instrument`, or `spanledger_exporter.otel.install.install(tracer_provider)`.
"""

from __future__ import annotations

# The SDK submits to a thread pool in a forked child; that hangs unless the pool's own hook was registered before the
# SDK's, which happens when the tracer provider is made. Exporters are loaded before it.
import concurrent.futures.thread  # noqa: F401  # pyright: ignore[reportUnusedImport]
import logging
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from spanledger_exporter.errors import RecordError
from spanledger_exporter.otel.ledger import SpanLedger
from spanledger_exporter.otel.process_ledger import process_ledger

_log = logging.getLogger(__name__)


class SpanLedgerExporter(SpanExporter):
    """The exporter of `--traces_exporter spanledger`; constructed without arguments."""

    def __init__(self, ledger: SpanLedger | None = None) -> None:
        self._ledger = ledger or process_ledger()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Record what is not recorded yet. A row that the spool refuses is counted there, not sent again."""
        if self._ledger is None:
            return SpanExportResult.FAILURE
        result = SpanExportResult.SUCCESS
        for span in spans:
            try:
                self._ledger.record_finished(span)
            except RecordError:
                result = SpanExportResult.FAILURE
            except Exception:
                _log.exception("spanledger: a span could not be recorded")
                result = SpanExportResult.FAILURE
        return result

    def shutdown(self) -> None:
        """End the chain."""
        if self._ledger is not None:
            self._ledger.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the interface's
        """Return at once: every row is in the spool already."""
        return True
