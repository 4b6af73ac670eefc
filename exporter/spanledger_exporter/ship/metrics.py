"""The shipper's figures as OpenTelemetry metrics, on the meter provider that the process has.

| metric                              | unit  | meaning                                                                |
|-------------------------------------|-------|------------------------------------------------------------------------|
| `spanledger.spool.unshipped`        | By    | bytes in the spool that the store has not confirmed                    |
| `spanledger.spool.size`             | By    | bytes in the spool, shipped ones that wait for the sealer included     |
| `spanledger.spool.oldest_unshipped` | s     | age of the row that waits longest                                      |
| `spanledger.spool.chains`           | {chain} | chains in the spool                                                  |
| `spanledger.ship.rows`              | {row} | rows delivered by this process                                         |
| `spanledger.ship.contents`          | {content} | contents delivered by this process                                 |
| `spanledger.ship.dead_letters`      | {row} | rows and contents that the store refused                               |
| `spanledger.ship.damages`           | {place} | damaged places in the spool                                          |
| `spanledger.ship.lag`               | s     | from a row's writing to the store's confirmation, newest batch         |
| `spanledger.ship.failing`           | 1     | 1 while the store does not take rows                                   |

Without a meter provider the instruments do nothing and cost nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter

from spanledger_exporter.ship.chain_shipper import Shipped
from spanledger_exporter.ship.status import SpoolStatus, spool_status

METER = "spanledger.ship"
STATUS_LIFETIME_S = 1.0
"""One look at the spool serves every instrument of a collection."""

Value = Callable[[], float]


class ShipMetrics:
    """Registers the instruments for one shipper: `totals` are what it counts into while it runs."""

    def __init__(
        self,
        spool_directory: Path,
        totals: Shipped,
        *,
        is_failing: Callable[[], bool],
        provider: MeterProvider | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._spool_directory = spool_directory
        self._totals = totals
        self._is_failing = is_failing
        self._clock = clock
        self._status: SpoolStatus | None = None
        self._looked_ns = 0
        meter = get_meter(METER, meter_provider=provider)
        for name, unit, description, value in self._gauges():
            meter.create_observable_gauge(name, [_observing(value)], unit, description)
        for name, unit, description, value in self._counters():
            meter.create_observable_counter(name, [_observing(value)], unit, description)

    def _gauges(self) -> Iterable[tuple[str, str, str, Value]]:
        yield (
            "spanledger.spool.unshipped",
            "By",
            "not yet confirmed by the store",
            lambda: self._spool().unshipped_bytes,
        )
        yield "spanledger.spool.size", "By", "all of the spool", lambda: self._spool().stored_bytes
        yield "spanledger.spool.chains", "{chain}", "chains in the spool", lambda: self._spool().chains
        yield "spanledger.spool.oldest_unshipped", "s", "age of the row that waits longest", self._oldest
        yield "spanledger.ship.lag", "s", "from writing to confirmation", lambda: self._totals.lag_s
        yield "spanledger.ship.failing", "1", "the store takes no rows", self._is_failing

    def _counters(self) -> Iterable[tuple[str, str, str, Value]]:
        totals = self._totals
        yield "spanledger.ship.rows", "{row}", "rows delivered", lambda: totals.rows
        yield "spanledger.ship.contents", "{content}", "contents delivered", lambda: totals.contents
        yield "spanledger.ship.dead_letters", "{row}", "refused by the store", lambda: totals.dead_letters
        yield "spanledger.ship.damages", "{place}", "damaged places in the spool", lambda: totals.damages

    def _spool(self) -> SpoolStatus:
        now = self._clock()
        if self._status is None or now - self._looked_ns > STATUS_LIFETIME_S * 1e9:
            self._status = spool_status(self._spool_directory)
            self._looked_ns = now
        return self._status

    def _oldest(self) -> float:
        return self._spool().oldest_age_s(self._clock())


def _observing(value: Value) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        try:
            return [Observation(float(value()))]
        except OSError:
            return []  # a spool that cannot be read has no figure; the shipper says why

    return observe
