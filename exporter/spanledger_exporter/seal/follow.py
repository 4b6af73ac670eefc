"""Sealing again and again, until told to stop.

Rules
- A failure of the store or of an anchor is told and tried again at the next round; it never ends the loop.
- A contradiction (SealRefusedError, a break, a conflicting anchor) is told every round: an alarm does not go away by
  itself. The loop goes on sealing whatever can be proved.
- A heartbeat proves that nothing happened: a checkpoint is signed at least every `heartbeat_s`.
- SIGTERM and SIGINT end the loop between two rounds.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence

from spanledger_exporter.anchors.anchor import Anchor
from spanledger_exporter.config import Settings
from spanledger_exporter.errors import SpanledgerError
from spanledger_exporter.keys.key_ring import KeyRing
from spanledger_exporter.seal.log_state import LogState
from spanledger_exporter.seal.sealer import SealReport, seal
from spanledger_exporter.store.connection import Store

_log = logging.getLogger(__name__)


def follow(
    store: Store,
    *,
    settings: Settings,
    keys: KeyRing,
    anchors: Sequence[Anchor],
    interval_s: float,
    heartbeat_s: float,
    tell: Callable[[SealReport], None],
    stop: threading.Event | None = None,
) -> int:
    """Seal every `interval_s` until `stop` is set or a signal comes; return the exit status."""
    stop = stop or _stop_on_signals()
    known: LogState | None = None
    signed_at_s = time.monotonic()
    while True:
        is_due = time.monotonic() - signed_at_s >= heartbeat_s
        try:
            report = seal(store, settings=settings, keys=keys, anchors=anchors, is_heartbeat_due=is_due, known=known)
            known = report.log
            if report.is_new:
                signed_at_s = time.monotonic()
            if report.is_new or report.breaks or any(p.status != "anchored" for p in report.publications):
                tell(report)
        except SpanledgerError as error:
            known = None  # half a seal is no knowledge
            _log.error("spanledger: not sealed: %s", error)
        if stop.wait(interval_s):
            return 0


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
