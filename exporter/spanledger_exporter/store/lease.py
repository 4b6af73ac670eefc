"""Who owns the embedded store: a lock file beside its directory.

    $DIR/store.lock    {"pid": 4711, "role": "owner", "since": "2026-11-21T10:00:00+00:00", "lasting": false}

Rules
- The kernel's lock (flock) decides; the JSON only says whom to ask. A dead holder's lock is free at once.
- The engine hosts one directory per process, and a directory belongs to one process: within one process a lease is
  shared and counted, between processes it is exclusive.
- A holder that means to stay (`lasting`) says so, and readers do not wait for it.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from spanledger_exporter.directories import SHARED, make_directory
from spanledger_exporter.errors import StoreBusyError, StoreError

POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Holder:
    """What the lock file says about the process that wrote it last."""

    pid: int
    role: str
    since: str
    lasting: bool

    def __str__(self) -> str:
        return f"process {self.pid} (role {self.role}) since {self.since}"


UNKNOWN_HOLDER = Holder(pid=0, role="unknown", since="an unknown time", lasting=False)


def lock_path(store_directory: Path) -> Path:
    """Return the lock file of the store in `store_directory`; a relocated store brings its lock along."""
    return store_directory.with_name(f"{store_directory.name}.lock")


def read_holder(path: Path) -> Holder:
    """Return who wrote the lock file last, or UNKNOWN_HOLDER when it cannot be read."""
    try:
        told = json.loads(path.read_bytes())
        return Holder(int(told["pid"]), str(told["role"]), str(told["since"]), bool(told.get("lasting", False)))
    except (OSError, ValueError, KeyError, TypeError):
        return UNKNOWN_HOLDER


class Lease:
    """The right to open a store directory; release it once per acquire."""

    _held: dict[Path, Lease] = {}  # noqa: RUF012 - the registry of this process, guarded by _guard
    _guard = threading.Lock()

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self.count = 1
        self.pid = os.getpid()

    @classmethod
    def acquire(cls, path: Path, *, role: str, wait_s: float, lasting: bool = False) -> Lease:
        """Take the lease, waiting at most `wait_s`.

        Raises StoreBusyError that names the holder, StoreError when the lock file cannot be made.
        """
        deadline = time.monotonic() + wait_s
        while True:
            lease = cls._try(path, role=role, lasting=lasting)
            if lease is not None:
                return lease
            if time.monotonic() >= deadline:
                raise StoreBusyError(
                    f"expected the store beside {path} to be free, got it held by {read_holder(path)}: "
                    "stop that process, or let it do the work"
                )
            time.sleep(POLL_S)

    @classmethod
    def _try(cls, path: Path, *, role: str, lasting: bool) -> Lease | None:
        with cls._guard:
            held = cls._held.get(path)
            if held is not None and held.pid == os.getpid():
                held.count += 1
                return held
            descriptor = _lock(path)
            if descriptor is None:
                return None
            _write_holder(descriptor, role=role, lasting=lasting)
            cls._held[path] = lease = cls(path, descriptor)
            return lease

    def release(self, at_last: Callable[[], None]) -> None:
        """Give one acquire back; the last one calls `at_last` and frees the directory."""
        with self._guard:
            self.count -= 1
            if self.count == 0:
                at_last()
                del self._held[self._path]
                os.close(self._descriptor)


def _lock(path: Path) -> int | None:
    try:
        make_directory(path.parent, mode=SHARED)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        remedy = "check the directory's permissions, or set SPANLEDGER_DIR to another place"
        raise StoreError(f"expected to open the lock file {path}, got: {error}; {remedy}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise StoreError(f"expected to lock {path}, got: {error}") from error
    return descriptor


def _write_holder(descriptor: int, *, role: str, lasting: bool) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    told = {"pid": os.getpid(), "role": role, "since": since, "lasting": lasting}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(told).encode(), 0)
