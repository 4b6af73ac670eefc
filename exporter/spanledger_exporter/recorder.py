"""The recorder: takes envelopes, returns once they are rows of a chain in the spool.

Rules
- One recorder is one writer: it has one chain at a time. The chain begins with the first row and says who it is in row
  0; a forked child gets a chain of its own that names its parent's newest row.
- `record` is synchronous: when it returns, the row survives kill -9 (`durability=power`: and a power cut).
- One lock orders appends. It is re-entrant, because a finalizer or a signal handler may end a span while this very
  thread appends; such a row waits in a queue that the outer append empties before it lets go of the lock.
- When the spool refuses, `record` raises RecordError and counts the row; the next one that can be written is preceded
  by a `loss` row that says how many, since when and why. Nothing is dropped without that row and one log line.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from spanledger_exporter.config import Settings
from spanledger_exporter.errors import RecordError
from spanledger_exporter.ledger.content import Content
from spanledger_exporter.normalise.fallback import SCHEMA, default_service, encode_envelope
from spanledger_exporter.spool.chain import DEFERRED, Chain, Envelope, RowId
from spanledger_exporter.spool.lineage import register_chain, write_origin
from spanledger_exporter.spool.opening import Opening, chain_open_envelope
from spanledger_exporter.spool.quota import SpoolFullError, SpoolQuota
from spanledger_exporter.spool.writer import ROTATE_BYTES

__all__ = ["DEFERRED", "Recorder", "RowId", "open_recorder"]

REOPEN_AFTER_S: Final = 1.0
"""How long a recorder that could not begin a chain waits before it tries again: making directories is not free."""

MAX_REASONS: Final = 8
"""How many different reasons one `loss` row lists: it is a row, not a log."""

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
_Item = tuple[Envelope, Sequence[Content], str, str]  # the last two: tenant and event type


def open_recorder(settings: Settings, *, role: str, service: Mapping[str, Any] | None = None) -> Recorder:
    """Return a recorder whose chain has begun: its `chain.open` row is in the spool.

    Raises RecordError when the spool cannot be written.
    """
    recorder = Recorder(settings, role=role, service=service)
    recorder.begin()
    return recorder


class Recorder:
    """A writer of one chain at a time; see the module's rules. Usable as a context manager."""

    def __init__(
        self,
        settings: Settings,
        *,
        role: str,
        service: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
        on_begin: Callable[[], None] | None = None,
        rotate_bytes: int = ROTATE_BYTES,
        clock: Callable[[], int] = time.time_ns,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.settings = settings
        self.service = dict(service or default_service())
        self._on_begin = on_begin
        self._opening = Opening(role=role, facts=dict(facts or {}))
        self._clock = clock
        self._random_bytes = random_bytes
        self._chain: Chain | None = None
        self._losses = _Losses()
        self._quota = SpoolQuota.of(settings)
        self._rotate_bytes = self._quota.file_bytes(rotate_bytes)
        self._is_limited = settings.spool_quota_bytes > 0
        self._is_durable = settings.durability == "power"
        self._retry_at_s = 0.0
        self._after_fork_state()
        _RECORDERS.add(self)

    def _after_fork_state(self) -> None:
        self._lock = threading.RLock()
        self._is_busy = False
        self._pending: deque[_Item] = deque()

    @property
    def head(self) -> RowId | None:
        """The newest row of this recorder's chain; None before the first."""
        chain = self._chain
        return None if chain is None or chain.head.row.seq < 0 else chain.head.row

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self) -> None:
        """Begin the chain now rather than with the first row. Raises RecordError."""
        self._exclusively(lambda: self._guarded(self._open_chain))

    def record(self, envelope: Mapping[str, Any], contents: Sequence[Content] = ()) -> RowId:
        """Append one row and the contents it refers to; fills schema, tenant, environment, service, time, event id.

        Raises RecordError when the spool cannot take it; the row is then counted into the next `loss` row.
        """
        filled = self._fill(envelope)
        return self.record_prepared((_encoded(filled), contents, filled["tenant"], filled.get("event_type", "")))

    def record_prepared(self, item: _Item) -> RowId:
        """Append one row whose envelope is complete and encoded, as `record` does."""
        row_id = self._submit(item)
        if self._is_durable and row_id is not DEFERRED:
            self._sync()
        return row_id

    def _fill(self, envelope: Mapping[str, Any]) -> dict[str, Any]:
        filled = {"schema": SCHEMA, "service": self.service, **envelope}
        tenant = filled.get("tenant")
        filled["tenant"] = _encodable(tenant) if isinstance(tenant, str) and tenant else self.settings.tenant
        if "time" not in filled:
            now = str(self._clock())
            filled["time"] = {"start": now, "end": now}
        if self.settings.environment and "environment" not in filled:
            filled["environment"] = self.settings.environment
        return filled

    def _submit(self, item: _Item) -> RowId:
        """Append `item`, or leave it to the append that this thread is already inside of.

        A signal may arrive between any two lines here. The lock is re-entrant and `_is_busy` is read before it is set,
        so a handler either does its whole append before this one begins, or finds it busy and leaves it a row, which
        is looked for once more after `_is_busy` is false again.
        """
        with self._lock:
            if self._is_busy:
                self._pending.append(item)
                return DEFERRED
            try:
                self._is_busy = True
                return self._append(item)
            finally:
                self._is_busy = False
                if self._pending:
                    self._drain_pending()

    def _exclusively(self, step: Callable[[], object]) -> None:
        """Run `step` as `_submit` runs an append; do nothing when this thread is inside such a step already."""
        with self._lock:
            if self._is_busy:
                return
            try:
                self._is_busy = True
                step()
            finally:
                self._is_busy = False
                if self._pending:
                    self._drain_pending()

    def _drain_pending(self) -> None:
        """Append what finalizers and signal handlers left; the queue may grow meanwhile."""
        while self._pending:
            try:
                self._is_busy = True
                self._append(self._pending.popleft())
            except (RecordError, IndexError):
                continue  # counted as a loss, its caller is long gone; or a handler emptied the queue in between
            finally:
                self._is_busy = False

    def _append(self, item: _Item) -> RowId:
        envelope, contents, tenant, event_type = item
        try:
            chain = self._chain
            if chain is None or not chain.writer.has_file():
                chain = self._next_chain()
            if self._is_limited:
                self._admit(chain)
            if self._losses.events:
                self._report_losses(chain)
            head = chain.writer.end.mark
            try:
                return chain.append(envelope, contents, tenant=tenant)
            except Exception:
                raise
            except BaseException:  # Ctrl-C or an injected timeout: it may end the call, never a row that was under way
                if chain.head is head:
                    chain.append(envelope, contents, tenant=tenant)
                raise
        except Exception as cause:  # whatever it is, a row is missing now, and that must be known
            error = self._refusal(cause)
            self._losses.add(str(event_type), error, self._clock())
            raise error from cause

    def _admit(self, chain: Chain) -> None:
        """Wait for room in the spool, or raise SpoolFullError; the file at hand must not be what takes it up."""
        if not self._quota.is_below():
            with contextlib.suppress(OSError):  # the disk is full too: then only other files can make room
                chain.writer.leave_file()
            self._quota.admit()

    def _guarded(self, step: Callable[[], _Result]) -> _Result:
        try:
            return step()
        except (OSError, SpoolFullError) as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> RecordError:
        if isinstance(error, SpoolFullError):
            return RecordError(str(error), refuses_call=self.settings.spool_quota_policy == "closed")
        if not isinstance(error, OSError):
            return RecordError(
                f"expected to append a row, got {type(error).__name__}: {error}",
                refuses_call=self.settings.on_failure == "closed",
            )
        return RecordError(
            f"expected to append to the spool in {self.settings.spool_directory}, got: {error}; "
            f"check the disk's free space and the directory's permissions, or set SPANLEDGER_DIR to another place",
            refuses_call=self.settings.on_failure == "closed",
        )

    def _open_chain(self) -> Chain:
        if self._chain is not None:
            return self._chain
        if time.monotonic() < self._retry_at_s:
            raise OSError("the spool could not be opened a moment ago")
        self._retry_at_s = time.monotonic() + REOPEN_AFTER_S
        chain = Chain(
            self.settings.spool_directory, self._random_bytes(16), clock=self._clock, rotate_bytes=self._rotate_bytes
        )
        try:
            self._begin_chain(chain)
        except BaseException:
            if chain.head.row.seq < 0:
                chain.writer.discard()
            else:  # row 0 is there, whatever came after it: that is a chain, however short
                chain.writer.close()
            raise
        self._chain, self._retry_at_s = chain, 0.0
        self._announce()
        return chain

    def _next_chain(self) -> Chain:
        """Begin the chain, or the one after that whose files something in this process has closed."""
        chain, self._chain = self._chain, None
        if chain is not None:
            self._leave_chain(chain)
        return self._open_chain()

    def _leave_chain(self, chain: Chain) -> None:
        _log.warning(
            "spanledger: chain %s ends without chain.close: its files were closed by something else in this process, "
            "which makes a daemon of itself or closes a descriptor twice; the next row begins another chain",
            chain.chain_id.hex(),
        )
        self._opening = self._opening.after(chain.head.row, relation="restart")
        chain.writer.close()

    def _announce(self) -> None:
        """Tell whoever asked that a chain has begun; what goes wrong there is no reason to lose a row."""
        try:
            if self._on_begin is not None:
                self._on_begin()
        except Exception:  # no thread can be started any more while the interpreter ends, for example
            _log.exception("spanledger: what follows the beginning of a chain did not run")

    def _begin_chain(self, chain: Chain) -> None:
        envelope = chain_open_envelope(self._opening, settings=self.settings, service=self.service)
        origin = {**self._opening.origin(self.service), "time_ns": str(self._clock())}
        write_origin(chain.writer.directory, origin)
        filled = self._fill(envelope)
        row_id = chain.append(_encoded(filled), (), tenant=filled["tenant"])
        self._register(chain, row_id)

    def _register(self, chain: Chain, row_id: RowId) -> None:
        try:
            register_chain(self.settings.anchors_directory, row_id, time_ns=chain.head.time_ns)
        except OSError as error:
            _log.warning("spanledger: chain %s is not in the chain registry: %s", chain.chain_id.hex(), error)

    def _report_losses(self, chain: Chain) -> None:
        filled = self._fill({"event_type": "loss", "loss": self._losses.body()})
        chain.append(_encoded(filled), (), tenant=filled["tenant"])
        _log.warning("spanledger: the spool can be written again; a loss row counts %d rows", self._losses.events)
        self._losses = _Losses()

    def _sync(self) -> None:
        chain = self._chain
        if chain is None:
            return
        self._guarded(chain.writer.sync)

    def close(self) -> None:
        """Write `chain.close` and let go of the files; a later `record` begins another chain."""
        self._exclusively(self._close_chain)

    def _close_chain(self) -> None:
        chain, self._chain = self._chain, None
        if chain is not None and not chain.writer.has_file():
            self._leave_chain(chain)
            chain = None
        chain = chain or self._chain_for_losses()
        self._chain = None
        if chain is None:
            return
        try:
            if self._losses.events:
                self._report_losses(chain)
            filled = self._fill({"event_type": "chain.close"})
            chain.append(_encoded(filled), (), tenant=filled["tenant"])
            if self._is_durable:
                chain.writer.sync()
        except OSError as error:
            _log.warning("spanledger: chain %s ends without chain.close: %s", chain.chain_id.hex(), error)
            self._say_unreported()
        self._opening = self._opening.after(chain.head.row, relation="restart")
        chain.writer.close()

    def _chain_for_losses(self) -> Chain | None:
        """Begin a chain for the `loss` row of a process that could never begin one; None where nothing was lost."""
        if not self._losses.events:
            return None
        self._retry_at_s = 0.0
        try:
            return self._open_chain()
        except (OSError, SpoolFullError):
            self._say_unreported()
            return None

    def _say_unreported(self) -> None:
        """Say in the log what no row will say: the process ends before the spool can be written."""
        if self._losses.events > self._losses.said:  # a process ends the ledger several times: exporter, processor
            self._losses.said = self._losses.events
            _log.error(
                "spanledger: the ledger does not say that %d rows are missing (%s): the spool could not be written "
                "until this process let go of it",
                self._losses.events,
                ", ".join(f"{count} {kind}" for kind, count in self._losses.by_type.items()),
            )

    def forget_parent(self) -> None:
        """Let go of the parent's chain; runs in a forked child, whose next row begins a chain of its own."""
        chain, self._chain = self._chain, None
        self._after_fork_state()
        self._losses, self._retry_at_s = _Losses(), 0.0
        if chain is not None:
            self._opening = self._opening.after(chain.head.row, relation="fork")
            chain.writer.abandon()


_GAP: Final = "spanledger: the audit trail has a gap from now on: %s"
_CALLS_REFUSED: Final = (
    "spanledger: no row can be written, so calls are refused from now on; one under way will have no end: %s"
)


class _Losses:
    """Rows that could not be written since the last `loss` row."""

    def __init__(self) -> None:
        self.events = 0
        self.said = 0  # of them, how many the log's last words have named
        self.by_type: dict[str, int] = {}
        self.reasons: dict[str, int] = {}
        self.since_ns = 0
        self.until_ns = 0

    def add(self, event_type: str, error: RecordError, now_ns: int) -> None:
        reason = str(error)
        if self.events == 0:
            self.since_ns = now_ns
            _log.error(_CALLS_REFUSED if error.refuses_call else _GAP, reason)
        self.events += 1
        self.until_ns = now_ns
        self.by_type[event_type] = self.by_type.get(event_type, 0) + 1
        if reason in self.reasons or len(self.reasons) < MAX_REASONS:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def body(self) -> dict[str, Any]:
        return {
            "events": self.events,
            "event_types": self.by_type,
            "reasons": [{"reason": reason, "events": count} for reason, count in self.reasons.items()],
            "since": str(self.since_ns),
            "until": str(self.until_ns),
        }


def _encoded(filled: Mapping[str, Any]) -> Envelope:
    """Return the envelope's bytes, made before the lock; or what makes them, where they depend on the row's place."""
    if "event_id" in filled:
        return encode_envelope(filled)
    return lambda chain_id, seq: encode_envelope({**filled, "event_id": f"{chain_id.hex()}:{seq}"})


def _encodable(text: str) -> str:
    """Return `text` as the envelope will have it: a lone surrogate, which UTF-8 cannot hold, becomes U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_RECORDERS: weakref.WeakSet[Recorder] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for recorder in list(_RECORDERS):
        recorder.forget_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)
