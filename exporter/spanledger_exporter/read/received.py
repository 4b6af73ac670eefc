"""Which rows that came over OTLP are no second event, because the span's own process recorded its end (adr/0011).

Asked for the few rows of a page, and not as a condition on every row: in a ledger that is half received that would be a
set of half its ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from spanledger_exporter.store.connection import Store

IDS_PER_QUERY: Final = 5_000


class ReceivedRow(NamedTuple):
    """What tells of which span a received row is."""

    tenant: str
    event_id: str
    trace_id: str


def recorded_too(store: Store, received: Sequence[ReceivedRow]) -> set[tuple[str, str]]:
    """Return tenant and event id of those of some received rows whose span its own process recorded, to its end."""
    found: set[tuple[str, str]] = set()
    for start in range(0, len(received), IDS_PER_QUERY):
        some = received[start : start + IDS_PER_QUERY]
        rows = store.query(  # the index over traces spares most of the table
            f"SELECT DISTINCT tenant, event_id FROM {store.database}.rows WHERE trace_id IN {{traces:Array(String)}} "
            "AND event_id IN {ids:Array(String)} AND capture_tier = 'captured'",
            {"traces": sorted({row.trace_id for row in some}), "ids": sorted({row.event_id for row in some})},
        )
        found |= {(tenant, event_id) for tenant, event_id in rows}
    return found & {(row.tenant, row.event_id) for row in received}
