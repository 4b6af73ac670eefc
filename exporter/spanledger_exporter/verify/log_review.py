"""The log and its checkpoints (ledger.md section 6), judged from the bytes of the entries alone.

Rules
- Indexes run from 0 without gaps; the same index twice is benign only with the same bytes; leaf hashes are computed.
- One pass computes the root at every size: a stored, anchored or quoted checkpoint that is a prefix of this log has
  exactly that root, so consistency is recomputed and never taken from a proof.
- Segments of a chain follow one another from row 0 on.
- Only entries below a signed checkpoint count as sealed, only entries below an anchored one as anchored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.log_entry import LogEntry, Segment, as_segment, parse_entry
from spanledger_exporter.ledger.merkle import CompactRange, leaf_hash
from spanledger_exporter.verify.source import LogRow
from spanledger_exporter.verify.verdict import Findings


@dataclass(slots=True)
class LogView:
    """What the log says: entries in order, segments with the index they stand at, its root at every size."""

    size: int = 0
    segments: dict[bytes, list[Segment]] = field(default_factory=dict[bytes, list[Segment]])
    indexes: dict[tuple[bytes, int], int] = field(default_factory=dict[tuple[bytes, int], int])
    acts: list[LogEntry] = field(default_factory=list[LogEntry])
    roots: dict[int, bytes] = field(default_factory=dict[int, bytes])
    newest_times: list[int] = field(default_factory=list[int])

    def covered_through(self, chain: bytes, size: int) -> int:
        """Return the last row of `chain` that entries below `size` seal; -1 for none."""
        covered = [s.last for s in self.segments.get(chain, ()) if self.indexes[chain, s.first] < size]
        return max(covered, default=-1)

    def newest_time(self, size: int) -> int:
        """Return the newest row time that entries below `size` seal: the log of that size did not exist before it."""
        return self.newest_times[size - 1] if 0 < size <= len(self.newest_times) else 0


def review_log(rows: Iterable[LogRow], findings: Findings) -> LogView:
    """Read the log once, in order of its index."""
    view, tree = LogView(), CompactRange()
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
        newest = view.newest_times[-1] if view.newest_times else 0
        segment = _read_entry(row, view, findings)
        view.newest_times.append(max(newest, segment.max_time if segment else 0))
        previous = row
    findings.count("integrity", log_entries=view.size)
    _review_segments(view, findings)
    return view


def _read_entry(row: LogRow, view: LogView, findings: Findings) -> Segment | None:
    try:
        entry = parse_entry(row.entry)
        segment = as_segment(entry) if entry.type == "segment" else None
    except ProofError as error:
        findings.unverifiable("integrity", f"entry {row.index} of the log: {error}")
        return None
    if segment is None:
        view.acts.append(entry)
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
