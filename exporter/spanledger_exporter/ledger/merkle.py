"""Merkle trees of RFC 6962 section 2: roots, proofs, and their verification. Pure.

Rules
- `leaf_hash = SHA256(0x00 || leaf)`, `node_hash = SHA256(0x01 || left || right)`, no padding; the empty tree's root is
  `SHA256("")`. Every hash is 32 raw bytes.
- A split is at the largest power of two below the size, so every left subtree is perfect.
- Proofs are first described as ranges of leaves and only then filled with hashes; whoever knows the hash of a range
  (a whole tree, or the peaks of an old tree plus the new leaves) can make the proof.
- Verification follows RFC 9162 sections 2.1.3.2 and 2.1.4.2. A consistency proof from size 0 proves nothing and is
  refused. A proof that is too long, too short or of wrong shape raises ProofError like a wrong hash does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from operator import add

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.prefixed_hashes import prefixed_hashes, split

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()

LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"

LeafRange = tuple[int, int]
"""Leaves `start` (included) to `end` (excluded)."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of one leaf's data."""
    return sha256(LEAF_PREFIX + leaf).digest()


def leaf_hashes(leaves: Iterable[bytes]) -> list[bytes]:
    """Return the hash of every leaf; the bulk form of `leaf_hash`."""
    return prefixed_hashes(LEAF_PREFIX, leaves)


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(NODE_PREFIX + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    return root_of_joined(b"".join(hashes))


def _nodes(children: bytes) -> bytes:
    return b"".join(prefixed_hashes(NODE_PREFIX, split(children, 2 * HASH_SIZE)))


def root_of_joined(hashes: bytes, nodes: Callable[[bytes], bytes] = _nodes) -> bytes:
    """Return the root over leaf hashes that stand behind each other.

    `nodes` returns the hashes of inner nodes, given the hashes of their children; both behind each other.
    """
    if not hashes:
        return EMPTY_ROOT
    while len(hashes) > HASH_SIZE:
        paired = len(hashes) // (2 * HASH_SIZE) * 2 * HASH_SIZE
        hashes = nodes(hashes[:paired]) + hashes[paired:]  # the right edge rises unchanged: RFC 6962 pads nothing
    return hashes


def root_of_leaves(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf data (a segment's row hashes, for instance)."""
    return root_of(leaf_hashes(leaves))


def _parents(level: Sequence[bytes]) -> list[bytes]:
    return prefixed_hashes(NODE_PREFIX, map(add, level[::2], level[1::2]))  # an odd last one has no sibling


class Tree:
    """A tree whose leaf hashes are all at hand: every proof in O(log² n)."""

    __slots__ = ("_levels",)

    def __init__(self, hashes: Iterable[bytes]) -> None:
        # _levels[k][i] is the root of the perfect subtree over leaves i·2^k to (i+1)·2^k.
        self._levels = [list(hashes)]
        while len(self._levels[-1]) > 1:
            self._levels.append(_parents(self._levels[-1]))

    @property
    def size(self) -> int:
        """Count the leaves."""
        return len(self._levels[0])

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the tree as it was at `size` leaves."""
        size = self.size if size is None else size
        _expect(0 <= size <= self.size, f"expected a size from 0 to {self.size}, got {size}")
        return self.range_root(0, size) if size else EMPTY_ROOT

    def range_root(self, start: int, end: int) -> bytes:
        """Return the root over leaves `start` to `end`, a node of this tree or a right edge of an older one."""
        width = end - start
        if width & (width - 1) == 0 and start % width == 0:
            return self._levels[width.bit_length() - 1][start // width]
        middle = start + _split(width)
        return node_hash(self.range_root(start, middle), self.range_root(middle, end))

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the hashes from the leaf's sibling up to the root's child, in the tree of `size` leaves."""
        size = self.size if size is None else size
        _expect(size <= self.size, f"expected a size up to {self.size}, got {size}")
        return [self.range_root(*leaves) for leaves in inclusion_ranges(index, size)]

    def consistency_proof(self, old_size: int, size: int | None = None) -> list[bytes]:
        """Return the proof that the tree of `size` leaves extends the tree of `old_size`."""
        size = self.size if size is None else size
        _expect(size <= self.size, f"expected a size up to {self.size}, got {size}")
        return [self.range_root(*leaves) for leaves in consistency_ranges(old_size, size)]


class CompactRange:
    """The right edge of a growing tree: its size and the roots of its perfect subtrees, widest first.

    This is all a log writer has to keep; it can always be computed again from the leaf hashes.
    """

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """Return the roots of the perfect subtrees, widest first."""
        return tuple(self._peaks)

    def copy(self) -> CompactRange:
        """Return an independent copy."""
        twin = CompactRange()
        twin.size, twin._peaks = self.size, list(self._peaks)
        return twin

    def append(self, hash_of_leaf: bytes) -> None:
        """Add one leaf hash: a binary counter whose carries are node hashes."""
        carry, bits = hash_of_leaf, self.size
        while bits & 1:
            carry = node_hash(self._peaks.pop(), carry)
            bits >>= 1
        self._peaks.append(carry)
        self.size += 1

    def extend(self, hashes: Iterable[bytes]) -> None:
        """Add leaf hashes in order."""
        for hash_of_leaf in hashes:
            self.append(hash_of_leaf)

    def root(self) -> bytes:
        """Return the root of the tree so far."""
        if not self._peaks:
            return EMPTY_ROOT
        result = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            result = node_hash(peak, result)
        return result

    def consistency_proof(self, new_hashes: Sequence[bytes]) -> list[bytes]:
        """Return the proof that this tree followed by `new_hashes` extends this tree.

        Old nodes in such a proof are exactly this tree's peaks; every other node covers new leaves only.
        """
        peaks = self._peaks_by_range()

        def range_root(start: int, end: int) -> bytes:
            peak = peaks.get((start, end))
            return root_of(new_hashes[start - self.size : end - self.size]) if peak is None else peak

        return [range_root(*leaves) for leaves in consistency_ranges(self.size, self.size + len(new_hashes))]

    def _peaks_by_range(self) -> dict[LeafRange, bytes]:
        ranges: dict[LeafRange, bytes] = {}
        start = 0
        for peak in self._peaks:
            width = 1 << ((self.size - start).bit_length() - 1)
            ranges[start, start + width] = peak
            start += width
        return ranges


def inclusion_ranges(index: int, size: int) -> list[LeafRange]:
    """Return the leaf ranges whose roots prove leaf `index` in a tree of `size`, sibling first (RFC 6962 2.1.1)."""
    _expect(0 <= index < size, f"expected a leaf index from 0 to {size - 1}, got {index}")
    ranges: list[LeafRange] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(old_size: int, size: int) -> list[LeafRange]:
    """Return the leaf ranges whose roots prove that a tree of `size` extends one of `old_size` (RFC 6962 2.1.2)."""
    _expect(0 < old_size <= size, f"expected an old size from 1 to {size}, got {old_size}")
    ranges: list[LeafRange] = []
    start, end = 0, size
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:  # at 0 the old tree is itself a subtree of the new one: the verifier has its root already
        ranges.append((start, end))
    return ranges[::-1]


def verify_inclusion(*, index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf with hash `leaf` stands at `index` of the tree with `size` and `root`.

    Raises ProofError if it does not follow from `proof`.
    """
    _expect(0 <= index < size, f"expected a leaf index below the tree size {size}, got {index}")
    _expect_hashes((leaf, root, *proof))
    number, last, result = index, size - 1, leaf
    for sibling in proof:
        _expect(last > 0, "expected a shorter inclusion proof: hashes are left over at the root")
        if number & 1 or number == last:
            result = node_hash(sibling, result)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        number, last = number >> 1, last >> 1
    _expect(last == 0, "expected a longer inclusion proof: it ends below the root")
    _expect(result == root, f"expected the proof to lead to root {root.hex()}, got {result.hex()}")


def verify_consistency(*, old_size: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree with `size` and `root` extends the tree with `old_size` and `old_root`.

    Raises ProofError if it does not follow from `proof`, and always for an old size of 0.
    """
    _expect(old_size > 0, "expected an old size above 0: every tree extends the empty one, so this would prove nothing")
    _expect(old_size <= size, f"expected a size of at least {old_size}, got {size}: a log only grows")
    _expect_hashes((old_root, root, *proof))
    if old_size == size:
        _expect(not proof, f"expected an empty proof between equal sizes, got {len(proof)} hashes")
        _expect(old_root == root, f"expected equal roots at size {size}, got {old_root.hex()} and {root.hex()}")
        return
    _expect(bool(proof), "expected at least one hash in a consistency proof between different sizes, got none")
    old_result, result = _climb(old_size, size, proof if old_size & (old_size - 1) else (old_root, *proof))
    _expect(old_result == old_root, f"expected the proof to lead to the old root {old_root.hex()}, got another")
    _expect(result == root, f"expected the proof to lead to the new root {root.hex()}, got another")


def _climb(old_size: int, size: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    number, last = old_size - 1, size - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    old_result = result = path[0]
    for node in path[1:]:
        _expect(last > 0, "expected a shorter consistency proof: hashes are left over at the root")
        if number & 1 or number == last:
            old_result, result = node_hash(node, old_result), node_hash(node, result)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            result = node_hash(result, node)
        number, last = number >> 1, last >> 1
    _expect(last == 0, "expected a longer consistency proof: it ends below the root")
    return old_result, result


def _split(width: int) -> int:
    """Return the largest power of two below `width`."""
    return 1 << ((width - 1).bit_length() - 1)


def _expect_hashes(hashes: Iterable[bytes]) -> None:
    for value in hashes:
        _expect(len(value) == HASH_SIZE, f"expected hashes of {HASH_SIZE} bytes, got one of {len(value)}")


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise ProofError(message)
