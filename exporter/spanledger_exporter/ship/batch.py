"""Cutting a chain's frames into batches. Pure: frames in, batches out.

Rules
- A batch ends behind a row or behind damage, never between a content and the row that refers to it.
- A content belongs to the tenant of the row that follows it in the spool.
- A batch is full at `max_rows` rows or `max_bytes` bytes of envelopes and contents; one larger row is a batch alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from spanledger_exporter.ledger.content import Content
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.spool.reader import Damage, Frame, Position

MAX_ROWS = 10_000
MAX_BYTES = 32 * 2**20

TenantContent = tuple[str, Content]


@dataclass(slots=True)
class Batch:
    """Consecutive frames of one chain from `start` to `end`."""

    start: Position
    end: Position
    rows: list[Row] = field(default_factory=list[Row])
    contents: list[TenantContent] = field(default_factory=list[TenantContent])
    damages: list[Damage] = field(default_factory=list[Damage])
    size_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        """True when nothing was read."""
        return self.start == self.end


def batch_token(rows: list[Row]) -> str:
    """Return the deduplication token of consecutive rows of one chain: `chain:first-last:head`."""
    first, last = rows[0], rows[-1]
    return f"{last.chain_id.hex()}:{first.seq}-{last.seq}:{last.row_hash.hex()}"


def cut_batches(
    frames: Iterable[Frame],
    *,
    start: Position,
    is_ended: bool,
    until: Position | None = None,
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_BYTES,
) -> Iterator[Batch]:
    """Yield the batches of `frames`, the last one perhaps not full.

    `until` is the end of a batch that was cut before: the first batch then ends there, full or not.
    `is_ended` says that nothing will be appended any more: contents without a row are then shipped too.
    """
    batch, waiting = Batch(start, start), list[Content]()
    end, tenant = start, ""
    for frame in frames:
        record, end = frame.record, frame.end
        if isinstance(record, Content):
            waiting.append(record)
            continue
        if isinstance(record, Row):
            tenant = record.tenant
            batch.rows.append(record)
            batch.size_bytes += len(record.env)
        else:
            batch.damages.append(record)
        if waiting:
            _take(batch, waiting, tenant)
            waiting = []
        batch.end = end
        if _is_full(batch, until, max_rows, max_bytes):
            yield batch
            batch, until = Batch(end, end), None
    if waiting and is_ended:
        _take(batch, waiting, tenant)
        batch.end = end
    if not batch.is_empty:
        yield batch


def _take(batch: Batch, waiting: list[Content], tenant: str) -> None:
    batch.contents += [(tenant, content) for content in waiting]
    batch.size_bytes += sum(content.size for content in waiting)


def _is_full(batch: Batch, until: Position | None, max_rows: int, max_bytes: int) -> bool:
    if until is not None:
        return batch.end >= until
    return len(batch.rows) >= max_rows or batch.size_bytes >= max_bytes
