"""The proof of one row, from the row's hash to a signed checkpoint. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from spanledger_exporter.ledger.log_entry import Segment
from spanledger_exporter.ledger.merkle import Tree
from spanledger_exporter.ledger.sparse_tree import SparseTree
from spanledger_exporter.ledger.tlog_proof import TlogProof, format_tlog_proof


class SegmentTree:
    """A sealed segment with the tree over its row hashes, and the place of its entry in the log."""

    def __init__(self, segment: Segment, *, index: int, entry: bytes, leaf_hashes: Sequence[bytes]) -> None:
        self.segment = segment
        self.index = index
        self.entry = entry
        self._tree = Tree(leaf_hashes)

    def prove(self, seq: int, *, log: SparseTree, size: int, note: str) -> bytes:
        """Return the proof of row `seq` under the checkpoint of `size`, about 1 kB."""
        path = self._tree.inclusion_proof(seq - self.segment.first)
        extra = len(self.entry).to_bytes(4, "big") + self.entry + b"".join(path)
        hashes = tuple(log.inclusion_proof(self.index, size))
        return format_tlog_proof(TlogProof(self.index, hashes, note, extra)).encode()
