"""The body of `add-checkpoint` (C2SP tlog-witness). Pure.

old 20852014                                      size of the last checkpoint the witness cosigned
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=      consistency proof from there, at most 63 hashes
(empty line, then the checkpoint's note)
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.checkpoint import parse_size
from spanledger_exporter.ledger.note import MAX_NOTE_BYTES
from spanledger_exporter.ledger.tlog_proof import parse_hashes

SIZE_CONTENT_TYPE = "text/x.tlog.size"
PATH = "/add-checkpoint"


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """One request to a witness."""

    old_size: int
    proof: tuple[bytes, ...]
    note: str


def format_add_checkpoint(*, old_size: int, proof: Sequence[bytes], note: str) -> bytes:
    """Return the body of a request."""
    lines = [f"old {old_size}", *(b64encode(value).decode() for value in proof), "", note]
    return "\n".join(lines).encode()


def parse_add_checkpoint(body: bytes) -> AddCheckpoint:
    """Parse the body of a request; the inverse of `format_add_checkpoint`. Raises ProofError."""
    if len(body) > MAX_NOTE_BYTES:
        raise ProofError(f"expected at most {MAX_NOTE_BYTES} bytes, got {len(body)}")
    try:
        head, blank, note = body.decode().partition("\n\n")
    except UnicodeDecodeError as error:
        raise ProofError(f"expected UTF-8, got other bytes: {error}") from error
    lines = head.split("\n")
    if not blank or not lines[0].startswith("old "):
        raise ProofError("expected 'old <size>', a proof, an empty line and a checkpoint")
    return AddCheckpoint(parse_size(lines[0].removeprefix("old ")), parse_hashes(lines[1:]), note)
