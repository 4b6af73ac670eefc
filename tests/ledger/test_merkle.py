"""Merkle trees: the published vectors of RFC 6962's reference code, and properties against the RFC's own recursion."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger import merkle

REFERENCE_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
REFERENCE_ROOTS = [
    bytes.fromhex(root)
    for root in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]


def naive_root(leaves: list[bytes]) -> bytes:
    """Return MTH(leaves), word for word as RFC 6962 section 2.1 defines it."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = largest_power_of_two_below(len(leaves))
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """Return PATH(m, D[n]) of RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = largest_power_of_two_below(len(leaves))
    if index < k:
        return [*naive_path(index, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(index - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(old_size: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    """Return SUBPROOF(m, D[n], b) of RFC 6962 section 2.1.2."""
    if old_size == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = largest_power_of_two_below(len(leaves))
    if old_size <= k:
        return [*naive_subproof(old_size, leaves[:k], whole=whole), naive_root(leaves[k:])]
    return [*naive_subproof(old_size - k, leaves[k:], whole=False), naive_root(leaves[:k])]


def largest_power_of_two_below(size: int) -> int:
    """Return the RFC's k."""
    k = 1
    while 2 * k < size:
        k *= 2
    return k


def trees(*, least: int = 1) -> st.SearchStrategy[list[bytes]]:
    """Generate lists of distinct leaves."""
    return st.integers(least, 70).map(lambda size: [b"leaf %d" % number for number in range(size)])


def test_the_hashes_of_single_leaves_and_nodes_match_the_published_ones() -> None:
    """Vectors of the reference hasher: the empty leaf, a leaf, a node."""
    assert merkle.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle.leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    node = merkle.node_hash(b"N123", b"N456")
    assert node.hex() == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"


@pytest.mark.parametrize("size", range(9))
def test_the_roots_of_the_eight_reference_leaves_match_the_published_ones(size: int) -> None:
    """Three ways to a root agree with the published one."""
    hashes = merkle.leaf_hashes(REFERENCE_LEAVES[:size])
    growing = merkle.CompactRange()
    growing.extend(hashes)
    assert merkle.root_of(hashes) == REFERENCE_ROOTS[size]
    assert merkle.Tree(hashes).root() == REFERENCE_ROOTS[size]
    assert growing.root() == REFERENCE_ROOTS[size]


def test_a_published_inclusion_path_comes_out_and_verifies() -> None:
    """The path of the first leaf among eight, as in the reference tests."""
    tree = merkle.Tree(merkle.leaf_hashes(REFERENCE_LEAVES))
    proof = tree.inclusion_proof(0)
    assert [node.hex() for node in proof] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    merkle.verify_inclusion(
        index=0, size=8, leaf=merkle.leaf_hash(REFERENCE_LEAVES[0]), proof=proof, root=REFERENCE_ROOTS[8]
    )


def test_a_published_consistency_proof_comes_out_and_verifies() -> None:
    """From six leaves to eight, as in the reference tests."""
    proof = merkle.Tree(merkle.leaf_hashes(REFERENCE_LEAVES)).consistency_proof(6)
    assert [node.hex() for node in proof] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    merkle.verify_consistency(old_size=6, size=8, old_root=REFERENCE_ROOTS[6], root=REFERENCE_ROOTS[8], proof=proof)


@given(trees(least=0))
def test_roots_equal_the_recursive_definition(leaves: list[bytes]) -> None:
    """Level by level, as a tree, as a growing range: always MTH."""
    hashes = merkle.leaf_hashes(leaves)
    growing = merkle.CompactRange()
    growing.extend(hashes)
    assert {merkle.root_of_leaves(leaves), merkle.Tree(hashes).root(), growing.root()} == {naive_root(leaves)}


@given(trees(), st.data())
def test_inclusion_proofs_equal_the_recursive_definition_and_verify(leaves: list[bytes], data: st.DataObject) -> None:
    """Any leaf, in any earlier size of the tree."""
    size = data.draw(st.integers(1, len(leaves)))
    index = data.draw(st.integers(0, size - 1))
    tree = merkle.Tree(merkle.leaf_hashes(leaves))
    proof = tree.inclusion_proof(index, size)
    assert proof == naive_path(index, leaves[:size])
    merkle.verify_inclusion(
        index=index, size=size, leaf=merkle.leaf_hash(leaves[index]), proof=proof, root=tree.root(size)
    )


@given(trees(), st.data())
def test_consistency_proofs_equal_the_recursive_definition_and_verify(leaves: list[bytes], data: st.DataObject) -> None:
    """From a whole tree, and from the peaks of the old tree plus the new leaves."""
    old_size = data.draw(st.integers(1, len(leaves)))
    hashes = merkle.leaf_hashes(leaves)
    old = merkle.CompactRange()
    old.extend(hashes[:old_size])
    proof = merkle.Tree(hashes).consistency_proof(old_size)
    assert proof == naive_subproof(old_size, leaves, whole=True)
    assert proof == old.consistency_proof(hashes[old_size:])
    merkle.verify_consistency(
        old_size=old_size, size=len(leaves), old_root=old.root(), root=merkle.root_of(hashes), proof=proof
    )


@given(trees(least=2), st.data())
def test_a_damaged_inclusion_proof_is_refused(leaves: list[bytes], data: st.DataObject) -> None:
    """One flipped bit, one hash more, one hash fewer, another index, another leaf."""
    index = data.draw(st.integers(0, len(leaves) - 1))
    tree = merkle.Tree(merkle.leaf_hashes(leaves))
    good = tree.inclusion_proof(index)
    leaf = merkle.leaf_hash(leaves[index])
    proof = data.draw(st.sampled_from(damaged(good)))
    with pytest.raises(ProofError):
        merkle.verify_inclusion(index=index, size=len(leaves), leaf=leaf, proof=proof, root=tree.root())
    with pytest.raises(ProofError):
        merkle.verify_inclusion(
            index=index, size=len(leaves), leaf=merkle.leaf_hash(b"other"), proof=good, root=tree.root()
        )


@given(trees(least=2), st.data())
def test_a_damaged_consistency_proof_is_refused(leaves: list[bytes], data: st.DataObject) -> None:
    """One flipped bit, one hash more, one hash fewer."""
    old_size = data.draw(st.integers(1, len(leaves) - 1))
    tree = merkle.Tree(merkle.leaf_hashes(leaves))
    proof = data.draw(st.sampled_from(damaged(tree.consistency_proof(old_size))))
    with pytest.raises(ProofError):
        merkle.verify_consistency(
            old_size=old_size, size=len(leaves), old_root=tree.root(old_size), root=tree.root(), proof=proof
        )


def damaged(proof: list[bytes]) -> list[list[bytes]]:
    """Return every simple damage of a proof."""
    flipped = [[*proof[:n], bytes([node[0] ^ 1]) + node[1:], *proof[n + 1 :]] for n, node in enumerate(proof)]
    return [*flipped, [*proof, b"\0" * 32], proof[:-1], [b"short", *proof[1:]]]


def test_consistency_from_the_empty_tree_is_refused_because_it_proves_nothing() -> None:
    """Size 0 is a caller's mistake in both directions."""
    tree = merkle.Tree(merkle.leaf_hashes(REFERENCE_LEAVES))
    with pytest.raises(ProofError, match="expected an old size from 1"):
        tree.consistency_proof(0)
    with pytest.raises(ProofError, match="above 0"):
        merkle.verify_consistency(old_size=0, size=8, old_root=merkle.EMPTY_ROOT, root=tree.root(), proof=())


def test_a_shrinking_log_and_two_roots_of_one_size_are_refused() -> None:
    """A smaller size is a truncation; equal sizes need equal roots and no proof."""
    with pytest.raises(ProofError, match="a log only grows"):
        merkle.verify_consistency(old_size=8, size=7, old_root=REFERENCE_ROOTS[8], root=REFERENCE_ROOTS[7], proof=())
    with pytest.raises(ProofError, match="expected equal roots at size 8"):
        merkle.verify_consistency(old_size=8, size=8, old_root=REFERENCE_ROOTS[8], root=REFERENCE_ROOTS[7], proof=())
    with pytest.raises(ProofError, match="expected an empty proof"):
        merkle.verify_consistency(
            old_size=8, size=8, old_root=REFERENCE_ROOTS[8], root=REFERENCE_ROOTS[8], proof=REFERENCE_ROOTS[:1]
        )


def test_sizes_and_indexes_outside_the_tree_are_refused() -> None:
    """No proof is made of what is not there."""
    tree = merkle.Tree(merkle.leaf_hashes(REFERENCE_LEAVES))
    for call in (
        lambda: tree.root(9),
        lambda: tree.inclusion_proof(8),
        lambda: tree.inclusion_proof(0, 9),
        lambda: tree.consistency_proof(1, 9),
        lambda: merkle.inclusion_ranges(-1, 8),
    ):
        with pytest.raises(ProofError):
            call()


def test_a_copied_range_grows_alone() -> None:
    """A sealer can try a batch on a copy and throw it away."""
    original = merkle.CompactRange()
    original.extend(merkle.leaf_hashes(REFERENCE_LEAVES[:3]))
    twin = original.copy()
    twin.append(merkle.leaf_hash(REFERENCE_LEAVES[3]))
    assert (original.size, original.root()) == (3, REFERENCE_ROOTS[3])
    assert (twin.size, twin.root()) == (4, REFERENCE_ROOTS[4])
    assert twin.peaks == (REFERENCE_ROOTS[4],)
