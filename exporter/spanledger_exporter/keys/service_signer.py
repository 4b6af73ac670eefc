"""A signing key that never leaves a key service: AWS KMS, Google Cloud KMS, Azure Key Vault, HashiCorp Vault.

    SPANLEDGER_SIGNER=awskms:alias/spanledger
    SPANLEDGER_SIGNER=gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1
    SPANLEDGER_SIGNER=azurekms://vault.vault.azure.net/keys/spanledger/<version>
    SPANLEDGER_SIGNER=hv:spanledger

Rules
- securesystemslib (extra `kms`) talks to the service; credentials are the ambient ones of each service's own SDK.
- Vault signs with Ed25519 (note type 0x01). The others offer it not, or not through securesystemslib, and sign with
  ECDSA P-256 (note type 0x02). Any other kind of key is refused.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from spanledger_exporter.errors import ConfigurationError, SpanledgerError
from spanledger_exporter.ledger.note import ECDSA_P256, ED25519, VerifierKey, check_key_name

SCHEMES = ("awskms", "gcpkms", "azurekms", "hv")


class SignerUnavailableError(SpanledgerError):
    """The key service could not be asked, or refused."""


class ServiceSigner:
    """A key behind securesystemslib's signer interface; see `ledger.note.Signer`."""

    __slots__ = ("_signer", "verifier_key")

    def __init__(self, signer: Any, *, name: str) -> None:
        self._signer = signer
        self.verifier_key = _verifier_key(signer.public_key, name=name)

    def sign(self, message: bytes) -> bytes:
        """Return the service's signature of `message`."""
        try:
            return bytes.fromhex(self._signer.sign(message).signature)
        except Exception as error:
            raise SignerUnavailableError(
                f"expected the key service to sign for {self.verifier_key.name}, got {type(error).__name__}: {error}"
            ) from error


def open_service_signer(uri: str, *, name: str) -> ServiceSigner:
    """Ask the service for the key at `uri` and return a signer that calls itself `name`.

    Raises ConfigurationError for a URI or key of an unknown kind, SignerUnavailableError when the service fails.
    """
    scheme, _, place = uri.partition(":")
    if scheme not in SCHEMES or not place:
        raise ConfigurationError(f"expected SPANLEDGER_SIGNER to start with {', '.join(SCHEMES)}, got {uri!r}")
    try:
        from securesystemslib import signer as services  # noqa: PLC0415 - an extra, loaded when asked for
    except ImportError as error:
        raise ConfigurationError(
            f"expected securesystemslib for SPANLEDGER_SIGNER={uri}, got none: install spanledger[kms]"
        ) from error
    try:
        return ServiceSigner(_connect(services, scheme, place), name=name)
    except SpanledgerError:
        raise
    except Exception as error:
        raise SignerUnavailableError(f"expected a key at {uri}, got {type(error).__name__}: {error}") from error


def _connect(services: Any, scheme: str, place: str) -> Any:
    if scheme == "azurekms":
        vault, _, key = place.removeprefix("//").partition(".vault.azure.net/keys/")
        address, public_key = services.AzureSigner.import_(vault, key.partition("/")[0])
    else:
        kinds = {"awskms": services.AWSSigner, "gcpkms": services.GCPSigner, "hv": services.VaultSigner}
        address, public_key = kinds[scheme].import_(place)
    return services.Signer.from_priv_key_uri(address, public_key)


def _verifier_key(public_key: Any, *, name: str) -> VerifierKey:
    check_key_name(name)
    text = str(public_key.keyval["public"])
    if public_key.keytype == "ed25519":
        return VerifierKey(name, ED25519, bytes.fromhex(text))
    key = load_pem_public_key(text.encode())
    if isinstance(key, Ed25519PublicKey):
        return VerifierKey(name, ED25519, key.public_bytes_raw())
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return VerifierKey(name, ECDSA_P256, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    raise ConfigurationError(
        f"expected an Ed25519 or ECDSA P-256 key in the key service, got {public_key.keytype}/{public_key.scheme}"
    )
