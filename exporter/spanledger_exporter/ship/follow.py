"""The process that owns a store: it ships and seals until it is told to stop.

An embedded store has one owner, so the sealer runs here, between two passes of the shipper. A server store may have
its sealer elsewhere: the second one is refused, and says so here at every turn.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from spanledger_exporter.config import Settings
from spanledger_exporter.errors import SpanledgerError
from spanledger_exporter.ship.shipper import Shipper
from spanledger_exporter.store.connection import Store

SEAL_EVERY_S = 10.0
HEARTBEAT_EVERY_S = 300.0

Seal = Callable[[Store, bool], bool]
"""Seals a store; told whether a heartbeat is due, says whether it signed a checkpoint."""

_log = logging.getLogger(__name__)


def follow(settings: Settings, *, seals: bool = True) -> Shipper:
    """Return a shipper that seals too; `run` it in this thread, `stop` it from a signal handler."""
    return Shipper(settings, each_cycle=Sealing(_sealer(settings)) if seals else None)


def _sealer(settings: Settings) -> Seal:
    # Keys and anchors are loaded where something is sealed, not where an application ships.
    from spanledger_exporter.anchors.configured import open_anchors  # noqa: PLC0415
    from spanledger_exporter.seal.log_state import LogState  # noqa: PLC0415
    from spanledger_exporter.seal.sealer import seal  # noqa: PLC0415
    from spanledger_exporter.seal.sealing_keys import open_sealing_keys  # noqa: PLC0415

    anchors = open_anchors(settings)
    known: LogState | None = None

    def seal_once(store: Store, is_heartbeat_due: bool) -> bool:
        nonlocal known
        before, known = known, None  # half a seal is no knowledge
        keys = open_sealing_keys(settings, store, anchors)
        report = seal(
            store, settings=settings, keys=keys, anchors=anchors, is_heartbeat_due=is_heartbeat_due, known=before
        )
        known = report.log
        for found in report.breaks:
            _log.error("spanledger: not sealed: chain %s row %d: %s", found.chain.hex(), found.seq, found.reason)
        for anchor in report.publications:
            if anchor.status != "anchored":
                _log.error("spanledger: anchor %s %s: %s: %s", anchor.kind, anchor.target, anchor.status, anchor.detail)
        return report.is_new

    return seal_once


class Sealing:
    """Seals when it is time. A seal that fails is said and tried again: shipping goes on."""

    def __init__(self, seal: Seal, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seal = seal
        self._clock = clock
        self._next_s = 0.0
        self._signed_s = clock()

    def __call__(self, store: Store) -> None:
        """Seal, if it is time."""
        now = self._clock()
        if now < self._next_s:
            return
        self._next_s = now + SEAL_EVERY_S
        try:
            if self._seal(store, now - self._signed_s >= HEARTBEAT_EVERY_S):
                self._signed_s = now
        except SpanledgerError as error:
            _log.error("spanledger: shipped rows are not sealed: %s", error)
