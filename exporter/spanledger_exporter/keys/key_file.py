"""Private keys as files, one line each, in the form of Go's note package.

    PRIVATE+KEY+<name>+<key id>+base64(type || seed[32])

Rules
- Mode 0600 in a directory of mode 0700, never in the store; made whole and with create-if-absent, so that no key is
  overwritten and none is half there.
- A file that others may read is refused when it is loaded: the key must be taken for known.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spanledger_exporter.directories import make_directory
from spanledger_exporter.errors import ConfigurationError, ProofError
from spanledger_exporter.ledger.note import ED25519, VerifierKey, check_key_name, decode_base64
from spanledger_exporter.whole_file import create_whole

_LEAD = "PRIVATE+KEY+"
SEED_SIZE = 32


class FileSigner:
    """An Ed25519 key in memory; see `ledger.note.Signer`."""

    __slots__ = ("_private_key", "verifier_key")

    def __init__(self, seed: bytes, *, name: str, algorithm: int = ED25519) -> None:
        self._private_key = Ed25519PrivateKey.from_private_bytes(seed)
        public_key = self._private_key.public_key().public_bytes_raw()
        self.verifier_key = VerifierKey(check_key_name(name), algorithm, public_key)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of `message`."""
        return self._private_key.sign(message)

    def format(self) -> str:
        """Return the private key as text, to be written to a key file and nowhere else."""
        key = self.verifier_key
        material = bytes([key.algorithm]) + self._private_key.private_bytes_raw()
        return f"{_LEAD}{key.name}+{key.key_id.hex()}+{b64encode(material).decode()}\n"


def make_key(name: str, *, algorithm: int = ED25519) -> FileSigner:
    """Return a new key from the system's randomness. Raises ConfigurationError for what cannot be a key's name."""
    try:
        return FileSigner(secrets.token_bytes(SEED_SIZE), name=name, algorithm=algorithm)
    except ProofError as error:
        raise ConfigurationError(str(error)) from error


def write_key_file(path: Path, signer: FileSigner) -> None:
    """Write a private key, durable on return; an existing file is never overwritten, and none is left half-written."""
    try:
        make_directory(path.parent)
        create_whole(path, signer.format().encode(), mode=0o600)
    except FileExistsError as error:
        if not path.exists():
            raise ConfigurationError(f"expected to write the key file {path}, got: {error}") from error
        raise ConfigurationError(f"expected no key file at {path} yet, got one: keys are never overwritten") from error
    except OSError as error:
        raise ConfigurationError(f"expected to write the key file {path}, got: {error}") from error


def read_key_file(path: Path) -> FileSigner:
    """Read a private key. Raises ConfigurationError for a missing, foreign or exposed file."""
    try:
        exposed = path.stat().st_mode & 0o077
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"expected a readable key file at {path}, got: {error}") from error
    if exposed:
        raise ConfigurationError(
            f"expected only its owner to reach the key file {path}, got mode {exposed | 0o600:o}: "
            "`chmod 600` it, and rotate the key if others may have read it"
        )
    try:
        return parse_private_key(text)
    except ProofError as error:
        raise ConfigurationError(f"expected a private key in {path}, got something else: {error}") from error


def parse_private_key(text: str) -> FileSigner:
    """Parse the one line of a key file; the inverse of `FileSigner.format`. Raises ProofError."""
    parts = text.strip().removeprefix(_LEAD).split("+", 2)
    if not text.startswith(_LEAD) or len(parts) != 3:
        raise ProofError(f"expected a line {_LEAD}name+id+base64")
    material = decode_base64(parts[2], "a private key")
    if len(material) != 1 + SEED_SIZE:
        raise ProofError(f"expected a type and {SEED_SIZE} bytes in a private key, got {len(material)} bytes")
    signer = FileSigner(material[1:], name=parts[0], algorithm=material[0])
    if signer.verifier_key.key_id.hex() != parts[1]:
        raise ProofError(
            f"expected key id {signer.verifier_key.key_id.hex()} in the private key, got {parts[1][:20]!r}"
        )
    return signer
