"""Cutting what a chain's spool holds into batches. Pure: runs in, batches out.

Rules
- A batch ends behind a row or behind damage, never between a content and the row that refers to it.
- A content belongs to the tenant of the row that follows it in the spool.
- A batch is full at `max_rows` rows or `max_bytes` bytes of envelopes and contents; one larger row is a batch alone.
- The first batch is full at `first_rows`: of a backlog a small one, so that what comes after reading soon has work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from spanledger_exporter.spool.fields import CONTENT_FIELDS, ROW_HASH, SEQ, SIZE, ContentFields, RowFields
from spanledger_exporter.spool.reader import Damage, Position, Run
from spanledger_exporter.store.native import NativeBlock

MAX_ROWS = 10_000
MAX_BYTES = 32 * 2**20

TenantContent = tuple[str, ContentFields]


@dataclass(slots=True)
class Batch:
    """Consecutive frames of one chain from `start` to `end`."""

    chain_id: bytes
    start: Position
    end: Position
    rows: list[RowFields] = field(default_factory=list[RowFields])
    contents: list[TenantContent] = field(default_factory=list[TenantContent])
    damages: list[Damage] = field(default_factory=list[Damage])
    size_bytes: int = 0
    block: NativeBlock | None = None
    """All of `rows`, ready to be inserted; whoever changes `rows` takes it away."""

    contents_sent: int | None = None
    """How many contents the store got ahead of the rows; None while that is still to be done."""

    @property
    def is_empty(self) -> bool:
        """True when nothing was read."""
        return self.start == self.end


def batch_token(chain_id: bytes, rows: Sequence[RowFields]) -> str:
    """Return the deduplication token of consecutive rows of one chain: `chain:first-last:head`."""
    return f"{chain_id.hex()}:{rows[0][SEQ]}-{rows[-1][SEQ]}:{rows[-1][ROW_HASH].hex()}"


def cut_batches(
    runs: Iterable[Run],
    *,
    chain_id: bytes,
    start: Position,
    is_ended: bool,
    until: Position | None = None,
    first_rows: int = MAX_ROWS,
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_BYTES,
) -> Iterator[Batch]:
    """Yield the batches of `runs`, the last one perhaps not full.

    `until` is the end of a batch that was cut before: the first batch then ends there, full or not.
    `is_ended` says that nothing will be appended any more: contents without a row are then shipped too.
    """
    batch, waiting = Batch(chain_id, start, start), list[ContentFields]()
    most_rows = min(first_rows, max_rows)
    file, offset, tenant, last = start.file, start.offset, "", start
    for run in runs:
        for record, end in zip(run.records, run.ends, strict=True):
            if isinstance(record, Damage):
                batch.damages.append(record)
            elif len(record) == CONTENT_FIELDS:
                waiting.append(record)
                continue
            else:
                tenant, env = record[-2:]
                batch.rows.append(record)
                batch.size_bytes += len(env)
            if waiting:
                _take(batch, waiting, tenant)
                waiting = []
            file, offset = run.file, end  # positions are made where a batch ends: there are a million frames
            if until is None:
                is_full = len(batch.rows) >= most_rows or batch.size_bytes >= max_bytes
            else:
                is_full = Position(file, offset) >= until
            if is_full:
                batch.end = Position(file, offset)
                yield batch
                batch, until, most_rows = Batch(chain_id, batch.end, batch.end), None, max_rows
        last = Position(run.file, run.ends[-1])
    batch.end = Position(file, offset)
    if waiting and is_ended:
        _take(batch, waiting, tenant)
        batch.end = last
    if not batch.is_empty:
        yield batch


def _take(batch: Batch, waiting: list[ContentFields], tenant: str) -> None:
    for content in waiting:
        batch.contents.append((tenant, content))
        batch.size_bytes += content[SIZE]
