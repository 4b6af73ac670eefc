"""Proofs from a tree of which only some leaves are held are those of the whole tree."""

from __future__ import annotations

import tracemalloc

import pytest

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.merkle import Tree, leaf_hash
from spanledger_exporter.ledger.sparse_tree import BLOCK, SparseTree


@pytest.mark.parametrize("size", [1, 2, 7, BLOCK, BLOCK + 1, 3 * BLOCK - 1, 3 * BLOCK, 5 * BLOCK + 700])
def test_proofs_are_those_of_the_whole_tree(size: int) -> None:
    """At the edges of blocks and of the tree, for one leaf and for several, in the newest tree and in an older one."""
    leaves = [leaf_hash(number.to_bytes(4, "big")) for number in range(size)]
    tree = Tree(leaves)
    indexes = {0, 1, BLOCK - 1, BLOCK, 2 * BLOCK + 5, size // 2, size - 2, size - 1}
    wanted = sorted(index for index in indexes if 0 <= index < size)
    sizes = {size, size - size // 3}
    pages = [b"".join(leaves[:300]), b"", b"".join(leaves[300:])]
    together = SparseTree(iter(pages), wanted=wanted, sizes=sizes)
    for index in wanted:
        alone = SparseTree([b"".join(leaves)], wanted=[index], sizes=[size])
        assert alone.inclusion_proof(index, size) == tree.inclusion_proof(index)
        for older in (other for other in sizes if index < other):
            assert together.inclusion_proof(index, older) == tree.inclusion_proof(index, older)


def test_a_log_of_millions_is_never_held() -> None:
    """It would be hundreds of megabytes as Python objects; a block and a root per block are enough."""
    size = 300_000
    tracemalloc.start()
    passing = (number.to_bytes(32, "big") for number in range(size))
    hashes = SparseTree(passing, wanted=[123_456], sizes=[size]).inclusion_proof(123_456, size)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert hashes == Tree(number.to_bytes(32, "big") for number in range(size)).inclusion_proof(123_456)
    assert peak_bytes < 20_000_000  # the leaves alone, in a list, are 22 MB; the blocks that are remembered, 10 MB


def test_a_log_that_is_too_short_gives_no_proof() -> None:
    """Its tail was cut: what is left cannot lead to the checkpoint's root."""
    with pytest.raises(ProofError, match="at least 9 entries, got 8"):
        SparseTree([bytes(32)] * 8, wanted=[3], sizes=[9]).inclusion_proof(3, 9)
