"""Which spans the collectors before this one have recorded.

A sender whose acknowledgement was lost with a collector sends the same spans to the next one. The spool has them: the
newest files of the newest chains are read, which is where a span lies whose sender still tries.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import orjson

from spanledger_exporter.errors import SpoolError
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.spool.lineage import chains_of_role
from spanledger_exporter.spool.reader import ChainSpool, Position

SpanKey = tuple[int, int]
"""Trace and span id, as OpenTelemetry has them."""

NEWEST_FILES: Final = 2
"""So many of a chain's files are read, of 64 MiB each: a second or two of a start after an outage of the store."""


def remembered_spans(spool_directory: Path, role: str, *, most: int) -> list[SpanKey]:
    """Return the spans that chains of `role` recorded last, at most `most`, the newest last."""
    newest_first = (key for chain in chains_of_role(spool_directory, role) for key in reversed(list(_spans(chain))))
    return list(islice(newest_first, most))[::-1]


def _spans(chain: ChainSpool) -> Iterator[SpanKey]:
    try:
        files = chain.files()
        for frame in chain.read(Position(files[-NEWEST_FILES:][0], 0)) if files else ():
            if isinstance(frame.record, Row):
                key = _span_of(orjson.loads(frame.record.env).get("event_id", ""))
                if key is not None:
                    yield key
    except (OSError, SpoolError):
        return  # cleaned up meanwhile, or unreadable, which the shipper reports


def _span_of(event_id: str) -> SpanKey | None:
    """Return the ids in `trace:span`; None for the id of a row that is about no span."""
    trace, _, span = event_id.partition(":")
    try:
        return (int(trace, 16), int(span, 16)) if (len(trace), len(span)) == (32, 16) else None
    except ValueError:
        return None
