"""Takes one chain's spool to the store, batch by batch.

The steps of one batch, and what is true if the process dies after each:

1. save `pending`      nothing is sent; the next start cuts the same batch again
2. contents            they are stored, nothing refers to them; the next start finds them and sends none twice. Those
                       of the next batch go to an embedded store while it takes the rows of this one
3. rows                they are stored, the cursor does not know; the next start asks the store and sends none twice
4. dead letters        recorded in the shipper's own chain; the same reports may be made again, with the same event ids
5. damage              the same
6. save the cursor     done

Recovery is the same function: a chain that this process has not seen yet is delivered with the question what the store
has, until a batch turns out to be all new.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice

from spanledger_exporter.ship.alarms import Alarms
from spanledger_exporter.ship.batch import MAX_BYTES, MAX_ROWS, Batch, cut_batches
from spanledger_exporter.ship.cursor import Cursor, Pending, load_cursor, save_cursor
from spanledger_exporter.ship.delivery import Delivered, deliver, row_block, send_contents_ahead
from spanledger_exporter.ship.read_ahead import read_ahead
from spanledger_exporter.spool.fields import ROW_HASH, SEQ, TIME_NS
from spanledger_exporter.spool.reader import ChainSpool, Position
from spanledger_exporter.store.connection import Store

BACKLOG_BYTES = 2 * MAX_BYTES
FIRST_ROWS = 2_000
"""What is in the first batch of a backlog. A small insert costs more a row, and so it is the only small one."""


@dataclass(slots=True)
class Shipped:
    """What was shipped."""

    rows: int = 0
    contents: int = 0
    dead_letters: int = 0
    damages: int = 0
    batches: int = 0
    lag_s: float = 0.0
    """From the writing of the newest row to its confirmation."""

    chains: set[bytes] = field(default_factory=set[bytes])

    def count(self, batch: Batch, delivered: Delivered) -> None:
        """Count one delivered batch in."""
        self.rows += delivered.rows
        self.contents += delivered.contents
        self.dead_letters += delivered.dead_letters
        self.damages += len(batch.damages)
        self.batches += 1
        if batch.rows:
            self.chains.add(batch.chain_id)
            self.lag_s = max(0.0, (time.time_ns() - batch.rows[-1][TIME_NS]) / 1e9)

    def merge(self, part: Shipped) -> None:
        """Count what `part` counted."""
        self.rows += part.rows
        self.contents += part.contents
        self.dead_letters += part.dead_letters
        self.damages += part.damages
        self.batches += part.batches
        self.chains |= part.chains
        if part.batches:
            self.lag_s = part.lag_s


class ChainShipper:
    """Ships one chain. The caller holds the chain's ship lock while it calls `ship`."""

    def __init__(
        self,
        chain: ChainSpool,
        *,
        alarms: Alarms,
        stored: int,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.chain = chain
        self._alarms = alarms
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._stored = stored  # the newest row that the store had when this process met the chain
        self.is_compared = False
        self._is_known = False  # whether the store has nothing from the cursor on

    def ship(self, store: Store, shipped: Shipped, *, max_batches: int) -> None:
        """Deliver what is in the spool now, counting into `shipped`; at most `max_batches`, so that chains take turns.

        Raises StoreError or RecordError; the next call then goes on from where this one stopped, asking first.
        """
        cursor = self._compared(load_cursor(self.chain.directory))
        with (
            read_ahead(islice(self._batches(cursor), max_batches)) as batches,
            self._sent_ahead(store, batches) as prepared,
        ):
            for batch in prepared:
                cursor = self._ship_batch(store, batch, cursor, shipped)

    def _batches(self, cursor: Cursor) -> Iterator[Batch]:
        is_ended = not self.chain.is_live  # asked before the bytes are read, as the reader does
        for batch in cut_batches(
            self.chain.read_runs(cursor.position),
            chain_id=self.chain.chain_id,
            start=cursor.position,
            is_ended=is_ended,
            until=cursor.pending.end if cursor.pending else None,
            first_rows=FIRST_ROWS if self._is_backlog(cursor.position) else self._max_rows,
            max_rows=self._max_rows,
            max_bytes=self._max_bytes,
        ):
            # Here, where the thread that reads ahead has time while the engine takes the batch before.
            batch.block = row_block(batch.chain_id, batch.rows) if batch.rows else None
            yield batch

    def _is_backlog(self, position: Position) -> bool:
        return self.chain.bytes_behind(position) > BACKLOG_BYTES

    def _sent_ahead(self, store: Store, batches: Iterator[Batch]) -> AbstractContextManager[Iterator[Batch]]:
        """Return `batches` whose contents an embedded store has, or is still to get; it takes them in a thread."""
        if not store.is_embedded:
            return nullcontext(batches)

        def sent() -> Iterator[Batch]:
            for batch in batches:
                if batch.contents:
                    send_contents_ahead(store, batch)
                yield batch

        return read_ahead(sent())

    def _compared(self, cursor: Cursor) -> Cursor:
        """Return where to begin, given what the store has: a store that lost rows gets again what the spool has."""
        if not self.is_compared and self._stored < cursor.newest_sent:
            cursor = Cursor(dead=cursor.dead)
            save_cursor(self.chain.directory, cursor)
        self.is_compared = True
        return cursor

    def _ship_batch(self, store: Store, batch: Batch, cursor: Cursor, shipped: Shipped) -> Cursor:
        ask_first = not self._is_known
        self._is_known = False  # until this batch is through, nobody knows what the store has of it
        if cursor.pending is None or cursor.pending.end != batch.end:
            save_cursor(self.chain.directory, replace(cursor, pending=Pending(batch.end, *_newest(batch, cursor))))
        if cursor.dead:
            batch.rows, batch.block = [row for row in batch.rows if row[SEQ] not in cursor.dead], None
        delivered = deliver(store, batch, alarms=self._alarms, ask_first=ask_first)
        for damage in batch.damages:
            self._alarms.damage(self.chain.chain_id, damage)
        cursor = _advanced(cursor, batch, delivered)
        save_cursor(self.chain.directory, cursor)
        self._is_known = not ask_first or 0 < len(batch.rows) == delivered.rows
        shipped.count(batch, delivered)
        return cursor


def _newest(batch: Batch, cursor: Cursor) -> tuple[int, bytes]:
    """Return number and hash of the newest row, once `batch` is through."""
    if not batch.rows:
        return cursor.seq, cursor.head
    return batch.rows[-1][SEQ], batch.rows[-1][ROW_HASH]


def _advanced(cursor: Cursor, batch: Batch, delivered: Delivered) -> Cursor:
    seq, head = _newest(batch, cursor)
    files = dict(cursor.files)
    for file in range(cursor.position.file, batch.end.file):
        # Every row of a file that was left behind is at most the newest row shipped: an upper bound, so that a file is
        # cleaned up a little later rather than too early.
        files[file] = seq
    left = cursor.left_now(time.time_ns())
    return Cursor(batch.end, seq, head, files, dead=(*cursor.dead, *delivered.dead_rows), left=left)
