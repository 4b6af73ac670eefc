"""What the log says so far: the newest checkpoint, the tree under it, and how far each chain is sealed.

Rules
- The newest checkpoint counts only if its signature holds under the trust root.
- The log's entries under it must hash to its root, without a gap and without a second entry at one index.
- Entries beyond it are *pending*: a sealer inserted them and died before it signed. They are handed to the caller, who
  proves each of them again before signing, because anybody who can write to the store could have put them there.
- A row that is there twice, identical, is a retry and counts once.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import dataclass, field
from typing import Any

import orjson

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.chain_registry import ChainOpening
from spanledger_exporter.ledger.checkpoint import SignedCheckpoint
from spanledger_exporter.ledger.merkle import CompactRange, Tree, leaf_hash
from spanledger_exporter.ledger.trust_root import TrustRoot, open_trusted_checkpoint
from spanledger_exporter.seal.errors import SealRefusedError
from spanledger_exporter.store.connection import Store

EXACT = "SETTINGS use_query_condition_cache = 0, optimize_use_projections = 0"
"""The cache answered "0 bad rows" after a part was swapped on disk (ledger.md 9); a projection may be out of date."""


@dataclass(slots=True)
class ChainPosition:
    """How far one chain is sealed. `head` is the hash of row `next_seq - 1`, `head_time` its time."""

    next_seq: int = 0
    head: bytes = b""
    head_time: int = 0
    ended: str = ""


@dataclass(slots=True)
class LogState:
    """The log up to the newest checkpoint, and what lies beyond it."""

    tree: CompactRange = field(default_factory=CompactRange)
    checkpoint: SignedCheckpoint | None = None
    chains: dict[bytes, ChainPosition] = field(default_factory=dict[bytes, ChainPosition])
    schema_fingerprint: str = ""
    last_time: int = 0
    openings: list[tuple[int, ChainOpening]] = field(default_factory=list[tuple[int, ChainOpening]])
    pending: list[bytes] = field(default_factory=list[bytes])
    roots: dict[int, bytes] = field(default_factory=dict[int, bytes])
    _row_zero: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])

    @property
    def size(self) -> int:
        """Count the entries under the newest checkpoint."""
        return self.tree.size

    def append(self, entry: bytes) -> None:
        """Add an entry, proved or signed for, and take note of what it says about its chain."""
        fields = orjson.loads(entry)
        kind = fields["type"]
        if kind == "segment":
            self._apply_segment(fields)
        elif kind == "chain-open":
            self._row_zero[bytes.fromhex(fields["chain"])] = bytes.fromhex(fields["row_hash"])
        elif kind in ("chain-close", "chain-abandoned"):
            self.chains.setdefault(bytes.fromhex(fields["chain"]), ChainPosition()).ended = kind
        elif kind == "schema":
            self.schema_fingerprint = fields["fingerprint"]
        self.last_time = max(self.last_time, int(fields.get("time", 0)))
        self.tree.append(leaf_hash(entry))

    def _apply_segment(self, fields: dict[str, Any]) -> None:
        chain = bytes.fromhex(fields["chain"])
        self.chains[chain] = ChainPosition(
            int(fields["last"]) + 1, bytes.fromhex(fields["head"]), int(fields["max_time"])
        )
        row_hash = self._row_zero.pop(chain, None)
        if row_hash is not None:
            self.openings.append((self.tree.size, ChainOpening(chain, row_hash, int(fields["min_time"]))))


def load_log(
    store: Store, root: TrustRoot, *, roots_at: Collection[int] = (), known: LogState | None = None
) -> LogState:
    """Read the log and prove it against its newest checkpoint; `roots_at` are sizes whose roots the caller wants.

    `known` is what an earlier call or seal in this process left: what it proved is not read again.
    Raises SealRefusedError that says what contradicts what.
    """
    newest = newest_checkpoint(store, root)
    size = newest.checkpoint.size if newest else 0
    state = LogState()
    # A seal that failed half-way leaves a tree that is ahead of its checkpoint: that is not knowledge.
    is_useful = known is not None and known.checkpoint == newest and known.size == size
    if known is not None and is_useful and all(at == size for at in roots_at):
        state, state.pending, state.roots = known, [], {}
    state.checkpoint = newest
    for index, entry in stream_entries(store, start=state.size):
        if index in roots_at and index <= size:
            state.roots[index] = state.tree.root()
        if index < size:
            _take(state, index, entry)
        else:
            state.pending.append(entry)
    if size in roots_at:
        state.roots[size] = state.tree.root()
    _expect_root(state, size)
    return state


def _take(state: LogState, index: int, entry: bytes) -> None:
    """Add an entry that a checkpoint is said to be over: whether it is, its root tells at the end."""
    try:
        state.append(entry)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SealRefusedError(
            f"expected an entry of ours at log index {index}, got {entry[:60]!r}: an entry was changed; restore the "
            "table `log` from a backup"
        ) from error


def _expect_root(state: LogState, size: int) -> None:
    if state.tree.size != size:
        raise SealRefusedError(
            f"expected {size} log entries under the newest checkpoint, got {state.tree.size}: the log lost its tail; "
            "restore the table `log` from a backup and seal again"
        )
    if state.checkpoint is not None and state.tree.root() != state.checkpoint.checkpoint.root:
        raise SealRefusedError(
            f"expected the {size} log entries to hash to the newest checkpoint's root, got another: an entry was "
            "changed; `spanledger verify` says which, then restore the table `log` from a backup"
        )


def newest_checkpoint(store: Store, root: TrustRoot) -> SignedCheckpoint | None:
    """Return the newest stored checkpoint, verified; None for a log that has none.

    Raises SealRefusedError for a forged one, and for two of the same size that disagree.
    """
    found = store.query(
        "SELECT DISTINCT note, size FROM checkpoints WHERE size = (SELECT max(size) FROM checkpoints) ORDER BY note"
    )
    opened = [_open(note, size, root) for note, size in found]
    if len({signed.checkpoint for signed in opened}) > 1:
        raise SealRefusedError(
            f"expected one checkpoint of size {found[0][1]}, got {len(opened)} that disagree: two histories were signed"
        )
    return opened[0] if opened else None


def _open(note: str, size: int, root: TrustRoot) -> SignedCheckpoint:
    try:
        signed = open_trusted_checkpoint(note, root)
    except ProofError as error:
        raise SealRefusedError(f"expected a good newest checkpoint (size {size}), got: {error}") from error
    if signed.checkpoint.size != size:
        raise SealRefusedError(f"expected a note of size {size} in that row, got one of {signed.checkpoint.size}")
    return signed


def stream_entries(store: Store, *, start: int = 0) -> Generator[tuple[int, bytes]]:
    """Yield index and entry of every log row from `start` on, in order, each once.

    Raises SealRefusedError for a gap or a fork.
    """
    expected, previous = start, b""
    blocks = store.stream(
        f"SELECT index, entry, leaf_hash FROM log WHERE index >= {start} ORDER BY index, entry {EXACT}",
        binary=["entry"],
    )
    for block in blocks:
        for index, entry, stored_hash in block:
            if index == expected - 1 and entry == previous:
                continue  # a retried insert
            _expect_row(index, expected, entry, stored_hash)
            yield index, entry
            expected, previous = expected + 1, entry


def _expect_row(index: int, expected: int, entry: bytes, stored_hash: Any) -> None:
    if index < expected:
        raise SealRefusedError(f"expected one entry at log index {index}, got two that differ")
    if index > expected:
        raise SealRefusedError(f"expected log index {expected}, got {index}: entries are missing between")
    if stored_hash != leaf_hash(entry):
        raise SealRefusedError(f"expected leaf_hash to be the hash of the entry at log index {index}, got another")


def read_tree(store: Store, size: int) -> Tree:
    """Return the whole tree of `size` entries, to make proofs from."""
    hashes: list[bytes] = []
    for index, entry in stream_entries(store):
        if index >= size:
            break
        hashes.append(leaf_hash(entry))
    return Tree(hashes)
