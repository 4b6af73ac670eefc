r"""The trust root: which keys speak for a log, for which sizes of it, and who may change that. Pure.

    {"signatures":[{"key_id":"1f2e3d4c","name":"spanledger/7c1f…","signature":"<base64>"}],
     "signed":{"created_at":"2026-11-21T10:00:00Z",
               "log_keys":[{"created_at":"…","from_size":0,"until_size":812,"vkey":"…"},
                           {"created_at":"…","from_size":812,"vkey":"…"}],
               "origin":"spanledger/7c1f…","root_keys":["<vkey>"],"schema":"spanledger.trust-root/1","threshold":1,
               "version":2,"witnesses":["<vkey>"]}}

Rules
- The file is canonical JSON. A verifier pins the SHA-256 of the whole file, as `sha256sum` prints it.
- A signature is made over `"spanledger/trust-root/v1\0" || canonical JSON of "signed"` by a root key.
- Version 1 is signed by `threshold` of its root keys. Version n+1 is signed by `threshold` of its own root keys *and*
  by that of version n: whoever pinned an old version can follow to the newest.
- A log key is good for checkpoints with `from_size <= size <= until_size`; without `until_size`, for all that follow.
  At the size of a rotation both keys are good, because both sign that checkpoint.
- Revoking sets `revoked` (a reason) and `until_size` to the last size that is still believed.
- Unless an operator names others, the log's key is the only root key: the pin then proves continuity, not that the
  operator is honest.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any

import orjson

from spanledger_exporter.errors import CanonicalError, ProofError
from spanledger_exporter.ledger.canonical import canonical_json
from spanledger_exporter.ledger.checkpoint import SignedCheckpoint, open_checkpoint
from spanledger_exporter.ledger.note import (
    COSIGNATURE_V1,
    Note,
    NoteSignature,
    Signer,
    VerifierKey,
    decode_base64,
    parse_vkey,
    verify_signature,
)

SCHEMA = "spanledger.trust-root/1"
LABEL = b"spanledger/trust-root/v1\0"


@dataclass(frozen=True, slots=True)
class LogKey:
    """A key of the log and the sizes it speaks for. `revoked` is the reason, if it was."""

    key: VerifierKey
    created_at: str
    from_size: int = 0
    until_size: int | None = None
    revoked: str | None = None

    def is_good_for(self, size: int) -> bool:
        """Answer whether this key may sign a checkpoint of `size`."""
        return self.from_size <= size and (self.until_size is None or size <= self.until_size)


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """What a trust root file says."""

    version: int
    origin: str
    created_at: str
    threshold: int
    root_keys: tuple[VerifierKey, ...]
    log_keys: tuple[LogKey, ...]
    witnesses: tuple[VerifierKey, ...] = ()

    @property
    def current(self) -> LogKey:
        """Return the key that signs from now on."""
        return next(key for key in reversed(self.log_keys) if key.until_size is None)

    def keys_for(self, size: int) -> tuple[VerifierKey, ...]:
        """Return the keys that may sign a checkpoint of `size`."""
        return tuple(key.key for key in self.log_keys if key.is_good_for(size))


@dataclass(frozen=True, slots=True)
class SignedTrustRoot:
    """A trust root with its signatures, none of them verified, and the bytes they came from."""

    root: TrustRoot
    signatures: tuple[NoteSignature, ...]
    data: bytes

    @property
    def pin(self) -> str:
        """Return the SHA-256 that verifiers pin, in lower-case hex."""
        return sha256(self.data).hexdigest()


def sign_trust_root(root: TrustRoot, signers: Iterable[Signer]) -> SignedTrustRoot:
    """Sign a trust root with every signer."""
    message = _message(root)
    return with_signatures(
        root,
        [
            NoteSignature(signer.verifier_key.name, signer.verifier_key.key_id, signer.sign(message))
            for signer in signers
        ],
    )


def with_signatures(root: TrustRoot, signatures: Sequence[NoteSignature]) -> SignedTrustRoot:
    """Put signatures to a trust root, as when a second officer adds theirs."""
    listed = [
        {"name": s.name, "key_id": s.key_id.hex(), "signature": b64encode(s.signature).decode()} for s in signatures
    ]
    data = canonical_json({"signed": _signed(root), "signatures": listed})
    return SignedTrustRoot(root, tuple(signatures), data)


def parse_trust_root(data: bytes) -> SignedTrustRoot:
    """Parse a trust root file; nothing is verified. Raises ProofError."""
    try:
        value = orjson.loads(data)
        is_canonical = canonical_json(value) == data
        signatures = tuple(_parse_signature(item) for item in value["signatures"])
        root = _parse_signed(value["signed"])
    except ProofError:
        raise
    except (orjson.JSONDecodeError, CanonicalError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProofError(f"expected a trust root ({SCHEMA}), got something else: {error!r}") from error
    if not is_canonical:
        raise ProofError("expected a trust root in canonical JSON: was the file edited or reformatted?")
    return SignedTrustRoot(root, signatures, bytes(data))


def verify_trust_roots(versions: Sequence[bytes], *, pin: str | None = None) -> SignedTrustRoot:
    """Verify successive versions of a trust root, oldest first, and return the newest.

    With a `pin` (SHA-256, hex) one of the versions must have it; trust starts there. Without one, trust starts at the
    first version on no more than its own word. Raises ProofError.
    """
    parsed = [parse_trust_root(data) for data in versions]
    if pin is not None:
        start = next((n for n, signed in enumerate(parsed) if signed.pin == pin.lower()), None)
        if start is None:
            raise ProofError(f"expected a trust root with SHA-256 {pin}, got {[signed.pin for signed in parsed]}")
        parsed = parsed[start:]
    if not parsed:
        raise ProofError("expected at least one trust root, got none")
    _verify_threshold(parsed[0], parsed[0].root)
    for older, newer in pairwise(parsed):
        _verify_step(older.root, newer)
    return parsed[-1]


def open_trusted_checkpoint(data: bytes | str | Note, root: TrustRoot) -> SignedCheckpoint:
    """Verify a checkpoint by the keys that `root` allows for its size, and report known witnesses.

    Raises ProofError.
    """
    keys = {key.key for key in root.log_keys}
    signed = open_checkpoint(data, keys, origin=root.origin, witnesses=root.witnesses)
    size = signed.checkpoint.size
    good = tuple(key for key in signed.signed_by if key in root.keys_for(size))
    if not good:
        names = ", ".join(key.key_id.hex() for key in signed.signed_by)
        raise ProofError(f"expected a checkpoint of size {size} by a key good for that size, got one by {names}")
    return signed


def _verify_step(older: TrustRoot, newer: SignedTrustRoot) -> None:
    if newer.root.version != older.version + 1:
        raise ProofError(f"expected trust root version {older.version + 1}, got {newer.root.version}")
    if newer.root.origin != older.origin:
        raise ProofError(f"expected a trust root of log {older.origin!r}, got one of {newer.root.origin!r}")
    _verify_threshold(newer, older)
    _verify_threshold(newer, newer.root)


def _verify_threshold(signed: SignedTrustRoot, authority: TrustRoot) -> None:
    known = {(key.name, key.key_id): key for key in authority.root_keys}
    message = _message(signed.root)
    good: set[VerifierKey] = set()
    for signature in signed.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None:
            verify_signature(key, message, signature.signature)
            good.add(key)
    if len(good) < authority.threshold:
        raise ProofError(
            f"expected trust root version {signed.root.version} to be signed by {authority.threshold} root keys of "
            f"version {authority.version}, got {len(good)}"
        )


def _message(root: TrustRoot) -> bytes:
    return LABEL + canonical_json(_signed(root))


def _signed(root: TrustRoot) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "version": root.version,
        "origin": root.origin,
        "created_at": root.created_at,
        "threshold": root.threshold,
        "root_keys": [key.vkey for key in root.root_keys],
        "log_keys": [_log_key(key) for key in root.log_keys],
        "witnesses": [key.vkey for key in root.witnesses],
    }


def _log_key(key: LogKey) -> dict[str, Any]:
    return {
        "vkey": key.key.vkey,
        "created_at": key.created_at,
        "from_size": key.from_size,
        "until_size": key.until_size,  # canonical JSON leaves None out
        "revoked": key.revoked,
    }


def _parse_signed(value: Mapping[str, Any]) -> TrustRoot:
    if value["schema"] != SCHEMA:
        raise ProofError(f"expected a trust root of schema {SCHEMA}, got {value['schema']!r}: made by a newer version?")
    root = TrustRoot(
        version=_count(value["version"]),
        origin=_text(value["origin"]),
        created_at=_text(value["created_at"]),
        threshold=_count(value["threshold"]),
        root_keys=tuple(_signing_key(text) for text in value["root_keys"]),
        log_keys=tuple(_parse_log_key(item) for item in value["log_keys"]),
        witnesses=tuple(parse_vkey(text) for text in value["witnesses"]),
    )
    if not 1 <= root.threshold <= len(set(root.root_keys)):
        raise ProofError(f"expected a threshold from 1 to the number of root keys, got {root.threshold}")
    if root.version < 1 or all(key.until_size is not None for key in root.log_keys):
        raise ProofError("expected a version of at least 1 and one log key without an end")
    if any(key.key.name != root.origin for key in root.log_keys):
        raise ProofError(f"expected every log key to be named {root.origin!r}")
    return root


def _parse_log_key(item: Mapping[str, Any]) -> LogKey:
    return LogKey(
        key=_signing_key(item["vkey"]),
        created_at=_text(item["created_at"]),
        from_size=_count(item["from_size"]),
        until_size=_count(item["until_size"]) if "until_size" in item else None,
        revoked=_text(item["revoked"]) if "revoked" in item else None,
    )


def _parse_signature(item: Mapping[str, Any]) -> NoteSignature:
    signature = decode_base64(_text(item["signature"]), "a signature of a trust root")
    return NoteSignature(_text(item["name"]), bytes.fromhex(item["key_id"]), signature)


def _signing_key(text: Any) -> VerifierKey:
    key = parse_vkey(_text(text))
    if key.algorithm == COSIGNATURE_V1:
        raise ProofError(f"expected a key that signs notes, got the witness key {key.name}")
    return key


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ProofError(f"expected text in a trust root, got {str(value)[:40]!r}")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ProofError(f"expected a count in a trust root, got {str(value)[:40]!r}")
    return value
