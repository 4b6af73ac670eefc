"""RFC 3161 timestamps: a time-stamping authority signs that it saw a checkpoint's note, and when.

    rfc3161:https://tsa.example/tsr                        status, imprint and nonce are checked
    rfc3161:https://tsa.example/tsr?roots=/etc/tsa.pem     and the authority's certificates, at the time it states

Rules
- What is stamped is the whole note, signatures included, with SHA-256.
- The receipt is base64 of the DER response; it verifies offline for as long as somebody keeps the root certificate,
  even after the authority's own certificate has expired: certificates are judged at the stamped time.
- Without `roots` a receipt is kept and counts for nothing: anybody could have written it.
- A timestamp proves "not later than"; it holds no checkpoint and cannot be asked for one.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from cryptography.x509 import Certificate, load_pem_x509_certificates

from spanledger_exporter.anchors.anchor import (
    TIMEOUT_S,
    AnchorError,
    Submission,
    UncheckedReceiptError,
    UnknownAuthorityError,
    read_answer,
)
from spanledger_exporter.errors import ConfigurationError, ProofError

MAX_RESPONSE_BYTES = 1_000_000
_GRANTED = 0  # PKIStatus of RFC 3161 section 2.4.2


class UnknownSignerError(ProofError):
    """A timestamp whose certificates do not lead to a root that is believed, at the time that it states."""


class Rfc3161Anchor:
    """An anchor at a time-stamping authority."""

    kind = "rfc3161"

    def __init__(self, url: str, *, roots: tuple[Certificate, ...] = ()) -> None:
        self.target = url
        self._roots = roots
        self._client = _load_client()

    @property
    def has_roots(self) -> bool:
        """Whether anybody said which authority to believe."""
        return bool(self._roots)

    def publish(self, submission: Submission) -> str:
        """Have the note stamped; the receipt is base64 of the response."""
        note = submission.note.encode()
        builder = self._client.TimestampRequestBuilder().data(note)
        request = builder.hash_algorithm(self._client.HashAlgorithm.SHA256).build()
        data = self._post(request.as_bytes())
        try:
            verify_timestamp(data, note, roots=self._roots, nonce=request.nonce)
        except ProofError as error:
            raise AnchorError(f"expected a good timestamp from {self.target}, got: {error}") from error
        return b64encode(data).decode()

    def confirm(self, note: str, receipt: str) -> datetime:
        """Verify a receipt offline and return the moment at which the note existed."""
        try:
            moment = verify_timestamp(parse_receipt(receipt), note.encode(), roots=self._roots)
        except UnknownSignerError as error:
            remedy = "an authority that has a new root needs the old one beside it, in the file that roots= names"
            raise UnknownAuthorityError(f"{error}; {remedy}") from error
        except ProofError as error:
            raise AnchorError(str(error)) from error
        if not self._roots:
            raise UncheckedReceiptError("nobody said whose stamps to believe: add ?roots=FILE.pem to the anchor")
        return moment

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/timestamp-query"}
        request = urllib.request.Request(self.target, data=body, headers=headers, method="POST")  # noqa: S310 - checked
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return read_answer(answer, MAX_RESPONSE_BYTES)
        except (OSError, ValueError, urllib.error.URLError) as error:
            raise AnchorError(f"expected a timestamp from {self.target}, got: {error}") from error


def verify_timestamp(
    data: bytes, message: bytes, *, roots: tuple[Certificate, ...] = (), nonce: int | None = None
) -> datetime:
    """Check a timestamp response over `message` and return the time it states.

    Without `roots` only status, imprint and nonce are checked, which anybody could have written. Raises ProofError.
    """
    try:
        return _verify(_load_client(), data, sha256(message).digest(), roots=roots, nonce=nonce)
    except (ProofError, ConfigurationError):
        raise
    except Exception as error:
        raise ProofError(f"expected a good RFC 3161 timestamp, got {type(error).__name__}: {error}") from error


def _verify(
    client: ModuleType, data: bytes, digest: bytes, *, roots: tuple[Certificate, ...], nonce: int | None
) -> datetime:
    try:
        response = client.decode_timestamp_response(data)
    except ValueError as error:
        raise ProofError(f"expected an RFC 3161 response, got {len(data)} other bytes: {data[:60]!r}") from error
    if response.status != _GRANTED:
        raise ProofError(f"expected the timestamp to be granted, got status {response.status} {response.status_string}")
    info = response.tst_info
    if info.message_imprint.message != digest:
        raise ProofError("expected a timestamp over this note, got one over other bytes")
    if nonce is not None and info.nonce != nonce:
        raise ProofError("expected the nonce of my request in the timestamp, got another: a replay")
    if roots:
        _verify_signer(client, response, digest, roots=roots, nonce=nonce)
    moment: datetime = info.gen_time
    return moment


def _verify_signer(
    client: ModuleType, response: Any, digest: bytes, *, roots: tuple[Certificate, ...], nonce: int | None
) -> None:
    try:
        client.VerifierBuilder(roots=list(roots), nonce=nonce).build().verify(response, digest)
    except client.VerificationError as error:
        found = re.search('certificate verify error.*"Verify error: ([^"]+)"', str(error))
        if found is None:
            raise
        raise UnknownSignerError(
            f"expected a certificate for time stamps that leads to one in roots=, got: {found[1]}"
        ) from error


def parse_receipt(receipt: str) -> bytes:
    """Return the DER response in a receipt. Raises ProofError."""
    try:
        return b64decode(receipt, validate=True)
    except ValueError as error:
        raise ProofError(f"expected base64 in a timestamp receipt, got {receipt[:40]!r}") from error


def open_rfc3161(url: str, *, options: Mapping[str, str]) -> Rfc3161Anchor:
    """Return the anchor at `url`; `options` may name a PEM file of `roots`."""
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"expected rfc3161:https://… in SPANLEDGER_ANCHORS, got {f'rfc3161:{url}'!r}")
    if others := set(options) - {"roots"}:
        raise ConfigurationError(f"expected at most roots= after '?' of {url}, got {', '.join(sorted(others))}")
    return Rfc3161Anchor(url, roots=read_roots(Path(options["roots"])) if "roots" in options else ())


def read_roots(path: Path) -> tuple[Certificate, ...]:
    """Read the PEM certificates that a verifier trusts."""
    try:
        return tuple(load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"expected PEM certificates in {path}, got: {error}") from error


def _load_client() -> ModuleType:
    try:
        import rfc3161_client  # noqa: PLC0415 - an extra, loaded when asked for
    except ImportError as error:
        raise ConfigurationError("expected rfc3161-client, got none: install spanledger[rfc3161]") from error
    return rfc3161_client
