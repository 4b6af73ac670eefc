"""Signed notes and verifier keys (C2SP signed-note). Pure, apart from the signature arithmetic of `cryptography`.

    text, ending in a newline
                                          (an empty line)
    — <key name> base64(key id[4] || signature)

Rules
- UTF-8, no control characters but newline; the text is divided from the signatures by the last empty line.
- A key name is not empty and has neither white space nor `+`.
- key id = SHA256(name || 0x0A || type || public key)[:4]; a vkey is `name+hex(key id)+base64(type || public key)`.
- Signatures of unknown keys are ignored. One bad signature of a known key condemns the whole note, and a note without
  any good signature of a known key is refused; nothing may be read from a text before `verify_note` returned.
- Types: 0x01 Ed25519, for logs; 0x02 ECDSA P-256, for logs whose key sits in a key service without Ed25519 (its key id
  is SHA256(SubjectPublicKeyInfo)[:4]); 0x04 timestamped Ed25519 cosignature, for witnesses (see `cosignature`).
- Every parser raises ProofError and nothing else.
"""

from __future__ import annotations

import binascii
import struct
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from spanledger_exporter.errors import ProofError

ED25519 = 0x01
ECDSA_P256 = 0x02
COSIGNATURE_V1 = 0x04

MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 64

KEY_ID_SIZE = 4
ED25519_KEY_SIZE = 32
_TIMESTAMP = struct.Struct(">Q")
_DASH = "— "


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A named public key. `public_key` is 32 raw bytes for the Ed25519 types, DER SubjectPublicKeyInfo for ECDSA."""

    name: str
    algorithm: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """Return the four bytes that lead this key's signatures."""
        if self.algorithm == ECDSA_P256:
            return sha256(self.public_key).digest()[:KEY_ID_SIZE]
        material = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public_key
        return sha256(material).digest()[:KEY_ID_SIZE]

    @property
    def vkey(self) -> str:
        """Return the key as text: `name+hex(key id)+base64(type || public key)`."""
        return format_vkey(self)


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line. `signature` is what follows the four bytes of the key id."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signatures, none of them verified."""

    text: str
    signatures: tuple[NoteSignature, ...]


class Signer(Protocol):
    """Signs bytes; holds or reaches the private key."""

    @property
    def verifier_key(self) -> VerifierKey:
        """Return the public half, with the name it signs under."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature of `message`."""
        ...


def check_key_name(name: str) -> str:
    """Return `name` if a key may be called so; raise ProofError otherwise."""
    if not name or "+" in name or name != "".join(name.split()):
        raise ProofError(f"expected a key name without white space and '+', got {name!r}")
    return name


def parse_vkey(text: str) -> VerifierKey:
    """Parse a vkey and check its key id."""
    parts = text.strip().split("+", 2)  # base64 may hold '+' too
    if len(parts) != 3:
        raise ProofError(f"expected a vkey name+hex+base64, got {text[:100]!r}")
    name, identifier, encoded = parts
    material = decode_base64(encoded, "the key of a vkey")
    if not material:
        raise ProofError("expected a key type and a key in the vkey, got nothing")
    key = VerifierKey(check_key_name(name), material[0], material[1:])
    _check_key(key)
    if key.key_id.hex() != identifier:
        raise ProofError(f"expected key id {key.key_id.hex()} in the vkey of {name}, got {identifier[:20]!r}")
    return key


def format_vkey(key: VerifierKey) -> str:
    """Format a key as a vkey; the inverse of `parse_vkey`."""
    return f"{key.name}+{key.key_id.hex()}+{b64encode(bytes([key.algorithm]) + key.public_key).decode()}"


def parse_note(data: bytes | str) -> Note:
    """Split a signed note into text and signature lines, without verifying any of them."""
    text = _decode(data)
    body, blank, lines = text.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise ProofError("expected a note: text, an empty line, signature lines, each ending in a newline")
    signatures = tuple(parse_signature_line(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MAX_SIGNATURES:
        raise ProofError(f"expected at most {MAX_SIGNATURES} signatures in a note, got {len(signatures)}")
    return Note(body + "\n", signatures)


def format_note(note: Note) -> str:
    """Format a note; the inverse of `parse_note`."""
    return note.text + "\n" + "".join(map(format_signature_line, note.signatures))


def parse_signature_line(line: str) -> NoteSignature:
    """Parse `— name base64`, without its newline."""
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise ProofError(f"expected a signature line '{_DASH}name base64', got {line[:100]!r}")
    material = decode_base64(encoded, "a signature")
    if len(material) <= KEY_ID_SIZE:
        raise ProofError(f"expected a key id and a signature, got {len(material)} bytes")
    return NoteSignature(check_key_name(name), material[:KEY_ID_SIZE], material[KEY_ID_SIZE:])


def format_signature_line(signature: NoteSignature) -> str:
    """Format one signature line with its newline."""
    return f"{_DASH}{signature.name} {b64encode(signature.key_id + signature.signature).decode()}\n"


def sign_note(text: str, signers: Iterable[Signer]) -> Note:
    """Sign `text` (which ends in a newline) with every signer, in their order."""
    _decode(text)
    if not text.endswith("\n"):
        raise ProofError("expected a note text that ends in a newline")
    return Note(text, tuple(_sign(text.encode(), signer) for signer in signers))


def _sign(message: bytes, signer: Signer) -> NoteSignature:
    key = signer.verifier_key
    return NoteSignature(key.name, key.key_id, signer.sign(message))


def verify_note(note: Note, keys: Iterable[VerifierKey]) -> tuple[VerifierKey, ...]:
    """Return the known keys that signed `note`, each once.

    Raises ProofError when none did, or when a signature under a known key's name and id does not hold.
    """
    known: Mapping[tuple[str, bytes], VerifierKey] = {(key.name, key.key_id): key for key in keys}
    valid: dict[VerifierKey, None] = {}
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None:
            verify_signature(key, note.text.encode(), signature.signature)
            valid[key] = None
    if not valid:
        names = ", ".join(f"{name} ({identifier.hex()})" for name, identifier in known) or "none"
        raise ProofError(f"expected a signature by a known key, got none; known keys: {names}")
    return tuple(valid)


def verify_signature(key: VerifierKey, text: bytes, signature: bytes) -> None:
    """Check one signature of `key` over a note's text; raise ProofError if it does not hold."""
    try:
        if key.algorithm == ED25519:
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, text)
        elif key.algorithm == COSIGNATURE_V1:
            _verify_cosignature(key, text, signature)
        else:
            _p256(key.public_key).verify(signature, text, ECDSA(SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise ProofError(
            f"expected a good signature by {key.name} ({key.key_id.hex()}), got one that fails: "
            "the text or the signature was changed"
        ) from error


def cosignature_message(text: bytes, timestamp_s: int) -> bytes:
    """Return what a witness signs: two header lines, then the checkpoint's text (C2SP tlog-cosignature, Ed25519)."""
    return b"cosignature/v1\ntime %d\n" % timestamp_s + text


def _verify_cosignature(key: VerifierKey, text: bytes, signature: bytes) -> None:
    if len(signature) != _TIMESTAMP.size + 64:
        raise ProofError(f"expected a cosignature of 72 bytes by {key.name}, got {len(signature)}")
    (timestamp_s,) = _TIMESTAMP.unpack_from(signature)
    message = cosignature_message(text, timestamp_s)
    Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature[_TIMESTAMP.size :], message)


def _check_key(key: VerifierKey) -> None:
    if key.algorithm in (ED25519, COSIGNATURE_V1):
        if len(key.public_key) != ED25519_KEY_SIZE:
            raise ProofError(f"expected an Ed25519 key of {ED25519_KEY_SIZE} bytes, got {len(key.public_key)}")
    elif key.algorithm == ECDSA_P256:
        try:
            _p256(key.public_key)
        except ValueError as error:
            raise ProofError(f"expected a P-256 key in DER, got something else: {error}") from error
    else:
        raise ProofError(f"expected key type 1, 2 or 4, got {key.algorithm}: made by a newer version?")


def _p256(der: bytes) -> EllipticCurvePublicKey:
    try:
        key = load_der_public_key(der)
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("not a P-256 key")  # noqa: TRY004 - a value of the wrong kind, not a caller's mistake
    return key


def _decode(data: bytes | str) -> str:
    if len(data) > MAX_NOTE_BYTES:
        raise ProofError(f"expected a note of at most {MAX_NOTE_BYTES} bytes, got {len(data)}")
    try:
        text = data.decode() if isinstance(data, bytes) else data
        text.encode()
    except UnicodeError as error:
        raise ProofError(f"expected a note in UTF-8, got other bytes: {error}") from error
    control = next((character for character in text if character < " " and character != "\n"), None)
    if control is not None:
        raise ProofError(f"expected no control characters in a note, got {control!r}")
    return text


def decode_base64(text: str, what: str) -> bytes:
    """Decode canonical base64; `what` names the place in the ProofError."""
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofError(f"expected base64 in {what}, got {text[:60]!r}") from error
    if b64encode(data).decode() != text:  # two spellings of one signature would be two notes
        raise ProofError(f"expected canonical base64 in {what}, got {text[:60]!r}")
    return data
