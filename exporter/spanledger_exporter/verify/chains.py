"""The walk along the chains: every row's hashes, every link, every segment (ledger.md sections 2 and 6).

Rules
- Rows come ordered by (chain, seq, row hash). Every row is hashed, duplicates too; links are judged on the first row of
  each place, so that every verifier accuses the same places.
- The same (chain, seq) with one row hash is a retry and benign; with two it is equivocation.
- A chain starts at 0, with the genesis hash, and has no gaps; its time does not run backwards.
- A segment's root, head, times and tenant are computed again from the rows and compared with the log entry.
- The common path is one tight loop, because every row goes through it; whatever is not as expected leaves it for
  `_explain`, which may be slow and says what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from spanledger_exporter.ledger.log_entry import Segment
from spanledger_exporter.ledger.merkle import root_of_leaves
from spanledger_exporter.ledger.row import ENV_LABEL, ROW_LABEL, genesis_hash
from spanledger_exporter.verify.source import PackedRow, RowTuple, pack_row, unpack_row
from spanledger_exporter.verify.verdict import Findings

_ENV_START = sha256(ENV_LABEL)


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
    chains: dict[bytes, ChainFacts] = field(default_factory=dict[bytes, ChainFacts])
    _facts: ChainFacts | None = None
    _pending: list[Segment] = field(default_factory=list[Segment])
    _hashes: list[bytes] = field(default_factory=list[bytes])
    _times: list[bytes] = field(default_factory=list[bytes])
    _tenants: set[str] = field(default_factory=set[str])

    def feed(self, rows: Iterable[PackedRow]) -> None:
        """Judge one batch; rows continue where the last batch ended."""
        facts = self._facts or ChainFacts(b"")
        chain, expected, head = facts.chain, facts.last + 1, facts.head
        newest = facts.last_time.to_bytes(8, "big")  # big-endian bytes compare like the numbers that they are
        hashes, times, tenants = self._hashes, self._times, self._tenants
        segment_end = self._segment_end()
        start_env_hash, sha, row_label = _ENV_START.copy, sha256, ROW_LABEL
        keep_hash, keep_time, keep_tenant = hashes.append, times.append, tenants.add
        count = 0
        for fixed, env, tenant in rows:
            count += 1
            time = fixed[56:64]
            env_hash = start_env_hash()  # going on from the label spares the copy of a kilobyte that joining them takes
            env_hash.update(env)
            row_hash = sha(row_label + fixed[:96]).digest()
            if (
                fixed[64:] != env_hash.digest() + row_hash
                or fixed[:56] != chain + expected.to_bytes(8, "big") + head
                or time < newest
                or expected == segment_end
            ):
                self._store(facts, expected - 1, head, int.from_bytes(newest, "big"))
                facts = self._explain(facts, unpack_row((fixed, env, tenant)))
                chain, expected, head = facts.chain, facts.last + 1, facts.head
                newest, segment_end = facts.last_time.to_bytes(8, "big"), self._segment_end()
                continue
            expected, head, newest = expected + 1, row_hash, time
            keep_hash(row_hash)
            keep_time(time)
            keep_tenant(tenant)
        self._store(facts, expected - 1, head, int.from_bytes(newest, "big"))
        self.findings.count("integrity", rows=count)

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
        chain, seq, _, time_ns, env, _, row_hash, _ = row
        facts = ChainFacts(chain, head=genesis_hash(chain))
        if seq == 0:
            facts.first_time, facts.first_hash, facts.open_env = time_ns, row_hash, env
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
        self._hashes.clear()
        self._times.clear()
        self._tenants.clear()

    def _segment_end(self) -> int:
        return self._pending[-1].last if self._pending else -1

    def _explain(self, facts: ChainFacts, row: RowTuple) -> ChainFacts:
        """Judge a row that left the common path; return the facts to go on with."""
        chain, seq, prev_hash, time_ns, env, env_hash, row_hash, tenant = row
        findings = self.findings
        if chain != facts.chain:
            facts = self._begin(row)
        if sha256(ENV_LABEL + env).digest() != env_hash:
            findings.tampered("integrity", "the envelope's bytes do not hash to env_hash", chain=chain, seq=seq)
        # The header commits to the stored env_hash: with only the envelope edited, this second hash still holds.
        if sha256(ROW_LABEL + pack_row(row)[0][:96]).digest() != row_hash:
            findings.tampered("integrity", "the header does not hash to row_hash", chain=chain, seq=seq)
        if seq <= facts.last:
            if seq == facts.last and row_hash == facts.head:
                findings.count("integrity", duplicates=1)
            else:
                findings.tampered("integrity", "two rows claim this place in the chain", chain=chain, seq=seq)
            return facts
        if seq != facts.last + 1:
            first = facts.last + 1
            places = f"row {first} is" if seq - first == 1 else f"rows {first} to {seq - 1} are"
            findings.tampered("completeness", f"{places} missing", chain=chain, seq=first)
        elif prev_hash != facts.head:
            expected = "the genesis hash of its chain" if seq == 0 else "the hash of the row before"
            findings.tampered("integrity", f"prev_hash is not {expected}", chain=chain, seq=seq)
        if time_ns < facts.last_time:
            findings.tampered("time", "the row is older than the row before it", chain=chain, seq=seq)
        self._store(facts, seq, row_hash, time_ns)
        self._hashes.append(row_hash)
        self._times.append(time_ns.to_bytes(8, "big"))
        self._tenants.add(tenant)
        self._close_segments(facts)
        return facts

    def _close_segments(self, facts: ChainFacts) -> None:
        """Compare the segment that ends here (or before, when rows are missing) with its log entry."""
        while self._pending and self._pending[-1].last <= facts.last:
            segment = self._pending.pop()
            self._judge_segment(facts, segment)
            self._reset()

    def _judge_segment(self, facts: ChainFacts, segment: Segment) -> None:
        self.findings.count("integrity", segments=1)
        for reason in _differences(segment, facts.last, self._hashes, self._times, self._tenants):
            self.findings.tampered("integrity", reason, chain=facts.chain, seq=segment.first)


def _differences(
    segment: Segment, last: int, hashes: Sequence[bytes], times: Sequence[bytes], tenants: set[str]
) -> Iterator[str]:
    name = f"the sealed segment {segment.first} to {segment.last}"
    if last != segment.last or len(hashes) != segment.last - segment.first + 1:
        yield f"{name} does not consist of the rows that are there"
        return
    if hashes[-1] != segment.head or root_of_leaves(hashes) != segment.root:
        yield f"{name} was sealed over other row hashes"
    if tuple(int.from_bytes(time, "big") for time in (min(times), max(times))) != (segment.min_time, segment.max_time):
        yield f"{name} was sealed with other times"
    if tenants != {segment.tenant}:
        yield f"{name} was sealed for tenant {segment.tenant!r}, the rows say {', '.join(sorted(tenants))}"
