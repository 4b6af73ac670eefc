"""The walk along the chains: every row's hashes, every link, every segment (ledger.md sections 2 and 6).

Rules
- Rows come ordered by (chain, seq, row hash). Every row is hashed, duplicates too; links are judged on the first row of
  each place, so that every verifier accuses the same places.
- The same (chain, seq) with one row hash is a retry and benign; with two it is equivocation.
- A chain starts at 0, with the genesis hash, and has no gaps; its time does not run backwards.
- A segment's root, head, times and tenant are computed again from the rows and compared with the log entry.
- A batch is hashed column by column, and its rows are judged a run at a time (`_holds`), because that takes a third of
  the time. A run that does not hold is judged again row by row (`_explain`), which may be slow and says what is wrong.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from spanledger_exporter.ledger.log_entry import Segment
from spanledger_exporter.ledger.merkle import HASH_SIZE, LEAF_PREFIX, NODE_PREFIX, leaf_hash, root_of_joined
from spanledger_exporter.ledger.prefixed_hashes import split
from spanledger_exporter.ledger.row import ROW_LABEL, env_hash, genesis_hash, row_hash
from spanledger_exporter.verify.column_hashes import ColumnHashes, HashlibHashes
from spanledger_exporter.verify.source import RowColumns, RowTuple
from spanledger_exporter.verify.verdict import Findings

MAX_SEQ = 2**64 - 1


@dataclass(slots=True)
class ChainFacts:
    """What the walk learnt of one chain."""

    chain: bytes
    last: int = -1
    head: bytes = b""
    last_time: int = 0
    first_time: int = 0
    first_hash: bytes = b""
    open_env: bytes = b""


@dataclass(slots=True)
class ChainWalk:
    """One pass over all rows. `segments` are the log's, by chain, in order of `first`."""

    findings: Findings
    segments: Mapping[bytes, Sequence[Segment]] = field(default_factory=dict[bytes, Sequence[Segment]])
    hashes: ColumnHashes = field(default_factory=HashlibHashes)
    chains: dict[bytes, ChainFacts] = field(default_factory=dict[bytes, ChainFacts])
    _facts: ChainFacts | None = None
    _pending: list[Segment] = field(default_factory=list[Segment])
    _leaves: bytearray = field(default_factory=bytearray)
    _times: list[bytes] = field(default_factory=list[bytes])
    _tenants: set[str] = field(default_factory=set[str])

    def feed(self, rows: RowColumns) -> None:
        """Judge one batch; rows continue where the last batch ended."""
        leaves = self.hashes.of_columns(LEAF_PREFIX, (rows.row_hashes, HASH_SIZE)) if self._are_hashed(rows) else b""
        start = 0
        while start < len(rows):
            stop = self._run_end(rows, start)
            if leaves and self._holds(rows, start, stop):
                self._leaves += leaves[HASH_SIZE * start : HASH_SIZE * stop]
                self._close_segments()
            else:
                stop = max(stop, start + 1)
                for at in range(start, stop):
                    self._explain(rows.row(at))
            start = stop
        self.findings.count("integrity", rows=len(rows))

    def _are_hashed(self, rows: RowColumns) -> bool:
        """Tell whether every envelope hashes to its env_hash, and every header to its row_hash."""
        if self.hashes.of_strings(rows.labelled_envs) != rows.env_hashes:
            return False
        header = (rows.chains, 16), (rows.seqs, 8), (rows.prev_hashes, 32), (rows.times, 8), (rows.env_hashes, 32)
        return self.hashes.of_columns(ROW_LABEL, *header) == rows.row_hashes

    def _run_end(self, rows: RowColumns, start: int) -> int:
        """Return the end of the rows from `start` that continue the chain, up to the end of the next segment."""
        facts = self._facts
        if facts is None or rows.chain(start) != facts.chain:
            return start
        stop = len(rows)
        if self._pending:
            stop = min(stop, start + self._pending[-1].last - facts.last)
        if rows.chain(stop - 1) == facts.chain:
            return stop
        return bisect_right(range(stop), facts.chain, lo=start + 1, key=rows.chain)

    def _holds(self, rows: RowColumns, start: int, stop: int) -> bool:
        """Tell whether every row of a run follows the one before it; then the run is taken into the chain's facts."""
        count, facts = stop - start, self._facts
        if facts is None or not count or facts.last + count > MAX_SEQ:
            return False
        stored = rows.row_hashes[32 * start : 32 * stop]
        if (
            rows.chains[16 * start : 16 * stop] != facts.chain * count
            or rows.seqs[8 * start : 8 * stop]
            != struct.pack(f">{count}Q", *range(facts.last + 1, facts.last + 1 + count))
            or rows.prev_hashes[32 * start : 32 * stop] != facts.head + stored[:-32]
        ):
            return False
        times = split(rows.times[8 * start : 8 * stop], 8)  # big-endian bytes compare like the numbers that they are
        if times[0] < facts.last_time.to_bytes(8, "big") or times != sorted(times):
            return False
        self._store(facts, facts.last + count, stored[-32:], int.from_bytes(times[-1], "big"))
        self._times += times[0], times[-1]
        self._tenants.update(rows.tenants[start:stop])
        return True

    def finish(self) -> None:
        """End the last chain, and name every segment whose chain has no rows at all."""
        self._end_chain()
        self._facts = None
        for chain, segments in self.segments.items():
            if chain not in self.chains:
                self._missing(chain, segments[0].first, segments[-1].last)
        self.findings.count("completeness", chains=len(self.chains))

    def _store(self, facts: ChainFacts, last: int, head: bytes, newest: int) -> None:
        facts.last, facts.head, facts.last_time = last, head, newest

    def _begin(self, row: RowTuple) -> ChainFacts:
        self._end_chain()
        chain, seq, _, time_ns, env, _, link, _ = row
        facts = ChainFacts(chain, head=genesis_hash(chain))
        if seq == 0:
            facts.first_time, facts.first_hash, facts.open_env = time_ns, link, env
        self.chains[chain] = self._facts = facts
        self._pending = sorted(self.segments.get(chain, ()), key=lambda segment: segment.first, reverse=True)
        self._reset()
        return facts

    def _end_chain(self) -> None:
        """Name what the log has sealed and the rows do not reach: a truncated tail."""
        facts = self._facts
        if facts is not None and self._pending:
            self._missing(facts.chain, max(facts.last + 1, self._pending[-1].first), self._pending[0].last)
            self._pending = []

    def _missing(self, chain: bytes, first: int, last: int) -> None:
        places = f"row {first} is" if first == last else f"rows {first} to {last} are"
        self.findings.tampered("completeness", f"{places} sealed in the log and missing", chain=chain, seq=first)

    def _reset(self) -> None:
        self._leaves.clear()
        self._times.clear()
        self._tenants.clear()

    def _explain(self, row: RowTuple) -> None:
        """Judge one row by itself, and say what is wrong with it."""
        chain, seq, prev_hash, time_ns, env, digest, link, tenant = row
        findings, facts = self.findings, self._facts
        if facts is None or chain != facts.chain:
            facts = self._begin(row)
        if env_hash(env) != digest:
            findings.tampered("integrity", "the envelope's bytes do not hash to env_hash", chain=chain, seq=seq)
        # The header commits to the stored env_hash: with only the envelope edited, this second hash still holds.
        if row_hash(chain_id=chain, seq=seq, prev_hash=prev_hash, time_ns=time_ns, env_hash=digest) != link:
            findings.tampered("integrity", "the header does not hash to row_hash", chain=chain, seq=seq)
        if seq <= facts.last:
            if seq == facts.last and link == facts.head:
                findings.count("integrity", duplicates=1)
            else:
                findings.tampered("integrity", "two rows claim this place in the chain", chain=chain, seq=seq)
            return
        if seq != facts.last + 1:
            first = facts.last + 1
            places = f"row {first} is" if seq - first == 1 else f"rows {first} to {seq - 1} are"
            findings.tampered("completeness", f"{places} missing", chain=chain, seq=first)
        elif prev_hash != facts.head:
            expected = "the genesis hash of its chain" if seq == 0 else "the hash of the row before"
            findings.tampered("integrity", f"prev_hash is not {expected}", chain=chain, seq=seq)
        if time_ns < facts.last_time:
            findings.tampered("time", "the row is older than the row before it", chain=chain, seq=seq)
        self._store(facts, seq, link, time_ns)
        self._leaves += leaf_hash(link)
        self._times.append(time_ns.to_bytes(8, "big"))
        self._tenants.add(tenant)
        self._close_segments()

    def _close_segments(self) -> None:
        """Compare the segment that ends here (or before, when rows are missing) with its log entry."""
        facts = self._facts
        while facts is not None and self._pending and self._pending[-1].last <= facts.last:
            segment = self._pending.pop()
            self._judge_segment(facts, segment)
            self._reset()

    def _judge_segment(self, facts: ChainFacts, segment: Segment) -> None:
        self.findings.count("integrity", segments=1)
        for reason in self._differences(facts, segment):
            self.findings.tampered("integrity", reason, chain=facts.chain, seq=segment.first)

    def _differences(self, facts: ChainFacts, segment: Segment) -> Iterator[str]:
        name = f"the sealed segment {segment.first} to {segment.last}"
        if facts.last != segment.last or len(self._leaves) != HASH_SIZE * (segment.last - segment.first + 1):
            yield f"{name} does not consist of the rows that are there"
            return
        if facts.head != segment.head or self._root() != segment.root:
            yield f"{name} was sealed over other row hashes"
        oldest, newest = (int.from_bytes(time, "big") for time in (min(self._times), max(self._times)))
        if (oldest, newest) != (segment.min_time, segment.max_time):
            yield f"{name} was sealed with other times"
        if self._tenants != {segment.tenant}:
            yield f"{name} was sealed for tenant {segment.tenant!r}, the rows say {', '.join(sorted(self._tenants))}"

    def _root(self) -> bytes:
        return root_of_joined(
            bytes(self._leaves), lambda pairs: self.hashes.of_columns(NODE_PREFIX, (pairs, 2 * HASH_SIZE))
        )
