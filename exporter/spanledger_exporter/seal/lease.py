"""Who may seal: one sealer per store.

Embedded store: a lock file `$DIR/seal.lock`. The kernel frees it when its holder dies.

Server store: rows of the table `sealer_leases`, with the engine's insert deduplication as compare-and-set.

    epoch   holder                          created_at
    7       host-1, process 4711, since …   claimed, then renewed
    7       (empty)                         given back
    8       host-2, …                       claimed

Rules
- To claim epoch n+1 is to insert it under the token `lease:<n+1>`: of two sealers that try, the engine keeps one row,
  and both read back whose it is.
- An epoch is over when it was given back, or when nobody renewed it for `LEASE_S` by the *store's* clock.
- Fencing does not rest on clocks: every log and checkpoint insert carries a token made of its place in the log, is read
  back, and a sealer that finds somebody else's row there stops (see `sealer`).
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from spanledger_exporter.config import Settings
from spanledger_exporter.directories import SHARED, make_directory
from spanledger_exporter.errors import StoreError
from spanledger_exporter.seal.errors import LeaseLostError, SealerBusyError
from spanledger_exporter.store.connection import Store

LEASE_S = 60
"""How long a sealer on another host may stay silent before it is taken for dead."""


class SealerLease(Protocol):
    """The right to seal, as a context manager."""

    def __enter__(self) -> Self:
        """Hold it."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        ...

    def check(self) -> None:
        """Renew the lease; raise LeaseLostError if it is somebody else's by now."""
        ...


def acquire_lease(store: Store, settings: Settings) -> SealerLease:
    """Take the lease of `store`. Raises SealerBusyError that names the holder."""
    if store.is_embedded:
        return FileLease(settings.directory / "seal.lock")
    return StoreLease(store)


class FileLease:
    """The lease of an embedded store."""

    def __init__(self, path: Path) -> None:
        try:
            make_directory(path.parent, mode=SHARED)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"expected to open the lock file {path}, got: {error}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise SealerBusyError(f"expected no other sealer, got {_told(path)}: let it do the work") from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps({"holder": describe_self()}).encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def check(self) -> None:
        """Do nothing: the kernel holds this lease as long as the process lives."""


def _told(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes())["holder"])
    except (OSError, ValueError, KeyError, TypeError):
        return "one that did not say who it is"


class StoreLease:
    """The lease of a server store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._holder = f"{describe_self()} ({secrets.token_hex(4)})"
        epoch, holder, age_s = self._newest()
        if holder and age_s < LEASE_S:
            raise SealerBusyError(f"expected no other sealer on {store.name}, got {holder}, heard of {age_s:.0f} s ago")
        self._epoch = epoch + 1
        self._insert(self._holder, token=f"lease:{self._epoch}")
        self.check(renew=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, LeaseLostError):
            return
        # Given back also after a failure, if the line allows it: otherwise the next round would wait for its own ghost.
        # A statement that is still under way over there does no harm; see the fencing rule.
        with suppress(StoreError):
            self._insert("", token=f"lease:{self._epoch}:released")

    def check(self, *, renew: bool = True) -> None:
        """Renew the lease when a third of it has passed; raise if it is somebody else's by now."""
        epoch, holder, age_s = self._newest()
        if (epoch, holder) != (self._epoch, self._holder):
            raise LeaseLostError(f"expected to hold sealer epoch {self._epoch}, got epoch {epoch} held by {holder}")
        if renew and age_s > LEASE_S / 3:
            self._insert(self._holder, token=None)

    def _newest(self) -> tuple[int, str, float]:
        found = self._store.query(
            "SELECT epoch, argMax(holder, created_at), "
            "toUnixTimestamp64Micro(now64(6)) - toUnixTimestamp64Micro(max(created_at)) "
            "FROM sealer_leases GROUP BY epoch ORDER BY epoch DESC LIMIT 1"
        )
        return (int(found[0][0]), str(found[0][1]), found[0][2] / 1e6) if found else (0, "", 0.0)

    def _insert(self, holder: str, *, token: str | None) -> None:
        self._store.insert("sealer_leases", ["epoch", "holder"], [[self._epoch, holder]], token=token)


def describe_self() -> str:
    """Return who this process is, for a colleague who wonders."""
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"process {os.getpid()} on {socket.gethostname()} since {since}"
