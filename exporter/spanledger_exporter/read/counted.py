"""Which rows count as events where a span was recorded by its own process and came over OTLP too (adr/0011)."""

from __future__ import annotations

from spanledger_exporter.store.connection import Store
from spanledger_exporter.store.views import COUNTED, RECEIVED


def counted_rows(store: Store) -> str:
    """Return the condition on rows that count; empty where nothing came over OTLP, which spares every row's id."""
    is_needed = bool(store.query(RECEIVED.replace("{database}", store.database)))
    return COUNTED.replace("{database}", store.database) if is_needed else ""
