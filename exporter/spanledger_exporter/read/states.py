"""How far a row is secured, as the store tells it: stored, sealed, anchored. `spanledger verify` proves it.

A segment of the log covers the rows of one chain up to `last`; an anchor covers the log up to its size.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from spanledger_exporter.read.event import Event
from spanledger_exporter.read.log_entries import ABOUT_CHAINS
from spanledger_exporter.store.connection import Store

UNCOVERED: Final = frozenset({"recorded", "altered"})
"""States of rows that the log cannot cover: not in the store yet, or not what was recorded."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """For each chain (hex), how many of its rows are sealed and how many lie under an anchored checkpoint."""

    sealed: dict[str, int]
    anchored: dict[str, int]

    def state(self, chain: str, seq: int) -> str:
        """Return `stored`, `sealed` or `anchored`."""
        if seq < self.anchored.get(chain, 0):
            return "anchored"
        return "sealed" if seq < self.sealed.get(chain, 0) else "stored"

    def mark(self, events: Iterable[Event]) -> list[Event]:
        """Return the events with their states; what the log cannot cover keeps its own."""
        return [
            event if event.state in UNCOVERED else replace(event, state=self.state(event.chain, event.seq))
            for event in events
        ]


def load_coverage(store: Store, chains: Iterable[str]) -> Coverage:
    """Read how far the named chains are covered."""
    rows = store.query(
        f"SELECT JSONExtractString(entry, 'chain') AS chain, max(JSONExtractUInt(entry, 'last')) + 1, "
        f"maxIf(JSONExtractUInt(entry, 'last') + 1, `index` < (SELECT max(size) FROM {store.database}.anchors)) "
        f"FROM {store.database}.log PREWHERE {ABOUT_CHAINS} WHERE JSONExtractString(entry, 'type') = 'segment' "
        "AND chain IN {chains:Array(String)} GROUP BY chain",
        {"chains": sorted(set(chains))},
    )
    return Coverage({row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows})
