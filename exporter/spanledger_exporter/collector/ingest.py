"""From received spans to rows: the collector's own chain, capture tier `ingested`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan

from spanledger_exporter.collector.otlp import Received
from spanledger_exporter.collector.remembered import remembered_spans
from spanledger_exporter.config import Settings
from spanledger_exporter.otel.ledger import MAX_RECENT, SpanLedger

ROLE: Final = "collector"


class Ingest:
    """Records what arrives; shared by the HTTP and the gRPC endpoint.

    The last `MAX_RECENT` spans are recognised when they come again, also those of the collectors before this one.
    Spans that are not about AI are acknowledged and not recorded, unless `SPANLEDGER_SPANS=all`.
    """

    def __init__(self, settings: Settings) -> None:
        self._ledger = SpanLedger(settings, role=ROLE)
        self._ledger.remember(remembered_spans(settings.spool_directory, ROLE, most=MAX_RECENT))

    def record(self, spans: Sequence[Received]) -> int:
        """Return, when every audited span is in the spool, how many of them are new there.

        Raises RecordError at the first one that the spool refuses: the sender tries the whole request again, and what
        had been recorded of it is recognised by its ids.
        """
        recorded = 0
        for span in spans:
            if isinstance(span, ReadableSpan):
                recorded += self._ledger.record_finished(span, tier="ingested")
            else:
                self._ledger.record_malformed(span.raw, encoding=span.encoding, reason=span.reason)
                recorded += 1
        return recorded

    def close(self) -> None:
        """End the chain."""
        self._ledger.close()
