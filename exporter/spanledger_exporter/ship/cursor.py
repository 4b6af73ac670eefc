"""How far a chain's spool is in the store: `$DIR/spool/<chain>/cursor.json`, written by whoever holds its `ship.lock`.

    {"dead":[],"files":{"0":4711},"head":"9f…","left":[[1769000000123456789,0,70020]],
     "pending":{"end":[0,90210],"head":"a1…","last":4720},"position":[0,80100],"seq":4711}

Rules
- `position`, `seq` and `head` name the last row that the store confirmed (`seq` -1: none yet).
- `pending` is written before a batch is sent, so that a retry after a crash has the same boundaries, and with them the
  same deduplication token.
- `files` says with which `seq` each finished file ended: what clean-up compares with the sealed position.
- `left` says from where the cursor went on in the last seconds, and when (Unix time in ns): a reader whose view of the
  store is a moment old goes back there (`Cursor.at`).
- `dead` are the rows that the store refused: they stand as `raw` rows of the shipper, and are not sent again.
- A cursor that does not parse is none: recovery compares the spool with the store row by row instead of guessing.
- The file is replaced, never rewritten. It is not synced: after a power cut an older cursor is as good, because
  recovery skips what the store has.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from spanledger_exporter.spool.reader import START, Position

CURSOR_NAME = "cursor.json"
LOCK_NAME = "ship.lock"

KEEP_LEFT_NS = 10 * 10**9
"""How long a cursor remembers where it stood: much longer than any reader of the embedded store is behind."""


@dataclass(frozen=True, slots=True)
class Pending:
    """The batch that was about to be sent: where it ends in the spool, and its last row."""

    end: Position
    last: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Cursor:
    """The confirmed end of one chain."""

    position: Position = START
    seq: int = -1
    head: bytes = b""
    files: Mapping[int, int] = field(default_factory=dict[int, int])
    pending: Pending | None = None
    dead: tuple[int, ...] = ()
    left: tuple[tuple[int, Position], ...] = ()

    @property
    def newest_sent(self) -> int:
        """The newest row that the store must have."""
        seq = self.seq
        while seq in self.dead:
            seq -= 1
        return seq

    def at(self, time_ns: int) -> Position:
        """Return where the cursor stood at a time of the last seconds."""
        return next((position for left_ns, position in self.left if left_ns > time_ns), self.position)

    def left_now(self, now_ns: int) -> tuple[tuple[int, Position], ...]:
        """Return what `left` is for the cursor that comes after this one."""
        recent = tuple(place for place in self.left if place[0] > now_ns - KEEP_LEFT_NS)
        return (*recent, (now_ns, self.position))


NO_CURSOR = Cursor()


def format_cursor(cursor: Cursor) -> bytes:
    """Return the bytes of the cursor file."""
    told: dict[str, Any] = {
        "position": [cursor.position.file, cursor.position.offset],
        "seq": cursor.seq,
        "head": cursor.head.hex(),
        "files": {str(file): seq for file, seq in cursor.files.items()},
        "dead": list(cursor.dead),
        "left": [[left_ns, position.file, position.offset] for left_ns, position in cursor.left],
    }
    if cursor.pending is not None:
        end = cursor.pending.end
        told["pending"] = {
            "end": [end.file, end.offset],
            "last": cursor.pending.last,
            "head": cursor.pending.head.hex(),
        }
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def parse_cursor(data: bytes) -> Cursor:
    """Return what `format_cursor` wrote; NO_CURSOR for anything else."""
    try:
        told = orjson.loads(data)
        pending = told.get("pending")
        return Cursor(
            position=Position(*map(int, told["position"])),
            seq=int(told["seq"]),
            head=bytes.fromhex(told["head"]),
            files={int(file): int(seq) for file, seq in told["files"].items()},
            pending=None
            if pending is None
            else Pending(Position(*map(int, pending["end"])), int(pending["last"]), bytes.fromhex(pending["head"])),
            dead=tuple(map(int, told["dead"])),
            left=tuple((int(left_ns), Position(int(file), int(at))) for left_ns, file, at in told.get("left", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return NO_CURSOR


def load_cursor(chain_directory: Path) -> Cursor:
    """Return the chain's cursor; NO_CURSOR when there is none that can be read."""
    try:
        return parse_cursor((chain_directory / CURSOR_NAME).read_bytes())
    except OSError:
        return NO_CURSOR


def save_cursor(chain_directory: Path, cursor: Cursor) -> None:
    """Replace the chain's cursor. Raises OSError."""
    path = chain_directory / CURSOR_NAME
    temporary = path.with_suffix(".new")
    temporary.write_bytes(format_cursor(cursor))
    temporary.replace(path)


@contextmanager
def shipping(chain_directory: Path) -> Generator[bool]:
    """Hold the chain's ship lock; yields False when another shipper has it."""
    try:
        descriptor = os.open(chain_directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:  # another shipper cleaned the chain up meanwhile
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        yield False
        return
    try:
        yield True
    finally:
        os.close(descriptor)
