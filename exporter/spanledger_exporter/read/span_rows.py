"""Asking the table what else it holds of some spans, for the rows of a page: by their event ids, some at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spanledger_exporter.read.criteria import Conditions
from spanledger_exporter.store.connection import Store

IDS_PER_QUERY: Final = 5_000


def rows_of_spans(
    store: Store, spans: Sequence[tuple[str, str]], which: Conditions, *, in_traces: bool = True
) -> set[tuple[str, str]]:
    """Return tenant and event id of the rows that meet a condition and have the event id of one of some spans.

    `spans` are event ids with the ids of their traces: rows of other traces are asked for only without `in_traces`.
    """
    found: set[tuple[str, str]] = set()
    for start in range(0, len(spans), IDS_PER_QUERY):
        event_ids, trace_ids = zip(*spans[start : start + IDS_PER_QUERY], strict=True)
        asked = which.also("event_id IN {ids:Array(String)}", ids=sorted(set(event_ids)))
        if in_traces:  # the index over traces spares most of the table
            asked = asked.also("trace_id IN {traces:Array(String)}", traces=sorted(set(trace_ids)))
        sql = f"SELECT DISTINCT tenant, event_id FROM {store.database}.rows WHERE {asked}"
        found |= {(tenant, event_id) for tenant, event_id in store.query(sql, asked.parameters)}
    return found
