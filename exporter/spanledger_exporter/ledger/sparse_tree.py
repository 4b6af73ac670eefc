"""A Merkle tree of which only some leaves are held, for proofs out of a log that is too long to be. Pure.

Leaf hashes pass by once, in blocks. Of most blocks the root is kept; leaves are kept where a proof begins, and where a
tree ends: memory for a log of ten millions is that of ten thousand leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.merkle import HASH_SIZE, inclusion_ranges, root_of, root_of_joined

BLOCK: Final = 1_024
"""Leaves whose root is kept in place of them; a power of two."""


class SparseTree:
    """Makes the proofs of the leaves `wanted` in the trees of `sizes`, and of their neighbours within a block."""

    __slots__ = ("_blocks", "_leaves", "size")

    def __init__(self, pages: Iterable[bytes], *, wanted: Iterable[int], sizes: Iterable[int]) -> None:
        """Take the leaf hashes in order, 32 bytes each, as many to a page as there are."""
        kept = {place // BLOCK for place in (*wanted, *sizes)}
        self.size = 0
        self._blocks: list[bytes] = []
        self._leaves: dict[int, bytes] = {}
        for block in _blocks(pages):
            if len(self._blocks) in kept:
                self._leaves[len(self._blocks)] = block
            self._blocks.append(_block_root(block))
            self.size += len(block) // HASH_SIZE

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the hashes from the leaf's sibling up to the root's child, in the tree of `size` leaves."""
        if size > self.size:
            raise ProofError(f"expected a log of at least {size} entries, got {self.size}")
        return [self._range_root(start, end) for start, end in inclusion_ranges(index, size)]

    def _range_root(self, start: int, end: int) -> bytes:
        """Return the root over a node's leaves. It begins at a multiple of its width: a narrow one is in one block."""
        if end - start < BLOCK:
            return self._part_root(start, end)
        roots = self._blocks[start // BLOCK : end // BLOCK]
        if end % BLOCK:
            roots.append(self._part_root(end - end % BLOCK, end))
        return root_of(roots)

    def _part_root(self, start: int, end: int) -> bytes:
        first = start - start % BLOCK
        leaves = self._leaves[start // BLOCK]
        return root_of_joined(leaves[(start - first) * HASH_SIZE : (end - first) * HASH_SIZE])


def _blocks(pages: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pages cut anew: BLOCK hashes each, and what is left in the last one."""
    whole, rest = BLOCK * HASH_SIZE, b""
    for page in pages:
        joined = rest + page
        end = len(joined) - len(joined) % whole
        for start in range(0, end, whole):
            yield joined[start : start + whole]
        rest = joined[end:]
    if rest:
        yield rest


@lru_cache(maxsize=1_024)  # 32 MiB
def _block_root(block: bytes) -> bytes:
    """Return the root over leaf hashes, 32 bytes each. Remembered by what they are: a log only grows."""
    return root_of_joined(block)
