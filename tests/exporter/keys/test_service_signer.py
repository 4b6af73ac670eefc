"""Keys in key services: AWS KMS against moto's server, the other kinds against securesystemslib's own signers.

What is not tested here: Google's, Azure's and Vault's services themselves. What comes from them is securesystemslib's
signer interface, and that is what the stand-ins below are made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import boto3
import pytest
from securesystemslib.signer._crypto_signer import CryptoSigner

from moto_server import running_moto
from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import ConfigurationError, ProofError
from spanledger_exporter.keys import service_signer
from spanledger_exporter.keys.key_ring import open_key_ring
from spanledger_exporter.keys.service_signer import ServiceSigner, SignerUnavailableError, open_service_signer
from spanledger_exporter.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from spanledger_exporter.ledger.note import ECDSA_P256, ED25519, parse_vkey, verify_signature

NAME = "spanledger/test"
CHECKPOINT = Checkpoint(NAME, 7, b"\x11" * 32)


@pytest.mark.parametrize(
    ("generate", "algorithm"),
    [(CryptoSigner.generate_ed25519, ED25519), (CryptoSigner.generate_ecdsa, ECDSA_P256)],
    ids=["as Vault signs", "as Google and Azure sign"],
)
def test_what_a_service_signs_verifies_under_its_vkey(generate: object, algorithm: int) -> None:
    """Through the vkey's text, as a stranger would have it."""
    assert callable(generate)
    signer = ServiceSigner(generate(), name=NAME)
    key = parse_vkey(signer.verifier_key.vkey)
    assert key.algorithm == algorithm
    assert open_checkpoint(sign_checkpoint(CHECKPOINT, [signer]), [key]).signed_by == (key,)


def test_an_rsa_key_is_refused() -> None:
    """Notes have no signature type for it."""
    with pytest.raises(ConfigurationError, match="expected an Ed25519 or ECDSA P-256 key"):
        ServiceSigner(CryptoSigner.generate_rsa(), name=NAME)


def test_a_service_that_fails_to_sign_is_told_as_unavailable() -> None:
    """Nothing raw of its SDK leaks."""
    real = CryptoSigner.generate_ed25519()

    class Failing:
        public_key = real.public_key

        def sign(self, payload: bytes) -> object:
            raise RuntimeError("throttled")

    with pytest.raises(SignerUnavailableError, match="throttled"):
        ServiceSigner(Failing(), name=NAME).sign(b"x")


@pytest.mark.parametrize("uri", ["", "awskms:", "file:key", "hv"])
def test_a_uri_of_an_unknown_kind_is_one_clear_line(uri: str) -> None:
    """It lists what is accepted."""
    with pytest.raises(ConfigurationError, match="awskms, gcpkms, azurekms, hv"):
        open_service_signer(uri, name=NAME)


@pytest.mark.parametrize(
    "uri", ["gcpkms:projects/p", "azurekms://v.vault.azure.net/keys/k/1", "hv:key"], ids=["gcpkms", "azurekms", "hv"]
)
def test_a_service_whose_sdk_is_absent_or_silent_is_told_as_unavailable(uri: str) -> None:
    """Its own extra of securesystemslib is named in our documentation."""
    with pytest.raises(SignerUnavailableError, match="expected a key at"):
        open_service_signer(uri, name=NAME)


@pytest.fixture(scope="module")
def aws_endpoint() -> Iterator[str]:
    """Run moto's server and yield its URL."""
    with running_moto() as url:
        yield url


def test_a_key_in_aws_kms_is_found_by_its_uri_and_signs(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The public key comes from the service, the signature too.

    moto ignores `MessageType=DIGEST` and hashes what is a hash already, so its signature holds over the hash of the
    message; AWS signs the digest as it is. And so the ring's own check, tested below, refuses moto's signature.
    """
    uri = make_aws_key(aws_endpoint, monkeypatch)
    signer = open_service_signer(uri, name=NAME)
    assert signer.verifier_key.algorithm == ECDSA_P256
    verify_signature(signer.verifier_key, sha256(b"message").digest(), signer.sign(b"message"))


def test_a_service_whose_signatures_do_not_hold_never_becomes_a_logs_key(
    aws_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ring verifies what the service signed before it publishes a trust root."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path)})
    with pytest.raises(ProofError, match="expected a good signature"):
        open_key_ring(replace(settings, signer=make_aws_key(aws_endpoint, monkeypatch)))
    assert list((tmp_path / "keys").glob("*.json")) == []


def make_aws_key(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a key in moto's KMS and return its URI."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    made = boto3.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    return f"awskms:{made['KeyMetadata']['KeyId']}"


def test_a_log_whose_key_lives_in_a_service_signs_and_verifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ring holds no private key; only the trust root is on disk. The same key cannot be rotated to."""
    service = CryptoSigner.generate_ecdsa()
    monkeypatch.setattr(service_signer, "_connect", lambda *_: service)
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path), "SPANLEDGER_SIGNER": "hv:audit"})
    ring = open_key_ring(settings)
    assert list(ring.directory.glob("*.key")) == []
    key = ring.root.current.key
    note = sign_checkpoint(replace(CHECKPOINT, origin=ring.origin), [ring.signer()])
    assert (open_checkpoint(note, [key]).signed_by, key.algorithm) == ((key,), ECDSA_P256)
    with pytest.raises(ConfigurationError, match="expected a new key to rotate to"):
        ring.begin_rotation()
