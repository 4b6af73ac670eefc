"""Rows that lie in the spool of this data directory and not in the store yet: state `recorded`.

Rules
- The spool is read before the store: a row that is shipped in between is found twice and shown once; the other way
  round it could be missed.
- Only what stands behind each chain's cursor is read, up to `LIMIT_BYTES` in all. What is beyond is counted in
  `unread_bytes`, a chain that this user may not read in `withheld_chains`, and whoever shows the rest says so.
- A reader beside the owner of an embedded store sees each table as it was up to a second ago (`store/attachment.py`),
  and one table earlier than another: it also gets what was shipped within `stale_s`, which the store's word overrides.
- Bytes that are no intact frame are left to the shipper, which reports them as a `loss`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from spanledger_exporter.errors import SpoolError
from spanledger_exporter.ledger.content import Content
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.read.event import Event
from spanledger_exporter.ship.cursor import load_cursor
from spanledger_exporter.spool.reader import ChainSpool, Frame, chains

LIMIT_BYTES: Final = 32 << 20

RowKey = tuple[str, int, str]
"""Chain and row hash in lower-case hex, with the sequence number between them."""


@dataclass(frozen=True, slots=True)
class Unshipped:
    """What the spool holds beyond the store. `contents` are by reference (hex)."""

    rows: Mapping[RowKey, Row] = field(default_factory=dict[RowKey, Row])
    events: tuple[Event, ...] = ()
    contents: Mapping[str, Content] = field(default_factory=dict[str, Content])
    unread_bytes: int = 0
    withheld_chains: int = 0

    def without(self, stored: list[Event]) -> list[Event]:
        """Return the events whose rows are not among `stored`."""
        keys = {(event.chain, event.seq, event.row_hash) for event in stored}
        return [event for event in self.events if (event.chain, event.seq, event.row_hash) not in keys]

    @property
    def warning(self) -> str:
        """Return what to say about the part that was not read; empty when everything was."""
        parts = [f"{self.unread_bytes:,} bytes of the spool"] if self.unread_bytes else []
        parts += [f"{self.withheld_chains} chains of another user"] if self.withheld_chains else []
        return f"{' and '.join(parts)} were not looked at: what lies only there is not shown" if parts else ""


NOTHING: Final = Unshipped()


def read_unshipped(
    spool_directory: Path, *, tenant: str = "", stale_s: float = 0.0, limit_bytes: int = LIMIT_BYTES
) -> Unshipped:
    """Return what every chain's spool holds behind its cursor, of one tenant where `tenant` is given.

    `stale_s` is how old the reader's view of the store may be: the cursor counts as it stood then.
    """
    as_of_ns = time.time_ns() - int(stale_s * 1e9)
    rows: dict[RowKey, Row] = {}
    contents: dict[str, Content] = {}
    left, unread, withheld = limit_bytes, 0, 0
    for chain in chains(spool_directory):
        if chain.is_withheld:
            withheld += 1
            continue
        read_bytes = 0
        for frame in _frames(chain, as_of_ns):
            if read_bytes > left:
                unread += _size_behind(chain, frame)
                break
            read_bytes += frame.end.offset - frame.position.offset
            record = frame.record
            if isinstance(record, Content):
                contents[record.ref.hex()] = record
            elif isinstance(record, Row) and tenant in ("", record.tenant):
                rows[record.chain_id.hex(), record.seq, record.row_hash.hex()] = record
        left -= read_bytes
    events = [replace(Event.from_row(*key, row.time_ns, row.env), state="recorded") for key, row in rows.items()]
    return Unshipped(rows, tuple(events), contents, unread, withheld)


def _frames(chain: ChainSpool, as_of_ns: int) -> Iterator[Frame]:
    try:
        yield from chain.read(load_cursor(chain.directory).at(as_of_ns))
    except (FileNotFoundError, SpoolError):
        return  # shipped, sealed and cleaned up meanwhile; or unreadable, which the shipper reports


def _size_behind(chain: ChainSpool, frame: Frame) -> int:
    try:
        return chain.bytes_behind(frame.position)
    except FileNotFoundError:
        return 0
