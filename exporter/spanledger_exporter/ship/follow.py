"""The process that owns a store: it ships and seals until it is told to stop.

An embedded store has one owner, so the sealer runs here, between two passes of the shipper. For a server store too,
unless another process seals: two sealers refuse each other, and the refused one only says so.
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

Seal = Callable[[Store], object]

_log = logging.getLogger(__name__)


def follow(settings: Settings, *, seals: bool = True, seal: Seal | None = None) -> Shipper:
    """Return a shipper that seals too; `run` it in this thread, `stop` it from a signal handler."""
    if not seals:
        return Shipper(settings)
    return Shipper(settings, each_cycle=_Sealing(seal or _default_seal(settings)))


def _default_seal(settings: Settings) -> Seal:
    from spanledger_exporter.seal.owner import seal_now  # noqa: PLC0415 - keys and HPKE only where something is sealed

    return lambda store: seal_now(store, settings)


class _Sealing:
    """Seals when it is time. A seal that fails is said and tried again: shipping goes on."""

    def __init__(
        self, seal: Seal, *, every_s: float = SEAL_EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seal = seal
        self._every_s = every_s
        self._clock = clock
        self._next_s = 0.0

    def __call__(self, store: Store) -> None:
        if self._clock() < self._next_s:
            return
        self._next_s = self._clock() + self._every_s
        try:
            self._seal(store)
        except SpanledgerError as error:
            _log.error("spanledger: shipped rows are not sealed: %s", error)
