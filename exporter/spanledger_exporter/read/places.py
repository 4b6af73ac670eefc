"""Where rows stand that meet some conditions, newest first: the keys of a search, without the envelopes.

Rules
- The order is total: by start, then by when it was written, then by place. Two questions never disagree about it.
- Only narrow columns are read. An id is as dear as all of them together, so it is read for those who ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from spanledger_exporter.read.at_once import at_once
from spanledger_exporter.read.criteria import Conditions
from spanledger_exporter.store.connection import Store

_KEYS: Final = (
    "toUnixTimestamp64Nano(time) AS start_ns, time_ns, lower(hex(chain_id)) AS chain, seq, outcome != '' AS has_outcome"
)
# Never under the columns' own names: a condition on the column would then read the empty text.
_NO_IDS: Final = "'' AS no_event_id, '' AS no_trace_id, '' AS no_tenant, 0 AS is_received"
_IDS: Final = "event_id, trace_id, tenant, capture_tier = 'ingested' AS is_received"
_NEWEST: Final = "ORDER BY time DESC, time_ns DESC, chain_id, seq DESC LIMIT {taken:UInt64}"

FROM_TIME: Final = "time >= fromUnixTimestamp64Nano({first:Int64})"
BEFORE_TIME: Final = "time < fromUnixTimestamp64Nano({before:Int64})"

IN_CHAINS: Final = (
    "chain_id IN (SELECT toFixedString(unhex(c), 16) FROM (SELECT arrayJoin({chains:Array(String)}) AS c))"
)
"""The condition of rows of some chains (hex)."""

AT_PLACES: Final = f"{IN_CHAINS} AND seq IN {{seqs:Array(UInt64)}}"
"""The condition of rows at some places, and at a few others: the sort key finds chains and numbers, not pairs."""


def at_places(places: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Return the parameters of `AT_PLACES` for chains (hex) and sequence numbers."""
    return {"chains": sorted({chain for chain, _ in places}), "seqs": sorted({seq for _, seq in places})}


@dataclass(frozen=True, slots=True)
class Place:
    """One row that meets the criteria. `chain` is lower-case hex, times are Unix nanoseconds.

    A row that has an outcome is hardly ever an intent. The ids are empty where nobody asked for them, and with them the
    tenant, and whether the row came over OTLP.
    """

    start_ns: int
    time_ns: int
    chain: str
    seq: int
    has_outcome: bool
    event_id: str = ""
    trace_id: str = ""
    tenant: str = ""
    is_received: bool = False

    @property
    def order(self) -> tuple[int, int, str, int]:
        """The order of `_NEWEST`, for places that were found by several questions."""
        return -self.start_ns, -self.time_ns, self.chain, -self.seq

    @property
    def key(self) -> tuple[str, int]:
        """The place itself."""
        return self.chain, self.seq


Fetch = Callable[[int], list[Place]]
"""Returns up to that many places, newest first; fewer only when there are no more."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The table of rows, asked for places."""

    store: Store
    with_ids: bool = False

    @property
    def table(self) -> str:
        """The qualified name of the table."""
        return f"{self.store.database}.rows"

    def newest(self, *ways: Conditions, taken: int) -> list[Place]:
        """Return the newest `taken` places that meet one of some conditions: again for each one that they meet.

        Were each to stand once, fewer than `taken` could come back though there are more: the ways are cut before.
        """
        if len(ways) == 1:
            return self._newest(self.store, ways[0], taken)

        def all_of(some: Sequence[Conditions], store: Store) -> list[Place]:
            return [place for way in some for place in self._newest(store, way, taken)]

        # One statement of several ways would be planned by one thread, way after way.
        half, others = at_once(self.store, partial(all_of, ways[::2]), partial(all_of, ways[1::2]))
        return sorted(half + others, key=lambda place: place.order)[:taken]

    def _newest(self, store: Store, way: Conditions, taken: int) -> list[Place]:
        sql = f"SELECT {_KEYS}, {_IDS if self.with_ids else _NO_IDS} FROM {self.table} WHERE {way} {_NEWEST}"
        return replace(self, store=store).places(sql, way.parameters | {"taken": taken})

    def places(self, sql: str, parameters: Mapping[str, Any]) -> list[Place]:
        """Return what a question finds that asks for the members of `Place`, in their order."""
        return [
            Place(start_ns, time_ns, chain, seq, bool(has_outcome), event_id, trace_id, tenant, bool(is_received))
            for start_ns, time_ns, chain, seq, has_outcome, event_id, trace_id, tenant, is_received in self.store.query(
                sql, parameters
            )
        ]

    def fetch(self, *ways: Conditions) -> Fetch:
        """Return how to find the places that meet one of some conditions."""
        return lambda taken: self.newest(*ways, taken=taken)

    def start_of_window(self, conditions: Conditions, size: int) -> int | None:
        """Return when the row `size` places behind the newest started; None when there are no more than that."""
        rows = self.store.query(
            f"SELECT toUnixTimestamp64Nano(time) AS start_ns FROM {self.table} WHERE {conditions} "
            "ORDER BY start_ns DESC LIMIT 1 OFFSET {size:UInt64}",  # the engine sorts plain numbers faster
            conditions.parameters | {"size": size},
        )
        return int(rows[0][0]) if rows else None


def without_copies(places: Sequence[Place]) -> list[Place]:
    """Return each place once: a row may have been delivered twice."""
    return list({(place.chain, place.seq): place for place in places}.values())
