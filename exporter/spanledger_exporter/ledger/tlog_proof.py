"""Proof that one entry is in a log, as a text that is checked offline (C2SP tlog-proof).

c2sp.org/tlog-proof@v1
extra <base64>                   optional, opaque, not authenticated
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOM…=    inclusion proof, leaf's sibling first
                                 (empty line, then the checkpoint's note, verbatim)
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.checkpoint import SignedCheckpoint, open_checkpoint, parse_size
from spanledger_exporter.ledger.merkle import HASH_SIZE, verify_inclusion
from spanledger_exporter.ledger.note import MAX_NOTE_BYTES, VerifierKey, decode_base64

HEADER = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63


@dataclass(frozen=True, slots=True)
class TlogProof:
    """An inclusion proof with the checkpoint it leads to. `note` is the checkpoint's signed note, as text."""

    index: int
    hashes: tuple[bytes, ...]
    note: str
    extra: bytes | None = None


def format_tlog_proof(proof: TlogProof) -> str:
    """Format a proof; the inverse of `parse_tlog_proof`."""
    extra = [] if proof.extra is None else [f"extra {b64encode(proof.extra).decode()}"]
    hashes = [b64encode(value).decode() for value in proof.hashes]
    return "\n".join([HEADER, *extra, f"index {proof.index}", *hashes, "", proof.note])


def parse_tlog_proof(data: bytes | str) -> TlogProof:
    """Parse a proof, without verifying anything. Raises ProofError."""
    head, blank, note = _decode(data).partition("\n\n")
    lines = head.split("\n")
    if not blank or lines[0] != HEADER:
        raise ProofError(f"expected a proof that starts with {HEADER!r} and holds a checkpoint, got {head[:60]!r}")
    extra = None
    if len(lines) > 1 and lines[1].startswith("extra "):
        extra = decode_base64(lines.pop(1).removeprefix("extra "), "the extra line of a proof")
    if len(lines) < 2 or not lines[1].startswith("index "):
        raise ProofError("expected an index line in the proof, got none")
    return TlogProof(parse_size(lines[1].removeprefix("index ")), parse_hashes(lines[2:]), note, extra)


def parse_hashes(lines: Iterable[str]) -> tuple[bytes, ...]:
    """Parse the lines of a Merkle proof: base64, one hash per line, at most 63."""
    hashes = tuple(decode_base64(line, "a proof hash") for line in lines)
    if len(hashes) > MAX_HASHES or any(len(value) != HASH_SIZE for value in hashes):
        raise ProofError(f"expected at most {MAX_HASHES} hashes of {HASH_SIZE} bytes in a proof")
    return hashes


def verify_tlog_proof(
    proof: TlogProof, *, leaf: bytes, keys: Iterable[VerifierKey], origin: str | None = None
) -> SignedCheckpoint:
    """Check that the entry with leaf hash `leaf` is in the log that signed the proof's checkpoint.

    Returns the verified checkpoint. Raises ProofError.
    """
    signed = open_checkpoint(proof.note, keys, origin=origin)
    verify_inclusion(
        index=proof.index,
        size=signed.checkpoint.size,
        leaf=leaf,
        proof=proof.hashes,
        root=signed.checkpoint.root,
    )
    return signed


def _decode(data: bytes | str) -> str:
    if len(data) > MAX_NOTE_BYTES:
        raise ProofError(f"expected a proof of at most {MAX_NOTE_BYTES} bytes, got {len(data)}")
    try:
        return data.decode() if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        raise ProofError(f"expected a proof in UTF-8, got other bytes: {error}") from error
