"""Checkpoints: a log's size and root as a signed note (C2SP tlog-checkpoint).

    spanledger/7c1f2a90b3d4e5f6      origin: which log this is
    1208                             tree size, decimal
    CsUYapGGPo4dkMgIAUqom/X…=        root hash, base64
                                     (empty line, then signatures)

Rules
- Exactly these three lines: an extension line is something no monitor could audit, and is refused.
- The name of a log's key is its origin.
- Take size and root only from what `open_checkpoint` returns: it has verified the signature.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.merkle import EMPTY_ROOT, HASH_SIZE
from spanledger_exporter.ledger.note import (
    COSIGNATURE_V1,
    Note,
    Signer,
    VerifierKey,
    decode_base64,
    parse_note,
    sign_note,
    verify_note,
)

MAX_SIZE = 2**63 - 1
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log: `size` leaves under `root` (32 raw bytes)."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint whose note was verified. `signed_by` are the log's keys, `witnesses` the cosigners' keys."""

    checkpoint: Checkpoint
    note: Note
    signed_by: tuple[VerifierKey, ...]
    witnesses: tuple[VerifierKey, ...]


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """Return the note text of a checkpoint."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{b64encode(checkpoint.root).decode()}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Parse a note text into a checkpoint; the inverse of `format_checkpoint`. Nothing is verified here."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise ProofError(f"expected three lines in a checkpoint (origin, size, root), got {max(len(lines) - 1, 0)}")
    origin, size, root = lines[0], parse_size(lines[1]), decode_base64(lines[2], "the root of a checkpoint")
    if not origin:
        raise ProofError("expected an origin in the first line of a checkpoint, got an empty line")
    if len(root) != HASH_SIZE:
        raise ProofError(f"expected a root of {HASH_SIZE} bytes in a checkpoint, got {len(root)}")
    if size == 0 and root != EMPTY_ROOT:
        raise ProofError("expected the root of the empty tree in a checkpoint of size 0, got another")
    return Checkpoint(origin, size, root)


def claimed_checkpoint(note: bytes | str) -> Checkpoint:
    """Return what a signed note claims; whether a signature holds is another question. Raises ProofError."""
    return parse_checkpoint(parse_note(note).text)


def parse_size(text: str) -> int:
    """Parse an ASCII decimal without leading zeroes, up to 2^63-1."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_SIZE:
        raise ProofError(f"expected a decimal size without leading zeroes, got {text[:40]!r}")
    return int(text)


def sign_checkpoint(checkpoint: Checkpoint, signers: Iterable[Signer]) -> Note:
    """Sign a checkpoint; each signer's key is named after the origin."""
    signers = tuple(signers)
    for signer in signers:
        if signer.verifier_key.name != checkpoint.origin:
            name = signer.verifier_key.name
            raise ProofError(f"expected a key named after the origin {checkpoint.origin!r}, got {name!r}")
    return sign_note(format_checkpoint(checkpoint), signers)


def open_checkpoint(
    data: bytes | str | Note,
    keys: Iterable[VerifierKey],
    *,
    origin: str | None = None,
    witnesses: Iterable[VerifierKey] = (),
) -> SignedCheckpoint:
    """Verify a checkpoint's note by the log's `keys` and return what it says.

    `origin`, when given, must be the checkpoint's. Cosignatures by `witnesses` are verified and reported, not required.
    Raises ProofError if no log key signed it, if any known signature fails, or if it does not parse.
    """
    note = data if isinstance(data, Note) else parse_note(data)
    log_keys = tuple(key for key in keys if key.algorithm != COSIGNATURE_V1)
    signed_by = verify_note(note, log_keys)
    checkpoint = parse_checkpoint(note.text)
    if origin is not None and checkpoint.origin != origin:
        raise ProofError(f"expected a checkpoint of log {origin!r}, got one of {checkpoint.origin!r}")
    if any(key.name != checkpoint.origin for key in signed_by):
        raise ProofError(f"expected the log's key to be named {checkpoint.origin!r}, got {signed_by[0].name!r}")
    return SignedCheckpoint(checkpoint, note, signed_by, _cosigners(note, witnesses))


def _cosigners(note: Note, witnesses: Iterable[VerifierKey]) -> tuple[VerifierKey, ...]:
    known = tuple(key for key in witnesses if key.algorithm == COSIGNATURE_V1)
    present = {(signature.name, signature.key_id) for signature in note.signatures}
    return verify_note(note, known) if any((key.name, key.key_id) in present for key in known) else ()
