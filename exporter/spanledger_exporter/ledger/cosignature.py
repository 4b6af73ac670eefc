r"""Witness cosignatures (C2SP tlog-cosignature, Ed25519): "at this time, this was the largest consistent tree I saw".

    signature = timestamp u64 || Ed25519("cosignature/v1\ntime <timestamp>\n" || checkpoint text)

A cosignature is an ordinary signature line under a key of type 0x04; `note.verify_note` checks it like any other.
"""

from __future__ import annotations

import struct

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.note import COSIGNATURE_V1, NoteSignature, Signer, cosignature_message

_TIMESTAMP = struct.Struct(">Q")
MAX_TIMESTAMP_S = 2**63 - 1


def cosign(text: str, signer: Signer, *, timestamp_s: int) -> NoteSignature:
    """Return a witness's signature over a checkpoint's text; the signer's key has type 0x04."""
    key = signer.verifier_key
    if key.algorithm != COSIGNATURE_V1:
        raise ProofError(f"expected a key of type {COSIGNATURE_V1} to cosign with, got type {key.algorithm}")
    if not 0 < timestamp_s <= MAX_TIMESTAMP_S:
        raise ProofError(f"expected a timestamp in seconds from 1 to 2^63-1, got {timestamp_s}")
    signature = signer.sign(cosignature_message(text.encode(), timestamp_s))
    return NoteSignature(key.name, key.key_id, _TIMESTAMP.pack(timestamp_s) + signature)


def cosignature_time_s(signature: NoteSignature) -> int:
    """Return the Unix seconds a cosignature carries; trust them only after the signature was verified."""
    if len(signature.signature) < _TIMESTAMP.size:
        raise ProofError(f"expected a cosignature of 72 bytes, got {len(signature.signature)}")
    return int(_TIMESTAMP.unpack_from(signature.signature)[0])
