"""Appends to the spool files of one chain.

Rules
- One append is one `write` to a file opened with O_APPEND; after it returns the bytes survive kill -9.
- The *end* is where the last complete append ended. Every append starts with `settle`: whatever a failed or interrupted
  append left behind it is cut off first. Recovery of a dead writer's file uses the same `settle`.
- While the writer lives it holds an exclusive flock on `writer.lock`; the kernel lets go of it when the process dies.
- A forked child closes what it inherited (`abandon`) and writes nothing: its chain is another one.
- A descriptor is ours while it leads to the file that it was opened for. A process that makes a daemon of itself closes
  all it finds, a library closes one twice, and the number then belongs to a file or a connection of the application:
  nothing is written, cut off, unlocked or closed there. `has_file` is asked before each append.
- No locking here: the recorder's lock orders appends. `sync` may run beside them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from pathlib import Path
from typing import Any, NamedTuple

from spanledger_exporter.directories import SHARED, make_directory
from spanledger_exporter.spool.format import HEADER_BYTES, format_header

LOCK_NAME = "writer.lock"
ORIGIN_NAME = "origin.json"
SUFFIX = ".spool"
ROTATE_BYTES = 64 * 2**20
"""A file is left for the next one once it has this many bytes; small enough to delete soon, large enough to be few."""

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC


def file_name(file: int) -> str:
    """Return the name of a chain's spool file number `file`."""
    return f"{file:06d}{SUFFIX}"


def settle(descriptor: int, offset: int) -> None:
    """Cut off what stands behind `offset`: an append that never completed, so that nobody was told it had."""
    if os.fstat(descriptor).st_size > offset:
        os.ftruncate(descriptor, offset)


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _leads_to(descriptor: int, identity: tuple[int, int]) -> bool:
    try:
        return _identity(descriptor) == identity
    except OSError:
        return False


def _write_header(descriptor: int, header: bytes) -> None:
    if os.write(descriptor, header) != len(header):
        raise OSError(errno.ENOSPC, f"expected room for the {len(header)} bytes of a spool file header")


class End(NamedTuple):
    """Where the last complete append ended. One tuple, replaced in one assignment: an interrupt sees old or new.

    `mark` is what the caller passed with that append: its head of the chain. `identity` is the file's device and inode.
    """

    descriptor: int
    file: int
    offset: int
    mark: Any
    identity: tuple[int, int]


_NOWHERE = (-1, -1)
_as_end: Any = tuple.__new__  # once per row: half the time of the class's own constructor


class SpoolWriter:
    """The open files of one chain. Every method may raise OSError; the recorder decides what that means."""

    def __init__(
        self, spool_directory: Path, chain_id: bytes, *, mark: Any = None, rotate_bytes: int = ROTATE_BYTES
    ) -> None:
        self.chain_id = chain_id
        self.directory = spool_directory / chain_id.hex()
        self.appends = 0
        self.end = End(-1, -1, 0, mark, _NOWHERE)
        self._rotate_bytes = rotate_bytes
        self._is_settled = True
        self._sync_lock = threading.RLock()
        self._synced_appends = 0
        self._lock_descriptor = -1
        self._lock_identity = _NOWHERE
        make_directory(spool_directory, mode=SHARED)
        self.directory.mkdir(mode=0o700)
        try:
            self._lock_descriptor = os.open(self.directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._lock_identity = _identity(self._lock_descriptor)
            fcntl.flock(self._lock_descriptor, fcntl.LOCK_EX)
            self._next_file()
        except BaseException:
            self.discard()
            raise

    def has_file(self) -> bool:
        """Say whether the descriptor is still that of the file; asked right before an append.

        Where the last append ended is where a descriptor of nobody else stands, and costs a tenth of a write to ask.
        The lock's descriptor is not asked: it would cost as much again, and goes the same ways.
        """
        end = self.end
        try:
            if os.lseek(end.descriptor, 0, os.SEEK_CUR) == end.offset:
                return True
        except OSError:  # closed, or a connection of the application
            return False
        return _leads_to(end.descriptor, end.identity)

    def append(self, data: bytes, mark: Any) -> None:
        """Write `data` (whole frames) behind the last complete append; on any exception nothing of it counts.

        `mark` becomes `end.mark` in the same assignment that makes the append complete.
        """
        if not self._is_settled:
            self.repair()
        descriptor, file, offset, _, identity = self.end
        if offset >= self._rotate_bytes:
            self._next_file()
            descriptor, file, offset, _, identity = self.end
        self._is_settled = False
        size = len(data)
        written = os.write(descriptor, data)
        while written < size:  # a nearly full disk takes a part and refuses the rest on the next try
            written += os.write(descriptor, data[written:])
        # Dying here leaves a complete append that the reader accepts: the row exists, and its call never went out.
        self.end = _as_end(End, (descriptor, file, offset + written, mark, identity))
        self.appends += 1
        self._is_settled = True

    def repair(self) -> None:
        """Take back what a failed append left behind."""
        if not _leads_to(self.end.descriptor, self.end.identity):
            raise OSError(errno.EBADF, "expected the descriptor of the spool file, which something else has closed")
        settle(self.end.descriptor, self.end.offset)
        self._is_settled = True

    def sync(self) -> None:
        """Return once everything appended so far is on the disk; one fdatasync serves all threads that wait here."""
        target = self.appends
        with self._sync_lock:
            if self._synced_appends >= target:
                return
            covered = self.appends
            os.fdatasync(self.end.descriptor)
            self._synced_appends = max(self._synced_appends, covered)

    def leave_file(self) -> None:
        """Go on in the next file, so that this one can be cleaned up; nothing where this one has no frame yet."""
        if not self._is_settled:
            self.repair()
        if self.end.offset > HEADER_BYTES:
            self._next_file()

    def _next_file(self) -> None:
        """Start the next file. The old one is synced first, so that `sync` only needs to look at the newest."""
        end = self.end
        self._sync_before_rotation()
        path = self.directory / file_name(end.file + 1)
        descriptor = os.open(path, _FLAGS, 0o600)
        try:
            identity = _identity(descriptor)
            _write_header(descriptor, format_header(self.chain_id, end.file + 1))
        except BaseException:
            os.close(descriptor)
            path.unlink()
            raise
        self.end = End(descriptor, end.file + 1, HEADER_BYTES, end.mark, identity)
        if end.descriptor >= 0:
            os.close(end.descriptor)

    def _sync_before_rotation(self) -> None:
        """Nobody may wait in `sync` on a descriptor that is about to be closed: it holds the same lock."""
        if self.end.descriptor >= 0:
            with self._sync_lock:
                os.fdatasync(self.end.descriptor)
                self._synced_appends = self.appends

    def close(self) -> None:
        """Close the files and let go of the lock."""
        self._close(unlock=True)

    def discard(self) -> None:
        """Close, and take the directory away: for a chain that never got its first row.

        On a full disk a writer tries to begin again and again; what it leaves must not pile up. By name, because a
        process that is out of file descriptors cannot list a directory.
        """
        self.close()
        with contextlib.suppress(OSError):
            for name in (file_name(0), LOCK_NAME, ORIGIN_NAME):
                (self.directory / name).unlink(missing_ok=True)
            self.directory.rmdir()

    def abandon(self) -> None:
        """Close the inherited descriptors in a forked child; the parent keeps the lock, which both hold together."""
        self._close(unlock=False)

    def _close(self, *, unlock: bool) -> None:
        with contextlib.suppress(OSError):
            if unlock and _leads_to(self._lock_descriptor, self._lock_identity):
                fcntl.flock(self._lock_descriptor, fcntl.LOCK_UN)
        held = ((self.end.descriptor, self.end.identity), (self._lock_descriptor, self._lock_identity))
        for descriptor, identity in held:
            if _leads_to(descriptor, identity):
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self.end, self._lock_descriptor = self.end._replace(descriptor=-1), -1
