"""Removing spool files that nobody needs any more.

Rules
- A file goes when the store confirmed its last row *and* the sealer passed it: until then the spool is the only copy
  that an edit in the store can be compared with.
- A writer has left a file once the next one is there, with its header, for `LEFT_AFTER_S`: one that could not be
  begun is taken back at once, and its writer goes on in the old one.
- An ended chain's directory goes with its last file, but not while it is the newest of its host, service and role:
  the next process there names it as its predecessor.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import Final

import orjson

from spanledger_exporter.config import Settings
from spanledger_exporter.ship.cursor import Cursor, load_cursor, shipping
from spanledger_exporter.spool.format import HEADER_BYTES
from spanledger_exporter.spool.reader import ChainSpool, Position, readable_chains
from spanledger_exporter.spool.writer import ORIGIN_NAME
from spanledger_exporter.store.connection import Store

LEFT_AFTER_S: Final = 1.0
_Origin = tuple[str, str, str]


class SealedPositions:
    """The newest sealed row of each chain, followed through the log."""

    def __init__(self) -> None:
        self._next = 0
        self._last: dict[bytes, int] = {}

    def update(self, store: Store) -> None:
        """Read what was appended to the log since the last time."""
        newest = store.query(f"SELECT max(index) FROM {store.database}.log HAVING count() > 0")
        if not newest or newest[0][0] < self._next:
            return
        found = store.query(
            "SELECT JSONExtractString(entry, 'chain') AS chain, max(JSONExtractUInt(entry, 'last')) "
            f"FROM {store.database}.log WHERE index BETWEEN {{first:UInt64}} AND {{last:UInt64}} "
            "AND JSONExtractString(entry, 'type') = 'segment' GROUP BY chain",
            {"first": self._next, "last": newest[0][0]},
        )
        for chain, last in found:
            with contextlib.suppress(ValueError):  # not an entry of ours: verify will say so
                self._last[bytes.fromhex(chain)] = max(int(last), self.of(bytes.fromhex(chain)))
        self._next = int(newest[0][0]) + 1

    def of(self, chain_id: bytes) -> int:
        """Return the newest sealed row; -1 when none is."""
        return self._last.get(chain_id, -1)


def clean_up(settings: Settings, sealed: SealedPositions) -> int:
    """Remove what is shipped and sealed; returns how many files went."""
    present = readable_chains(settings.spool_directory)
    newest = _newest_of_each_origin(present)
    removed = 0
    for chain in present:
        with shipping(chain.directory) as is_ours:
            if is_ours:
                removed += _clean_chain(chain, sealed.of(chain.chain_id), keep=chain.chain_id in newest)
    return removed


def _clean_chain(chain: ChainSpool, sealed: int, *, keep: bool) -> int:
    if sealed < 0:
        return 0
    cursor = load_cursor(chain.directory)
    is_live = chain.is_live
    files = chain.files()
    left = cursor.position.file + 1 if _is_left(chain, cursor) else cursor.position.file
    done = [file for file in files if file < left and cursor.files.get(file, cursor.seq) <= sealed]
    for file in done:
        chain.path(file).unlink(missing_ok=True)
    if not is_live and not keep and cursor.seq <= sealed and _is_at_end(chain, cursor):
        shutil.rmtree(chain.directory, ignore_errors=True)
        return len(files)
    return len(done)


def _is_left(chain: ChainSpool, cursor: Cursor) -> bool:
    """Say whether all of the cursor's file is shipped, and its writer goes on in the next, which may be empty yet."""
    file = cursor.position.file
    try:
        following = chain.path(file + 1).stat()
        size = chain.path(file).stat().st_size
    except OSError:
        return False
    is_begun = following.st_size >= HEADER_BYTES and time.time() - following.st_mtime >= LEFT_AFTER_S
    return is_begun and cursor.pending is None and cursor.position.offset >= size


def _is_at_end(chain: ChainSpool, cursor: Cursor) -> bool:
    return cursor.pending is None and cursor.position >= spool_end(chain)


def spool_end(chain: ChainSpool) -> Position:
    """Return the position behind the chain's last byte."""
    files = chain.files()
    return Position(files[-1], chain.path(files[-1]).stat().st_size) if files else Position(0, 0)


def _newest_of_each_origin(present: list[ChainSpool]) -> set[bytes]:
    newest: dict[_Origin, tuple[int, bytes]] = {}
    for chain in present:
        origin, time_ns = _origin(chain)
        newest[origin] = max(newest.get(origin, (0, b"")), (time_ns, chain.chain_id))
    return {chain_id for _, chain_id in newest.values()}


def _origin(chain: ChainSpool) -> tuple[_Origin, int]:
    try:
        told = orjson.loads((chain.directory / ORIGIN_NAME).read_bytes())
        return (str(told["host"]), str(told["service"]), str(told["role"])), int(told["time_ns"])
    except (OSError, ValueError, KeyError):
        return ("", "", chain.chain_id.hex()), 0  # of no known origin: nobody will name it, and it is kept
