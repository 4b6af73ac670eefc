"""Reads rows that are not sealed yet, proves each again, and cuts them into segments.

Rules
- A row is good when: its `env` hashes to `env_hash`, its header hashes to `row_hash`, its `prev_hash` is the row
  before, its time is not before that row's, and its `tenant` column is the one in `env`.
- A chain is followed up to its first bad or missing row and no further: that is a Break, which the sealer reports.
  Nothing after a break is sealed, because its link to what came before is not proved.
- The same row twice is a benign retry. Two different rows with one `seq` are a Break.
- A segment ends where the tenant or the UTC day changes, and at `MAX_SEGMENT_ROWS`.
- The engine hashes the payload (it reads 1 M envelopes of 1 kB in about a second); links and row hashes are computed
  here. Whoever does not trust the engine runs `spanledger verify`, which hashes the exported bytes itself.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import orjson

from spanledger_exporter.ledger.log_entry import EVENTS, HOUSEKEEPING, Segment
from spanledger_exporter.ledger.merkle import root_of_leaves
from spanledger_exporter.ledger.row import genesis_hash, row_hash
from spanledger_exporter.seal.log_state import EXACT, ChainPosition
from spanledger_exporter.store.connection import Store
from spanledger_semconv.events import HOUSEKEEPING as HOUSEKEEPING_TYPES

MAX_SEGMENT_ROWS = 65_536
"""Bounds memory here and the work of proving one row: its segment's row hashes have to be read."""

CHAINS_PER_QUERY = 500
ROWS_PER_QUERY = 500_000
"""Bounds what the engine sorts at a time, whatever waits to be sealed."""

DAY_NS = 86_400 * 10**9

ACTS: Mapping[str, str] = {
    "loss": "loss",
    "erasure": "erasure",
    "legal_hold": "legal-hold",
    "retention": "prune",
    "chain.open": "chain-open",
    "chain.close": "chain-close",
}
"""Event types that get an entry of their own in the log, beside the segment that holds the row."""


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain stops being provable. `seq` is the first row that is bad or missing."""

    chain: bytes
    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Act:
    """A row that gets an entry of its own: see `ACTS`."""

    event_type: str
    chain: bytes
    seq: int
    row_hash: bytes
    time_ns: int


@dataclass(frozen=True, slots=True)
class Predecessor:
    """What row 0 of a chain says of the chain before it on its host."""

    chain: bytes
    seq: int
    row_hash: bytes
    successor: bytes


@dataclass(slots=True)
class Harvest:
    """A proved stretch of one chain: a segment, the acts in it, and what its row 0 claims."""

    segment: Segment
    acts: list[Act]
    predecessor: Predecessor | None = None


@dataclass(slots=True)
class _Open:
    """The segment under construction."""

    first: int
    tenant: str
    day: int
    hashes: list[bytes] = field(default_factory=list[bytes])
    acts: list[Act] = field(default_factory=list[Act])
    times: list[int] = field(default_factory=list[int])
    is_housekeeping: bool = True
    predecessor: Predecessor | None = None

    def close(self, chain: bytes) -> Harvest:
        segment = Segment(
            chain=chain,
            first=self.first,
            last=self.first + len(self.hashes) - 1,
            head=self.hashes[-1],
            root=root_of_leaves(self.hashes),
            min_time=self.times[0],
            max_time=self.times[-1],
            tenant=self.tenant,
            segment_class=HOUSEKEEPING if self.is_housekeeping else EVENTS,
        )
        return Harvest(segment, self.acts, self.predecessor)


Stretch = tuple[int, int]
"""Rows `first` to `last`, both included."""


def find_unsealed(store: Store, chains: Mapping[bytes, ChainPosition]) -> dict[bytes, Stretch]:
    """Return the chains that have rows beyond their sealed position, with the rows to be read, by chain id."""
    newest = store.query(f"SELECT chain_id, max(seq) FROM rows GROUP BY chain_id ORDER BY chain_id {EXACT}")
    start = ChainPosition()
    firsts = {chain: chains.get(chain, start).next_seq for chain, _ in newest}
    return {chain: (firsts[chain], last) for chain, last in newest if last >= firsts[chain]}


def harvest(
    store: Store, unsealed: Mapping[bytes, Stretch], chains: Mapping[bytes, ChainPosition]
) -> Generator[Harvest | Break]:
    """Yield proved segments and breaks of the `unsealed` chains (in order of their ids), each chain in order."""

    def follow(chain: bytes) -> _Follower:
        return _Follower(chain, chains.get(chain, ChainPosition()))

    follower = follow(b"")  # no chain yet: it finishes with nothing
    given_up: set[bytes] = set()
    for page in _pages(unsealed, given_up):
        for row in _rows(store, page):
            if row[0] != follower.chain:
                yield from follower.finish()
                follower = follow(row[0])
            yield from follower.take(row)
        chain, (_, end) = next(reversed(page.items()))
        if end < unsealed[chain][1]:  # it goes on in the next page
            if chain != follower.chain:
                yield from follower.finish()
                follower = follow(chain)
            yield from follower.arrive(end)
            if follower.is_broken:
                given_up.add(chain)
    yield from follower.finish()


def _pages(unsealed: Mapping[bytes, Stretch], given_up: AbstractSet[bytes]) -> Generator[dict[bytes, Stretch]]:
    """Cut the work into queries of bounded size; a long chain goes on in the next page, unless it was given up.

    One row with the largest number there is would otherwise make more pages than anybody can read.
    """
    page: dict[bytes, Stretch] = {}
    room = ROWS_PER_QUERY
    for chain, (first, last) in unsealed.items():
        at = first
        while at <= last and chain not in given_up:
            end = min(last, at + room - 1)
            page[chain] = (at, end)
            room -= end - at + 1
            at = end + 1
            if room == 0 or len(page) == CHAINS_PER_QUERY:
                yield page
                page, room = {}, ROWS_PER_QUERY
    if page:
        yield page


class _Follower:
    """Follows one chain row by row."""

    __slots__ = ("_head", "_head_time", "_open", "_previous", "_seq", "chain", "is_broken")

    def __init__(self, chain: bytes, position: ChainPosition) -> None:
        self.chain = chain
        self._seq = position.next_seq
        self._head = position.head or genesis_hash(chain)
        self._head_time = position.head_time
        self._open: _Open | None = None
        self.is_broken = False
        self._previous: tuple[int, bytes] | None = None

    def take(self, row: Sequence[Any]) -> Iterable[Harvest | Break]:
        """Prove one row; yield the segment that it ends, or the break that it is."""
        if self.is_broken:
            return ()
        _, seq, _, time_ns, _, stored_hash, tenant, *_ = row
        if self._previous is not None and seq == self._previous[0]:
            if stored_hash == self._previous[1]:
                return ()
            return self._break(seq, f"expected one row at seq {seq}, got two that differ: equivocation", retract=True)
        reason = self._fault(row)
        if reason:
            return self._break(self._seq, reason)
        ended = self._ended_by(tenant, time_ns // DAY_NS)
        self._append(row)
        return ended

    def _fault(self, row: Sequence[Any]) -> str:
        chain, seq, prev_hash, time_ns, env_hash, stored_hash, _, env_holds, tenant_holds, *_ = row
        if seq != self._seq:
            return f"expected row {self._seq}, got row {seq}: rows are missing"
        if prev_hash != self._head:
            return f"expected prev_hash of row {seq} to be the row before, got another: the link is broken"
        if not env_holds:
            return f"expected env of row {seq} to hash to env_hash, got another hash: env was changed"
        if row_hash(chain_id=chain, seq=seq, prev_hash=prev_hash, time_ns=time_ns, env_hash=env_hash) != stored_hash:
            return f"expected the header of row {seq} to hash to row_hash, got another hash: the row was changed"
        if time_ns < self._head_time:
            return f"expected row {seq} not to be older than the row before, got an earlier time_ns"
        if not tenant_holds:
            return f"expected the tenant column of row {seq} to be the tenant in env, got another"
        return ""

    def _ended_by(self, tenant: str, day: int) -> Iterable[Harvest]:
        current = self._open
        if current is None:
            return ()
        if (current.tenant, current.day) == (tenant, day) and len(current.hashes) < MAX_SEGMENT_ROWS:
            return ()
        self._open = None
        return (current.close(self.chain),)

    def _append(self, row: Sequence[Any]) -> None:
        chain, seq, _, time_ns, _, stored_hash, tenant, _, _, event_type, predecessor = row
        if self._open is None:
            self._open = _Open(seq, tenant, time_ns // DAY_NS)
        current = self._open
        current.hashes.append(stored_hash)
        current.times.append(time_ns)
        if event_type not in HOUSEKEEPING_TYPES:
            current.is_housekeeping = False
        if seq == 0:
            current.acts.append(Act("chain.open", chain, seq, stored_hash, time_ns))
            current.predecessor = _claim(predecessor, chain) if predecessor else None
        elif event_type in ACTS:
            current.acts.append(Act(event_type, chain, seq, stored_hash, time_ns))
        self._seq, self._head, self._head_time = seq + 1, stored_hash, time_ns
        self._previous = (seq, stored_hash)

    def _break(self, seq: int, reason: str, *, retract: bool = False) -> Iterable[Harvest | Break]:
        self.is_broken = True
        if retract and self._open is not None:  # of two rows with one seq neither is sealed
            self._open.hashes.pop()
            self._open.times.pop()
            self._open.acts = [act for act in self._open.acts if act.seq != seq]
        return (*self.finish(), Break(self.chain, seq, reason))

    def arrive(self, end: int) -> Iterable[Harvest | Break]:
        """Yield the break that it is when the rows up to `end` were read and are not all there."""
        if self.is_broken or self._seq > end:
            return ()
        return self._break(self._seq, f"expected row {self._seq}, got rows far behind it: rows are missing")

    def finish(self) -> Iterable[Harvest]:
        """Yield the last segment."""
        current, self._open = self._open, None
        return (current.close(self.chain),) if current is not None and current.hashes else ()


def _claim(raw: str, successor: bytes) -> Predecessor | None:
    try:
        told = orjson.loads(raw)
        named = Predecessor(bytes.fromhex(told["chain"]), int(told["seq"]), bytes.fromhex(told["row_hash"]), successor)
        return named if told["relation"] == "restart" else None  # a fork's parent lives on
    except (ValueError, KeyError, TypeError):
        return None  # nothing to learn from; the row itself is sealed all the same


_EXACT = f"{EXACT}, query_plan_execute_functions_after_sorting = 0"
"""Hashing after the sort would carry every payload through it."""


def _rows(store: Store, page: Mapping[bytes, Stretch]) -> Generator[Sequence[Any]]:
    names = ", ".join(f"unhex('{chain.hex()}')" for chain in page)
    keys = ", ".join(f"'{chain.hex().upper()}'" for chain in page)
    firsts = ", ".join(str(first) for first, _ in page.values())
    lasts = ", ".join(str(last) for _, last in page.values())
    blocks = store.stream(
        "SELECT chain_id, seq, prev_hash, time_ns, env_hash, row_hash, toString(tenant), "
        "SHA256(concat('spanledger/env/v1\\0', env)) = env_hash, JSONExtractString(env, 'tenant') = tenant, "
        "JSONExtractString(env, 'event_type'), if(seq = 0, JSONExtractRaw(env, 'chain', 'predecessor'), '') "
        f"FROM rows WHERE chain_id IN ({names}) "
        f"AND seq >= transform(hex(chain_id), [{keys}], [{firsts}], toUInt64(0)) "
        f"AND seq <= transform(hex(chain_id), [{keys}], [{lasts}], toUInt64(0)) "
        f"ORDER BY chain_id, seq, row_hash {_EXACT}"
    )
    for block in blocks:
        yield from block
