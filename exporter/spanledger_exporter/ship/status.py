"""How much waits in a spool, and for how long: what `doctor`, the metrics and an operator ask.

Looking costs one directory listing and one frame per chain that has something waiting, however much waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spanledger_exporter.ledger.row import Row
from spanledger_exporter.ship.cursor import load_cursor
from spanledger_exporter.spool.reader import ChainSpool, Position, readable_chains


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """What a spool directory holds. `oldest_unshipped_ns` is the `time_ns` of the row that waits longest."""

    chains: int
    live_chains: int
    waiting_chains: int
    stored_bytes: int
    unshipped_bytes: int
    oldest_unshipped_ns: int | None

    def oldest_age_s(self, now_ns: int) -> float:
        """Return how long the oldest row has waited; 0 when none does."""
        return 0.0 if self.oldest_unshipped_ns is None else max(0.0, (now_ns - self.oldest_unshipped_ns) / 1e9)


def spool_status(spool_directory: Path) -> SpoolStatus:
    """Return what waits in `spool_directory` now. Raises OSError when it cannot be read."""
    present = readable_chains(spool_directory)
    live = stored = unshipped = waiting = 0
    oldest: int | None = None
    for chain in present:
        try:
            live += chain.is_live
            stored += chain.size_bytes()
            position = load_cursor(chain.directory).position
            behind = chain.bytes_behind(position)
            first = _first_row_ns(chain, position) if behind else None
        except FileNotFoundError:
            continue  # cleaned up while we looked
        unshipped += behind
        waiting += behind > 0
        oldest = first if oldest is None else oldest if first is None else min(oldest, first)
    return SpoolStatus(len(present), live, waiting, stored, unshipped, oldest)


def _first_row_ns(chain: ChainSpool, position: Position) -> int | None:
    for frame in chain.read(position):
        if isinstance(frame.record, Row):
            return frame.record.time_ns
    return None
