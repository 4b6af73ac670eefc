"""How fast the Merkle core is on one core: leaf hashes, roots, proofs. Target: 1 M leaf hashes per second.

`python tests/benchmarks/merkle.py [leaves]`. The peer is the plainest loop over hashlib, in the same run.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable
from hashlib import sha256

from spanledger_exporter.ledger import merkle

ROUNDS = 5


def main() -> None:
    """Print medians of five rounds."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    leaves = [number.to_bytes(32) for number in range(count)]
    hashes = merkle.leaf_hashes(leaves)
    tree = merkle.Tree(hashes)
    root = tree.root()
    proof = tree.inclusion_proof(count // 2)
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {count} leaves")
    report("leaf hashes", count, lambda: merkle.leaf_hashes(leaves))
    report("plain hashlib loop (peer)", count, lambda: plain_loop(leaves))
    report("root over leaf hashes", count, lambda: merkle.root_of(hashes))
    report("compact range, appended one by one", count, lambda: merkle.CompactRange().extend(hashes))
    report("whole tree with all levels", count, lambda: merkle.Tree(hashes))
    report("inclusion proofs made", 2_000, lambda: [tree.inclusion_proof(index) for index in range(2_000)])

    def verify_many() -> None:
        for _ in range(2_000):
            merkle.verify_inclusion(index=count // 2, size=count, leaf=hashes[count // 2], proof=proof, root=root)

    report("inclusion proofs verified", 2_000, verify_many)


def plain_loop(leaves: list[bytes]) -> list[bytes]:
    """Hash the leaves the way one writes it down first."""
    result: list[bytes] = []
    for leaf in leaves:
        digest = sha256()
        digest.update(b"\x00")
        digest.update(leaf)
        result.append(digest.digest())
    return result


def report(name: str, count: int, work: Callable[[], object]) -> None:
    """Time `work` and print the median rate."""
    seconds: list[float] = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    print(f"{name:<40}{count / statistics.median(seconds):>14,.0f} /s")


if __name__ == "__main__":
    main()
