"""The ledger as the console sees it: reads beside the owner, writes through a chain of its own.

Rules
- Every call blocks; pages run them in a thread (`asyncio.to_thread`).
- The store is opened late and again after it failed, so that the console outlives a store that comes and goes.
- `tenant` is the first thing that every question carries.
- What needs the store's owner (ship, verify) is the command line in a process of its own: the embedded engine has one,
  and it is never the console.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from spanledger_exporter.config import Settings
from spanledger_exporter.console.options import Person
from spanledger_exporter.errors import RecordError, StoreError, UsageError
from spanledger_exporter.evidence.collect import Scope
from spanledger_exporter.evidence.create import create_bundle
from spanledger_exporter.keys.key_ring import find_key_ring
from spanledger_exporter.read.access import Access, record_with, refuse_or_warn
from spanledger_exporter.read.envelopes import read_newest
from spanledger_exporter.read.event import Event
from spanledger_exporter.read.judging import Judgement
from spanledger_exporter.read.unshipped import Unshipped, read_unshipped
from spanledger_exporter.recorder import Recorder, RowId
from spanledger_exporter.ship.shipper import has_more
from spanledger_exporter.spool.reader import chains
from spanledger_exporter.store.attachment import BESIDE_OWNER_STALE_S
from spanledger_exporter.store.connection import Store, open_store

SHIP_EVERY_S: Final = 5.0
COMMAND_TIMEOUT_S: Final = 600.0
VISIBLE_WITHIN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command of ours said."""

    status: int
    out: bytes
    err: str


class ConsoleLedger:
    """One per console process; safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._guard = threading.Lock()
        self._store: Store | None = None
        self._recorder = Recorder(settings, role="console")
        self._shipping = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._ship_regularly, name="spanledger-console-ship", daemon=True)

    def start(self) -> None:
        """Begin to ship what this host records, unless somebody else does."""
        self._thread.start()

    def close(self) -> None:
        """Stop shipping, end the chain and let go of the store."""
        self._stopped.set()
        self._recorder.close()
        with self._guard:
            store, self._store = self._store, None
        if store is not None:
            store.close()

    @property
    def store(self) -> Store:
        """The open store. Raises StoreError when there is none yet."""
        with self._guard:
            if self._store is None:
                if not self.settings.has_store:
                    raise StoreError("there is no store yet: it is made when the first row is shipped")
                store = open_store(self.settings, role="reader", beside=True)
                if self.settings.is_embedded and not _is_made(store):
                    store.close()  # its tables are attached once: kept, it would lack those that are still to come
                    raise StoreError("the store is being made: ask again in a few seconds")
                self._store = store
                self._store.companion()  # pages ask two questions at once (`at_once`)
            return self._store

    def unshipped(self, person: Person) -> Unshipped:
        """Return what lies in this host's spool and perhaps not in the store yet; to be read before the store."""
        stale_s = BESIDE_OWNER_STALE_S if self.settings.is_embedded else 0.0
        return read_unshipped(self.settings.spool_directory, tenant=person.tenant, stale_s=stale_s)

    def saw(self, person: Person, action: str, subject: dict[str, Any], *, reason: str = "") -> None:
        """Record that `person` is about to see something.

        Raises StoreError when that cannot be recorded and `SPANLEDGER_ON_FAILURE=closed`.
        """
        access = Access(action, subject, reason=reason, person=person.name, channel="console", tenant=person.tenant)
        try:
            record_with(self._recorder, access)
        except RecordError as error:
            refuse_or_warn(self.settings, error, warn=lambda text: print(f"spanledger: {text}", file=sys.stderr))  # noqa: T201

    def record(self, judgement: Judgement) -> RowId:
        """Record a judgement, ship it, and return once it can be read."""
        row = self.append(judgement)
        self.make_visible(row)
        return row

    def append(self, judgement: Judgement) -> RowId:
        """Make a judgement durable in the spool."""
        return self._recorder.record(judgement.envelope, judgement.contents)

    def make_visible(self, row: RowId) -> None:
        """Ship, and return once the row can be read, or after `VISIBLE_WITHIN_S`."""
        self.ship()
        deadline = time.monotonic() + VISIBLE_WITHIN_S
        while time.monotonic() < deadline and not self._is_visible(row):
            time.sleep(0.1)

    def _is_visible(self, row: RowId) -> bool:
        found = self.store.query(
            f"SELECT count() FROM {self.store.database}.rows "
            "WHERE chain_id = toFixedString(unhex({chain:String}), 16) AND seq = {seq:UInt64}",
            {"chain": row.chain_id.hex(), "seq": row.seq},
        )
        return bool(found[0][0])

    def command(self, *arguments: str) -> CommandResult:
        """Run a command of ours in a process of its own, with this console's settings."""
        done = subprocess.run(
            [sys.executable, "-m", "spanledger_exporter", *arguments],
            capture_output=True,
            check=False,
            timeout=COMMAND_TIMEOUT_S,
            env={
                **os.environ,
                "SPANLEDGER_DIR": str(self.settings.directory),
                "SPANLEDGER_STORE": self.settings.store_url,
            },
        )
        return CommandResult(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))

    def ship(self) -> CommandResult:
        """Ship what is in the spool; where another process owns the store, it does that itself."""
        with self._shipping:
            return self.command("ship")

    def verify(self) -> dict[str, Any]:
        """Return the verdict of `spanledger verify --json`."""
        done = self.command("verify", "--json")
        try:
            verdict: dict[str, Any] = orjson.loads(done.out)
        except orjson.JSONDecodeError as error:
            raise StoreError(f"expected a verdict from `spanledger verify`, got: {done.err.strip()[-600:]}") from error
        return verdict

    def bundle(self, case_id: str, *, tenant: str) -> bytes:
        """Return the evidence bundle of a case, as a zip. Raises UsageError when nothing is recorded about it."""
        self.ship()
        scope, created_at = Scope(case_id=case_id, tenant=tenant), datetime.now(UTC).isoformat(timespec="seconds")
        bundle = create_bundle(self.store, scope, keys=find_key_ring(self.settings), created_at=created_at)
        if not bundle.rows:
            raise UsageError(f"expected a case that is recorded, got {case_id}: nothing is recorded about it")
        return bundle.data

    def access_log(self, *, tenant: str, limit: int, offset: int, as_of_us: int) -> list[Event]:
        """Return the newest accesses that the store had taken by `as_of_us` (Unix microseconds)."""
        where = f"event_type = 'access' AND stored_at <= fromUnixTimestamp64Micro(toInt64({as_of_us}))"
        return read_newest(self.store, where, tenant=tenant, limit=limit, offset=offset)

    def _ship_regularly(self) -> None:
        while not self._stopped.wait(SHIP_EVERY_S):
            if any(has_more(chain) for chain in chains(self.settings.spool_directory)):
                try:
                    self.ship()
                except (OSError, subprocess.SubprocessError):
                    continue  # the next round tries again; `doctor` shows what waits


def _is_made(store: Store) -> bool:
    """Say whether the tables are all there: their owner makes the views after them."""
    views = "SELECT count() FROM system.tables WHERE database = {database:String} AND engine = 'View'"
    return bool(store.query(views, {"database": store.database})[0][0])
