"""Shipping a whole spool directory: once (`drain`), or for as long as a process lives (`Shipper`).

Rules
- Several shippers may share a directory: each takes a chain's lock for the time of a few batches.
- Chains of dead processes are shipped like living ones: nobody owns a chain but its writer.
- One chain's refusal does not stop the others; a store that does not answer stops the pass.
- The thread never blocks the application: it waits, retries and gives up on its own.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from spanledger_exporter.config import Settings
from spanledger_exporter.errors import RecordError, SpanledgerError, StoreError, StoreRefusedError
from spanledger_exporter.ship.alarms import Alarms
from spanledger_exporter.ship.backoff import Backoff
from spanledger_exporter.ship.chain_shipper import ChainShipper, Shipped
from spanledger_exporter.ship.cleanup import SealedPositions, clean_up, spool_end
from spanledger_exporter.ship.cursor import load_cursor, shipping
from spanledger_exporter.ship.delivery import stored_heads
from spanledger_exporter.ship.metrics import ShipMetrics
from spanledger_exporter.spool.reader import ChainSpool, Position, chains, readable_chains
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema

INTERVAL_S = 1.0
"""The longest that a row waits in the spool of a reachable store."""

CLEAN_UP_EVERY_S = 10.0
PATIENCE_S = 5.0
"""How long `drain` tries a failing store before it says so."""

BUSY_PATIENCE_S = 30.0
"""How long `drain` waits for another shipper that has a chain."""

EXIT_PATIENCE_S = 2.0
MAX_BATCHES_PER_TURN = 16

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


@dataclass(slots=True)
class ShipReport:
    """What a drain did, and what it had to leave."""

    shipped: Shipped = field(default_factory=Shipped)
    removed_files: int = 0
    left: int = 0
    """Chains that still hold rows which another shipper has, or which their writer has not finished."""

    withheld: int = 0
    """Chains that another user wrote, and this one may not read."""


@dataclass(slots=True)
class Pass:
    """One walk over all chains."""

    shipped: Shipped
    busy: set[bytes] = field(default_factory=set[bytes])
    is_cut: bool = False
    """A chain used up its turn and has more."""

    error: SpanledgerError | None = None


class SpoolShipper:
    """Walks over the chains of one spool directory. Not thread-safe."""

    def __init__(self, settings: Settings, **limits: int) -> None:
        self.settings = settings
        self.alarms = Alarms(settings)
        self._limits = limits
        self._chains: dict[bytes, ChainShipper] = {}
        self._sealed = SealedPositions()

    def ship(self, store: Store, *, is_stopped: Callable[[], bool] = lambda: False) -> Pass:
        """Give every chain with something new its turn; a store that does not answer ends the pass."""
        done = Pass(Shipped())
        present = readable_chains(self.settings.spool_directory)
        self._forget(present)
        try:
            self._meet(store, present)
        except StoreError as error:
            done.error = error
            return done
        for chain in present:
            if is_stopped():
                break
            try:
                self._turn(store, chain, done)
            except (StoreRefusedError, RecordError, OSError) as error:  # this chain's trouble
                done.error = _as_error(error)
            except StoreError as error:
                done.error = error
                break
        return done

    def _turn(self, store: Store, chain: ChainSpool, done: Pass) -> None:
        shipper = self._chains[chain.chain_id]
        if not has_more(chain) and shipper.is_compared:
            return
        with shipping(chain.directory) as is_ours:
            if not is_ours:
                done.busy.add(chain.chain_id)
                return
            before = done.shipped.batches
            shipper.ship(store, done.shipped, max_batches=MAX_BATCHES_PER_TURN)
            done.is_cut |= done.shipped.batches - before >= MAX_BATCHES_PER_TURN

    def _meet(self, store: Store, present: list[ChainSpool]) -> None:
        """Ask once what the store has of the chains that are new to this process."""
        new = [chain for chain in present if chain.chain_id not in self._chains]
        heads = stored_heads(store, [chain.chain_id for chain in new])
        for chain in new:
            stored = heads.get(chain.chain_id, -1)
            self._chains[chain.chain_id] = ChainShipper(chain, alarms=self.alarms, stored=stored, **self._limits)

    def _forget(self, present: list[ChainSpool]) -> None:
        """Let go of chains that were cleaned up: a process that lives for months meets many."""
        names = {chain.chain_id for chain in present}
        for chain_id in self._chains.keys() - names:
            del self._chains[chain_id]

    def clean_up(self, store: Store) -> int:
        """Remove what is stored and sealed; returns how many files went."""
        self._sealed.update(store)
        return clean_up(self.settings, self._sealed)


def _as_error(error: SpanledgerError | OSError) -> SpanledgerError:
    if isinstance(error, SpanledgerError):
        return error
    return StoreError(f"expected to read the spool and write its cursor, got: {error}: check disk and permissions")


def has_more(chain: ChainSpool) -> bool:
    """Say whether the spool of `chain` goes on behind its cursor."""
    try:
        cursor = load_cursor(chain.directory)
        return cursor.pending is not None or cursor.position < spool_end(chain)
    except FileNotFoundError:
        return False


def drain(settings: Settings, store: Store, *, patience_s: float = PATIENCE_S, **limits: int) -> ShipReport:
    """Ship everything that is in the spool now, then clean up.

    Raises StoreError when the store does not take it within `patience_s` of trying.
    """
    patience = _Patience(patience_s)
    shipper = SpoolShipper(settings, **limits)
    report = ShipReport()
    if not store.is_read_only:
        patience.insist(lambda: ensure_schema(store))
    try:
        _drain(shipper, store, report, patience)
        shipper.alarms.close()
        if report.shipped.dead_letters or report.shipped.damages:
            _drain(shipper, store, report, patience)  # what the shipper itself had to say
    finally:
        shipper.alarms.close()
    report.withheld = withheld_count(settings)
    report.removed_files = patience.insist(lambda: shipper.clean_up(store))
    return report


def withheld_count(settings: Settings) -> int:
    """Return how many chains in the spool this user may not read."""
    return sum(chain.is_withheld for chain in chains(settings.spool_directory))


class _Patience:
    """How long a failing store is tried, counted from its first failure in a row."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._backoff = Backoff()
        self._deadline: float | None = None

    def failed(self, error: SpanledgerError) -> None:
        """Wait before the next try; raises `error` when patience is at its end."""
        self._deadline = self._deadline or time.monotonic() + self._patience_s
        if time.monotonic() >= self._deadline:
            raise error
        time.sleep(self._backoff.failed())

    def succeeded(self) -> None:
        """Begin anew."""
        self._backoff.succeeded()
        self._deadline = None

    def insist(self, step: Callable[[], _Result]) -> _Result:
        """Try `step` until it is done."""
        while True:
            try:
                result = step()
            except StoreError as error:
                self.failed(error)
            else:
                self.succeeded()
                return result


def _drain(shipper: SpoolShipper, store: Store, report: ShipReport, patience: _Patience) -> None:
    targets = _ends(shipper.settings)
    busy_until = time.monotonic() + BUSY_PATIENCE_S
    while True:
        done = shipper.ship(store)
        report.shipped.merge(done.shipped)
        targets = {chain: end for chain, end in targets.items() if not _has_reached(shipper.settings, chain, end)}
        report.left = len(targets)
        if done.error is not None:
            patience.failed(done.error)
            continue
        patience.succeeded()
        if done.shipped.batches and targets:
            continue
        if not done.busy or time.monotonic() >= busy_until:
            return
        time.sleep(0.1)


def _ends(settings: Settings) -> dict[bytes, Position]:
    """Return where every chain ends now: a drain is done there, however fast its writer goes on."""
    ends: dict[bytes, Position] = {}
    for chain in readable_chains(settings.spool_directory):
        with contextlib.suppress(FileNotFoundError):
            if has_more(chain):
                ends[chain.chain_id] = spool_end(chain)
    return ends


def _has_reached(settings: Settings, chain_id: bytes, end: Position) -> bool:
    cursor = load_cursor(settings.spool_directory / chain_id.hex())
    return cursor.pending is None and cursor.position >= end


class Shipper:
    """A background thread that keeps a spool directory shipped. Everything here may be called from any thread.

    `start` is cheap to repeat, and is to be repeated in a forked child. `each_cycle` runs between two passes with the
    open store: its owner seals there. A process that ends flushes for at most `EXIT_PATIENCE_S`, and not at all while
    the store does not answer: what is left stays in the spool.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        interval_s: float = INTERVAL_S,
        each_cycle: Callable[[Store], None] | None = None,
    ) -> None:
        self.settings = settings
        self.totals = Shipped()
        self._interval_s = interval_s
        self._each_cycle = each_cycle
        self._after_fork_state()
        self._metrics = ShipMetrics(
            settings.spool_directory, self.totals, is_failing=lambda: self.last_error is not None
        )
        _SHIPPERS.add(self)

    def _after_fork_state(self) -> None:
        self._pid = os.getpid()
        self._guard = threading.Lock()
        self._changed = threading.Condition()
        self._wanted = 0
        self._served = 0
        self._stopping = threading.Event()
        self._awake = threading.Event()
        self._thread: threading.Thread | None = None
        self.last_error: SpanledgerError | None = None

    def start(self) -> None:
        """Make sure that the thread runs."""
        with self._guard:
            if self._thread is None or not self._thread.is_alive():
                self._stopping.clear()
                atexit.register(self._at_exit)
                self._thread = threading.Thread(target=self.run, name="spanledger-shipper", daemon=True)
                self._thread.start()

    def flush(self, timeout_s: float) -> bool:
        """Ask for a pass now, and wait for it; False when the store did not take everything in time."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._wanted += 1
            wanted = self._wanted
            self._awake.set()
            while self._served < wanted:
                left_s = deadline - time.monotonic()
                if left_s <= 0 or not self._is_running():
                    return False
                self._changed.wait(min(left_s, 0.2))
        return True

    def close(self, timeout_s: float = 5.0) -> bool:
        """Flush, then end the thread; bounded by `timeout_s`. What is left stays in the spool for the next shipper."""
        if not self._is_running():
            return not any(map(has_more, readable_chains(self.settings.spool_directory)))
        deadline = time.monotonic() + timeout_s
        is_flushed = self.flush(timeout_s)
        self.stop()
        thread = self._thread
        if thread is not None:
            thread.join(max(deadline - time.monotonic(), 0.1))
        atexit.unregister(self._at_exit)
        return is_flushed

    def _at_exit(self) -> None:
        # The thread stays: OpenTelemetry's exit handler comes after this one, and ends the chain (otel/background.py).
        if self._pid == os.getpid() and self.last_error is None:
            self.flush(EXIT_PATIENCE_S)

    def stop(self) -> None:
        """Ask the thread to end after the batch that it is at."""
        self._stopping.set()
        self._awake.set()

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def run(self) -> None:
        """Ship until `stop`. The store may be absent, come, go and come back."""
        backoff = Backoff()
        while not self._stopping.is_set():
            try:
                with open_store(self.settings, role="owner", wait_s=0, lasting=True) as store:
                    self._serve(store, backoff)
            except SpanledgerError as error:
                self._pause(error, backoff)
            except Exception as error:  # a thread that dies silently would be a silent loss
                _log.exception("spanledger: the shipper stumbled")
                self._pause(StoreError(f"expected to ship, got {type(error).__name__}: {error}"), backoff)

    def _serve(self, store: Store, backoff: Backoff) -> None:
        shipper = SpoolShipper(self.settings)
        clean_up_at = time.monotonic() + CLEAN_UP_EVERY_S
        try:
            ensure_schema(store)
            if withheld := withheld_count(self.settings):
                _log.warning("spanledger: %d chains of another user stay in the spool, until that user ships", withheld)
            while not self._stopping.is_set():
                self._serve_once(store, shipper, backoff)
                if self._each_cycle is not None:
                    self._each_cycle(store)
                if time.monotonic() >= clean_up_at:
                    shipper.clean_up(store)
                    clean_up_at = time.monotonic() + CLEAN_UP_EVERY_S
                self._awake.wait(self._interval_s)
        finally:
            shipper.alarms.close()

    def _serve_once(self, store: Store, shipper: SpoolShipper, backoff: Backoff) -> None:
        """Pass over the chains until nothing new is found; a failure leaves the store to be opened afresh."""
        self._awake.clear()
        wanted = self._wanted
        while True:
            done = shipper.ship(store, is_stopped=self._stopping.is_set)
            self.totals.merge(done.shipped)
            if done.error is not None and not isinstance(done.error, (StoreRefusedError, RecordError)):
                raise done.error
            backoff.succeeded()
            self.last_error = done.error
            if not done.is_cut or self._stopping.is_set():
                break
        if done.error is not None:
            _log.warning("spanledger: a chain waits in the spool: %s", done.error)
            return
        with self._changed:
            self._served = max(self._served, wanted)
            self._changed.notify_all()

    def _pause(self, error: SpanledgerError, backoff: Backoff) -> None:
        wait_s = backoff.failed()
        self.last_error = error
        if backoff.failures in {1, 10} or backoff.failures % 100 == 0:
            _log.warning("spanledger: rows wait in the spool, next try in %.1f s: %s", wait_s, error)
        self._stopping.wait(wait_s)

    def forget_parent(self) -> None:
        """Begin anew in a forked child: threads and locks did not come along. The child's first row starts a thread."""
        self._after_fork_state()


_SHIPPERS: weakref.WeakSet[Shipper] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for shipper in list(_SHIPPERS):
        shipper.forget_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)
