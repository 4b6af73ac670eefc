"""The log and its checkpoints (ledger.md section 6), judged from the bytes of the entries alone.

Rules
- Indexes run from 0 without gaps; the same index twice is benign only with the same bytes; leaf hashes are computed.
- One pass computes the root at every size: a stored, anchored or quoted checkpoint that is a prefix of this log has
  exactly that root, so consistency is recomputed and never taken from a proof.
- Segments of a chain follow one another from row 0 on.
- Only entries below a signed checkpoint count as sealed, only entries below an anchored one as anchored. What a later
  entry says of the ledger (a prune, a definition of the tables) counts for nothing: anybody could have put it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.log_entry import LogEntry, Segment, as_segment, parse_entry
from spanledger_exporter.ledger.merkle import CompactRange, leaf_hash
from spanledger_exporter.verify.source import LogRow
from spanledger_exporter.verify.verdict import Findings

NEVER = 1 << 64
"""Later than any time that an entry can state."""


@dataclass(slots=True)
class LogView:
    """What the log says: entries in order, segments with the index they stand at, its root at every size."""

    size: int = 0
    segments: dict[bytes, list[Segment]] = field(default_factory=dict[bytes, list[Segment]])
    indexes: dict[tuple[bytes, int], int] = field(default_factory=dict[tuple[bytes, int], int])
    acts: list[tuple[int, LogEntry]] = field(default_factory=list[tuple[int, LogEntry]])
    roots: dict[int, bytes] = field(default_factory=dict[int, bytes])
    newest_times: list[int] = field(default_factory=list[int])

    def covered_through(self, chain: bytes, size: int) -> int:
        """Return the last row of `chain` that entries below `size` seal; -1 for none."""
        covered = [s.last for s in self.segments.get(chain, ()) if self.indexes[chain, s.first] < size]
        return max(covered, default=-1)

    def acts_below(self, size: int | None) -> list[LogEntry]:
        """Return what entries below `size` say besides segments; of every entry for None."""
        return [act for index, act in self.acts if size is None or index < size]

    def newest_time(self, size: int) -> int:
        """Return the newest row time that entries below `size` seal: the log of that size did not exist before it."""
        return self.newest_times[size - 1] if 0 < size <= len(self.newest_times) else 0


def review_log(rows: Iterable[LogRow], findings: Findings) -> LogView:
    """Read the log once, in order of its index."""
    view, tree = LogView(), CompactRange()
    times: list[int] = []
    sealed_by: list[int] = []
    previous: LogRow | None = None
    for row in rows:
        if previous is not None and row.index == previous.index:
            if row != previous:
                findings.tampered("integrity", f"two entries claim index {row.index} of the log")
            continue
        if row.index != view.size:
            missing = f"{view.size}" if row.index == view.size + 1 else f"{view.size} to {row.index - 1}"
            findings.tampered("completeness", f"entries {missing} of the log are missing")
        digest = leaf_hash(row.entry)
        if digest != row.leaf_hash:
            findings.tampered("integrity", f"entry {row.index} of the log does not hash to its leaf_hash")
        tree.append(digest)
        view.size = row.index + 1
        if tree.size == view.size:  # behind a gap no root means anything
            view.roots[tree.size] = tree.root()
        segment = _read_entry(row, view, findings)
        times.append(segment.max_time if segment else 0)
        is_act = bool(view.acts) and view.acts[-1][0] == row.index
        sealed_by.append(int(view.acts[-1][1].fields["time"]) if is_act else NEVER)
        previous = row
    view.newest_times = _newest_times(times, sealed_by)
    findings.count("integrity", log_entries=view.size)
    _review_segments(view, findings)
    return view


def _newest_times(times: Sequence[int], sealed_by: Sequence[int]) -> list[int]:
    """Return the newest row time under every size, as far as it is evidence of when that size existed.

    A row may claim a time to come. It was sealed before the sealer wrote a later entry: that entry's time is the most
    that it can prove. Otherwise one writer whose clock is ahead, or who lies, would make every later chain look
    backdated.
    """
    limits = list(accumulate(reversed(sealed_by), min))[::-1]
    return list(accumulate(map(min, times, limits), max))


def _read_entry(row: LogRow, view: LogView, findings: Findings) -> Segment | None:
    try:
        entry = parse_entry(row.entry)
        segment = as_segment(entry) if entry.type == "segment" else None
    except ProofError as error:
        findings.unverifiable("integrity", f"entry {row.index} of the log: {error}")
        return None
    if segment is None:
        view.acts.append((row.index, entry))
        return None
    view.segments.setdefault(segment.chain, []).append(segment)
    view.indexes[segment.chain, segment.first] = row.index
    return segment


def _review_segments(view: LogView, findings: Findings) -> None:
    for chain, segments in view.segments.items():
        expected = 0
        for segment in segments:
            if segment.first != expected:
                reason = f"expected the next sealed segment to begin at row {expected}, got {segment.first}"
                findings.tampered("integrity", reason, chain=chain, seq=expected)
            expected = segment.last + 1
        segments.sort(key=lambda segment: segment.first)
