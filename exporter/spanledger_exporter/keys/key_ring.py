"""The key ring: the private key, the trust root in all its versions, and a rotation under way.

    $DIR/keys/<key id>.key                 private key (mode 0600), unless a key service holds it
    $DIR/keys/trust-root.json              the newest trust root, for people and pins
    $DIR/keys/trust-root/<version>.json    every version
    $DIR/keys/rotation                     key id of a key that is about to take over

Rules
- Without set-up, the first need makes it all: a name `spanledger/<16 random hex digits>` that the log keeps for ever as
  its origin, a key, and version 1 of the trust root with that key as its only root key.
- A step that was cut off is finished by the same function when it is called again: a key file without a trust root is
  taken up, a rotation without its new trust root is completed by the sealer from what the log says.
- A version that too few root keys could sign is not begun: a rotation without its trust root would be one for nobody.
- With SPANLEDGER_SIGNER the key service holds the key, and only the trust root is here.
- The ring is written under a lock, so that two commands at once make one key.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
import secrets
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from spanledger_exporter.config import Settings
from spanledger_exporter.directories import make_directory
from spanledger_exporter.errors import ConfigurationError, ProofError
from spanledger_exporter.keys.key_file import make_key, read_key_file, write_key_file
from spanledger_exporter.keys.service_signer import open_service_signer
from spanledger_exporter.ledger.note import COSIGNATURE_V1, Signer, VerifierKey, parse_vkey
from spanledger_exporter.ledger.trust_root import (
    LogKey,
    SignedTrustRoot,
    TrustRoot,
    sign_trust_root,
    verify_trust_roots,
)
from spanledger_exporter.whole_file import replace_whole

ORIGIN_LEAD = "spanledger/"

_KEY_FILES = "[0-9a-f]" * 8 + ".key"
"""Signing keys are called by their id; the key of the users' pseudonyms lies beside them."""


class KeyRing:
    """The keys of one log. Make it with `open_key_ring`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.directory = settings.keys_directory
        self._signers: dict[str, Signer] = {}

    @property
    def exists(self) -> bool:
        """Answer whether this log has a trust root yet."""
        return self.trust_root_path.exists()

    @property
    def trust_root_path(self) -> Path:
        """The newest trust root."""
        return self.directory / "trust-root.json"

    def trust_root_versions(self) -> list[bytes]:
        """Return every version's bytes, oldest first."""
        paths = sorted((self.directory / "trust-root").glob("*.json"))
        try:
            return [path.read_bytes() for path in paths]
        except OSError as error:
            raise ConfigurationError(
                f"expected readable trust roots in {self.directory / 'trust-root'}, got: {error}"
            ) from error

    @property
    def signed_root(self) -> SignedTrustRoot:
        """Return the newest trust root, verified from version 1 on. Raises ConfigurationError for a damaged one."""
        try:
            return verify_trust_roots(self.trust_root_versions())
        except ProofError as error:
            raise ConfigurationError(
                f"expected good trust roots in {self.directory / 'trust-root'}, got: {error}; restore the directory "
                f"{self.directory} from its backup"
            ) from error

    @property
    def root(self) -> TrustRoot:
        """Return what the newest trust root says."""
        return self.signed_root.root

    @property
    def origin(self) -> str:
        """Return the log's name."""
        return self.root.origin

    def signer(self) -> Signer:
        """Return the signer of the current log key."""
        return self.signer_of(self.root.current.key)

    def signer_of(self, key: VerifierKey) -> Signer:
        """Return the signer of `key`; raise ConfigurationError when its private half is not here."""
        if key.vkey not in self._signers:
            self._signers[key.vkey] = self._find_signer(key)
        return self._signers[key.vkey]

    def _find_signer(self, key: VerifierKey) -> Signer:
        path = self._key_path(key.key_id.hex())
        if path.exists():
            return read_key_file(path)
        if self._settings.signer:
            signer = open_service_signer(self._settings.signer, name=key.name)
            if signer.verifier_key == key:
                return signer
        raise ConfigurationError(
            f"expected the private key {key.key_id.hex()} of {key.name} in {path} or behind SPANLEDGER_SIGNER, got "
            "neither: restore it from its backup, or rotate with the root keys"
        )

    def ensure(self) -> None:
        """Make name, key and trust root if this log has none; finish what was cut off."""
        with self._locked():
            if self.exists:
                return
            signer = self._first_signer()
            now = utc_now()
            key = signer.verifier_key
            root = TrustRoot(1, key.name, now, 1, (key,), (LogKey(key, now),))
            self.publish(sign_trust_root(root, [signer]))

    def _first_signer(self) -> Signer:
        left_over = sorted(self.directory.glob(_KEY_FILES))
        if left_over:  # we died between key and trust root: nothing was signed yet, the key is as good as new
            return read_key_file(left_over[0])
        name = self._settings.origin or f"{ORIGIN_LEAD}{secrets.token_hex(8)}"
        return self.make_signer(name)

    def make_signer(self, name: str) -> Signer:
        """Return a new key called `name`: a key file, or what SPANLEDGER_SIGNER names."""
        if self._settings.signer:
            return open_service_signer(self._settings.signer, name=name)
        signer = make_key(name)
        write_key_file(self._key_path(signer.verifier_key.key_id.hex()), signer)
        return signer

    def publish(self, signed: SignedTrustRoot) -> None:
        """Make `signed` the newest trust root; it must follow from the versions before it."""
        verify_trust_roots([*self.trust_root_versions(), signed.data])
        directory = self.directory / "trust-root"
        make_directory(directory)
        write_durably(directory / f"{signed.root.version:05}.json", signed.data)
        write_durably(self.trust_root_path, signed.data)

    def lend(self, signers: Sequence[Signer]) -> None:
        """Let keys that lie elsewhere (officers' root keys) sign as long as this object lives."""
        self._signers.update({signer.verifier_key.vkey: signer for signer in signers})

    @property
    def can_publish(self) -> bool:
        """Answer whether enough root keys are at hand to sign the next trust root."""
        root = self.root
        return len(self._at_hand(root.root_keys)) >= root.threshold

    def _at_hand(self, keys: Sequence[VerifierKey]) -> set[VerifierKey]:
        return {key for key in keys if self._own_signer(key) is not None}

    def _expect_signatures(self, root: TrustRoot, signers: Sequence[Signer] = ()) -> None:
        given = self._at_hand(root.root_keys) | {signer.verifier_key for signer in signers}
        count = len(given & set(root.root_keys))
        if count < root.threshold:
            missing = ", ".join(f"{key.name} ({key.key_id.hex()})" for key in root.root_keys if key not in given)
            raise ConfigurationError(
                f"expected {root.threshold} root keys to sign the next trust root, got {count}; not at hand: {missing}"
                ": pass their key files with --sign"
            )

    def begin_rotation(self) -> VerifierKey:
        """Make the next key, or take up the one that a cut-off rotation made, and return its public half.

        From here on the sealer may sign with it; it speaks for nothing before `finish_rotation`.
        """
        pending = self.pending_key()
        self._expect_signatures(self.root)
        if pending is not None:
            return pending
        current = self.root.current.key
        signer = self.make_signer(current.name)
        if signer.verifier_key == current:
            raise ConfigurationError(
                f"expected a new key to rotate to, got the current one {current.key_id.hex()}: make a new key or key "
                "version in the key service and name it in SPANLEDGER_SIGNER, or unset SPANLEDGER_SIGNER"
            )
        write_durably(self.directory / "rotation", signer.verifier_key.vkey.encode())
        return signer.verifier_key

    def pending_key(self) -> VerifierKey | None:
        """Return the key of a rotation under way. Raises ConfigurationError for a file that names none."""
        path = self.directory / "rotation"
        try:
            return parse_vkey(path.read_text(encoding="utf-8")) if path.exists() else None
        except (OSError, UnicodeDecodeError, ProofError) as error:
            raise ConfigurationError(
                f"expected the key of a rotation under way in {path}, got: {error}; restore the file from its backup"
            ) from error

    def finish_rotation(self, size: int) -> None:
        """Let the pending key speak from the checkpoint of `size` on, which both keys signed."""
        pending = self.pending_key()
        if pending is None:
            return
        root = self.root
        if all(key.key != pending for key in root.log_keys):
            ended = tuple(
                dataclasses.replace(key, until_size=size) if key.until_size is None else key for key in root.log_keys
            )
            now = utc_now()
            only_root = root.root_keys == (root.current.key,)
            self._publish_next(
                dataclasses.replace(
                    root,
                    log_keys=(*ended, LogKey(pending, now, from_size=size)),
                    # The default root key is the log's key: it moves on with it. Named root keys stay.
                    root_keys=(pending,) if only_root else root.root_keys,
                )
            )
        (self.directory / "rotation").unlink(missing_ok=True)

    def revoke(self, key_id: str, *, reason: str, until_size: int) -> SignedTrustRoot:
        """Stop believing a former key beyond `until_size`; return the new trust root."""
        root = self.root
        if root.current.key.key_id.hex() == key_id:
            raise ConfigurationError(f"expected a former key, got the current one {key_id}: `keys rotate` first")
        found = [key for key in root.log_keys if key.key.key_id.hex() == key_id]
        if not found:
            known = ", ".join(key.key.key_id.hex() for key in root.log_keys)
            raise ConfigurationError(f"expected one of the keys {known}, got {key_id!r}")
        if until_size < 0:
            raise ConfigurationError(f"expected the last size that is still believed, 0 or more, got {until_size}")
        if not reason.strip():
            raise ConfigurationError("expected a reason, got none: whoever reads the trust root wants to know why")
        revoked = tuple(
            dataclasses.replace(key, revoked=reason, until_size=min(until_size, key.until_size or 0))
            if key in found
            else key
            for key in root.log_keys
        )
        return self._publish_next(dataclasses.replace(root, log_keys=revoked))

    def change_root_keys(self, keys: Sequence[VerifierKey], *, threshold: int, signers: Sequence[Signer]) -> None:
        """Hand the trust root over to `keys`, of which `threshold` must sign every later version."""
        if not 1 <= threshold <= len(set(keys)):
            raise ConfigurationError(f"expected a threshold from 1 to {len(set(keys))}, the root keys, got {threshold}")
        for key in keys:
            if key.algorithm == COSIGNATURE_V1:
                raise ConfigurationError(f"expected a root key that signs notes, got the witness key {key.name}")
        root = dataclasses.replace(self.root, root_keys=tuple(keys), threshold=threshold)
        self._publish_next(root, signers)

    def change_witnesses(self, witnesses: Sequence[VerifierKey], *, signers: Sequence[Signer] = ()) -> None:
        """Name the witnesses whose cosignatures verifiers report."""
        for key in witnesses:
            if key.algorithm != COSIGNATURE_V1:
                raise ConfigurationError(
                    f"expected a witness key (type 0x04), got {key.vkey}: `spanledger witness` prints its own"
                )
        self._publish_next(dataclasses.replace(self.root, witnesses=tuple(witnesses)), signers)

    def _publish_next(self, root: TrustRoot, signers: Sequence[Signer] = ()) -> SignedTrustRoot:
        previous = self.root
        following = dataclasses.replace(root, version=previous.version + 1, created_at=utc_now())
        self._expect_signatures(previous, signers)
        self._expect_signatures(following, signers)
        needed = dict.fromkeys((*previous.root_keys, *following.root_keys))
        given = {signer.verifier_key: signer for signer in signers}
        hands = [given.get(key) or self._own_signer(key) for key in needed]
        signed = sign_trust_root(following, [hand for hand in hands if hand is not None])
        self.publish(signed)
        return signed

    def _own_signer(self, key: VerifierKey) -> Signer | None:
        try:
            return self.signer_of(key)
        except ConfigurationError:
            return None  # an officer's key, kept elsewhere; `publish` counts whether enough signed

    def _key_path(self, key_id: str) -> Path:
        return self.directory / f"{key_id}.key"

    @contextmanager
    def _locked(self) -> Generator[None]:
        try:
            make_directory(self.directory)
            descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(f"expected to write to {self.directory}, got: {error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def open_key_ring(settings: Settings, *, make: bool = True) -> KeyRing:
    """Return the key ring of `settings`; with `make`, name and key come into being if there are none.

    Raises ConfigurationError when it is unreadable, or absent and not to be made.
    """
    ring = KeyRing(settings)
    if make:
        ring.ensure()
    elif not ring.exists:
        raise ConfigurationError(f"expected keys in {ring.directory}, got none: `spanledger seal` makes them")
    return ring


def find_key_ring(settings: Settings) -> KeyRing | None:
    """Return the key ring of `settings`, None on a machine without keys. Raises ConfigurationError for half of one."""
    return open_key_ring(settings, make=False) if settings.keys_directory.is_dir() else None


def write_durably(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step; after a crash it holds the old bytes or the new ones."""
    try:
        replace_whole(path, data)
    except OSError as error:
        raise ConfigurationError(f"expected to write {path}, got: {error}") from error


def utc_now() -> str:
    """Return the time in UTC, to the second, for people."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
