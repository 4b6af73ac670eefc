"""The proof of one row, step by step, in plain words: what `verify` checks for all rows, shown for one.

1. The stored envelope hashes to `env_hash`.
2. `row_hash` follows from chain, place, predecessor, time and `env_hash`.
3. The predecessor is the row before it (or the genesis value of the chain).
4. A segment of the log covers the row, and its root follows from the segment's row hashes.
5. The segment's entry is in the log that a signed checkpoint commits to.
6. An anchor holds a checkpoint of that log.

Every question is answered from the disk as it is now, whatever the console's pages remember of it.

A step that cannot be made yet is `waiting`, one that does not hold is `failed`. This runs on the operator's machine: an
outsider verifies an evidence bundle with a program of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from spanledger_exporter.config import Settings
from spanledger_exporter.errors import ProofError, SpanledgerError
from spanledger_exporter.ledger.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from spanledger_exporter.ledger.merkle import leaf_hash, root_of_leaves, verify_inclusion
from spanledger_exporter.ledger.row import Row, genesis_hash, row_hashes
from spanledger_exporter.ledger.sparse_tree import SparseTree
from spanledger_exporter.ledger.tlog_proof import TlogProof, format_tlog_proof
from spanledger_exporter.read.log_entries import log_leaves, segments_over
from spanledger_exporter.store.connection import UNCACHED, Store
from spanledger_exporter.verify.local import load_trust
from spanledger_exporter.verify.trust import Trust

CHECKPOINTS_PER_QUERY: Final = 16

StepStatus = Literal["ok", "waiting", "failed"]


@dataclass(frozen=True, slots=True)
class Step:
    """One claim, whether it holds, and what was compared."""

    claim: str
    status: StepStatus
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RowProof:
    """The steps for one row. `tlog_proof` is the C2SP text once step 5 holds."""

    steps: tuple[Step, ...]
    tlog_proof: str = ""

    @property
    def status(self) -> StepStatus:
        """Return the worst status."""
        found: set[StepStatus] = {step.status for step in self.steps}
        return "failed" if "failed" in found else "waiting" if "waiting" in found else "ok"


@dataclass(frozen=True, slots=True)
class _Stored:
    """The row as the store has it; hashes are raw bytes."""

    chain_id: bytes
    seq: int
    prev_hash: bytes
    time_ns: int
    env: bytes
    env_hash: bytes
    row_hash: bytes


def prove_row(store: Store, settings: Settings, *, chain: str, seq: int, row_hash_hex: str) -> RowProof:
    """Return the proof of the row with this hash at this place."""
    found = store.query(
        f"SELECT chain_id, seq, prev_hash, time_ns, env, env_hash, row_hash FROM {store.database}.rows "
        "WHERE chain_id = toFixedString(unhex({chain:String}), 16) AND seq IN {places:Array(UInt64)} "
        f"LIMIT 1 BY seq, row_hash, env_hash, prev_hash, time_ns, env {UNCACHED}",
        {"chain": chain, "places": [seq, seq - 1] if seq else [seq]},
        binary=("env",),
    )
    stored = [_Stored(*values) for values in found]
    claimed = [one for one in stored if one.seq == seq and one.row_hash.hex() == row_hash_hex]
    if not claimed:
        return RowProof((Step("the row is in the store", "failed", f"chain {chain}, place {seq}"),))
    # Whoever looks may have been shown any row that claims the hash: a forged one is not vouched for by the good one.
    row = next((one for one in claimed if not _is_intact(one)), claimed[0])
    steps = [*_hash_steps(row), _link_step(row, {one.row_hash for one in stored if one.seq == seq - 1})]
    covering = _covering_entry(store, row)
    if covering is None:
        return RowProof(
            (*steps, Step("a segment of the log covers it", "waiting", "not sealed yet: `spanledger seal`"))
        )
    index, entry = covering
    steps.append(_segment_step(store, row, index, entry))
    log_step, proof, size = _log_step(store, settings, index, entry)
    return RowProof((*steps, log_step, _anchor_step(store, index, size)), proof)


def prove_spooled(row: Row) -> RowProof:
    """Return the proof of a row that only the spool has."""
    waiting = Step("the row is in the store", "waiting", "it lies in the spool of this host: `spanledger ship`")
    return RowProof((*_hash_steps(row), waiting))


def _hash_steps(row: _Stored | Row) -> Iterator[Step]:
    digest, expected = row_hashes(row.chain_id, row.seq, row.prev_hash, row.time_ns, row.env)
    yield _judged("the envelope is what was hashed", digest == row.env_hash, f"SHA-256 {digest.hex()}")
    yield _judged(
        "the row's hash follows from its content and place", expected == row.row_hash, f"SHA-256 {expected.hex()}"
    )


def _is_intact(row: _Stored) -> bool:
    return all(step.status == "ok" for step in _hash_steps(row))


def _link_step(row: _Stored, before: AbstractSet[bytes]) -> Step:
    """Judge what the row says of its predecessor; `before` are the hashes of the rows at that place."""
    if row.seq == 0:
        detail = "first of its chain: the genesis value"
        return _judged("it begins its chain", genesis_hash(row.chain_id) == row.prev_hash, detail)
    detail = f"row {row.seq - 1}: {row.prev_hash.hex()}"
    return _judged("it follows the row before it", before == {row.prev_hash}, detail)


def _judged(claim: str, holds: bool, detail: str) -> Step:
    return Step(claim, "ok" if holds else "failed", detail)


def _covering_entry(store: Store, row: _Stored) -> tuple[int, dict[str, Any]] | None:
    found = segments_over(store, {row.chain_id.hex(): (row.seq, row.seq)})
    return (found[0][0], {"raw": found[0][1], **orjson.loads(found[0][1])}) if found else None


def _segment_step(store: Store, row: _Stored, index: int, entry: dict[str, Any]) -> Step:
    first, last = int(entry["first"]), int(entry["last"])
    hashes = store.query(
        f"SELECT row_hash FROM {store.database}.rows WHERE chain_id = toFixedString(unhex({{chain:String}}), 16) "
        f"AND seq BETWEEN {{first:UInt64}} AND {{last:UInt64}} ORDER BY seq LIMIT 1 BY seq, row_hash {UNCACHED}",
        {"chain": row.chain_id.hex(), "first": first, "last": last},
    )
    root = root_of_leaves(value for (value,) in hashes)
    detail = f"log entry {index}: rows {first} to {last} of this chain, root {root.hex()}"
    return _judged("a sealed segment covers it", root.hex() == entry.get("root"), detail)


def _log_step(store: Store, settings: Settings, index: int, entry: dict[str, Any]) -> tuple[Step, str, int]:
    claim = "the segment is in the signed log"
    try:
        found = _covering_checkpoint(store, load_trust(settings), index)
        if found is None:
            return Step(claim, "waiting", "no checkpoint covers it yet: `spanledger seal`"), "", 0
        signed, note = found
        proof = _inclusion(store, index, signed.checkpoint, leaf_hash(entry["raw"].encode()))
    except SpanledgerError as error:
        return Step(claim, "failed", str(error)), "", 0
    size = signed.checkpoint.size
    keys = ", ".join(f"{key.name} ({key.key_id.hex()})" for key in signed.signed_by)
    detail = f"checkpoint of size {size}, root {signed.checkpoint.root.hex()}, signed by {keys}"
    return Step(claim, "ok", detail), format_tlog_proof(TlogProof(index, tuple(proof), note)), size


def _covering_checkpoint(store: Store, trust: Trust, index: int) -> tuple[SignedCheckpoint, str] | None:
    """Return the smallest signed checkpoint over an entry, and its note; None when there is none at all.

    Raises ProofError when none of those that are there holds: a forged one beside a good one is not asked.
    """
    first: ProofError | None = None
    for size, note in _checkpoints_over(store, index):
        try:
            signed = open_checkpoint(note, trust.at(size), origin=trust.origin)
        except ProofError as error:
            first = first or error
            continue
        if signed.checkpoint.size == size:
            return signed, note
    if first is not None:
        raise first
    return None


def _checkpoints_over(store: Store, index: int) -> Iterator[tuple[int, str]]:
    """Yield size and note of each checkpoint over an entry, the smallest first: the first one is mostly enough."""
    for offset in itertools.count(0, CHECKPOINTS_PER_QUERY):
        rows = store.query(
            f"SELECT size, note FROM {store.database}.checkpoints WHERE size > {{index:UInt64}} "
            f"ORDER BY size, note LIMIT {CHECKPOINTS_PER_QUERY} OFFSET {{offset:UInt64}} {UNCACHED}",
            {"index": index, "offset": offset},
        )
        yield from ((int(size), str(note)) for size, note in rows)
        if len(rows) < CHECKPOINTS_PER_QUERY:
            return


def _inclusion(store: Store, index: int, checkpoint: Checkpoint, leaf: bytes) -> list[bytes]:
    size = checkpoint.size
    proof = SparseTree(log_leaves(store, size), wanted=(index,), sizes=(size,)).inclusion_proof(index, size)
    verify_inclusion(index=index, size=size, leaf=leaf, proof=proof, root=checkpoint.root)
    return proof


def _anchor_step(store: Store, index: int, size: int) -> Step:
    claim = "an anchor holds a checkpoint of that log"
    found = store.query(
        f"SELECT kind, target, min(size) FROM {store.database}.anchors "
        f"WHERE size > {{index:UInt64}} GROUP BY kind, target {UNCACHED}",
        {"index": index},
    )
    if not found or not size:
        return Step(claim, "waiting", "not anchored yet")
    return Step(claim, "ok", "; ".join(f"{kind} {target}, size {at}" for kind, target, at in found))
