"""A C2SP witness as an anchor: it cosigns the checkpoint, and remembers how far the log went.

    witness:<vkey of type 0x04>@https://witness.example

Rules
- The witness says what it cosigned last (409); the proof from there is made on the spot. Usually it is what it cosigned
  for us a moment ago, and one request is enough.
- A witness that remembers a longer log, or to whom our log does not prove consistent, has seen another history: a
  conflict, never retried quietly.
- The receipt is the cosignature's line. It is verified under the configured vkey before it counts.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus

from spanledger_exporter.anchors.anchor import TIMEOUT_S, AnchorConflictError, AnchorError, Submission
from spanledger_exporter.errors import ConfigurationError, ProofError
from spanledger_exporter.ledger.checkpoint import parse_size
from spanledger_exporter.ledger.cosignature import cosignature_time_s
from spanledger_exporter.ledger.note import (
    COSIGNATURE_V1,
    VerifierKey,
    format_signature_line,
    parse_note,
    parse_signature_line,
    parse_vkey,
    verify_note,
)
from spanledger_exporter.witness.protocol import PATH, format_add_checkpoint

MAX_ANSWER_BYTES = 100_000


class WitnessAnchor:
    """An anchor at a witness."""

    kind = "witness"

    def __init__(self, key: VerifierKey, url: str) -> None:
        self.key = key
        self._url = url.rstrip("/")
        self._old_size = 0
        self.target = f"{key.name}+{key.key_id.hex()}@{self._url}"

    def publish(self, submission: Submission) -> str:
        """Have the checkpoint cosigned; the receipt is the signature line."""
        status, text = self._ask(submission)
        if status == HTTPStatus.CONFLICT:
            self._old_size = self._told_size(text)
            if self._old_size > submission.size:
                raise AnchorConflictError(
                    f"expected witness {self.target} to know at most size {submission.size}, got {self._old_size}: it "
                    "saw a longer log than this store tells; restore the newer store"
                )
            status, text = self._ask(submission)
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise AnchorConflictError(
                f"expected witness {self.target} to find the log consistent, got: {text.strip()[:300]}: "
                "it saw another history"
            )
        if status != HTTPStatus.OK:
            raise AnchorError(f"expected witness {self.target} to cosign, got {status}: {text.strip()[:300]}")
        line = self._verified(text, submission.note)
        self._old_size = submission.size
        return line

    def confirm(self, note: str, receipt: str) -> str:
        """Verify a cosignature and say when the witness gave it."""
        line = parse_signature_line(self._verified(receipt, note).removesuffix("\n"))
        return f"cosigned at {datetime.fromtimestamp(cosignature_time_s(line), UTC).isoformat()}"

    def _ask(self, submission: Submission) -> tuple[int, str]:
        old_size = min(self._old_size, submission.size)
        proof = submission.consistency_from(old_size) if 0 < old_size < submission.size else ()
        body = format_add_checkpoint(old_size=old_size, proof=proof, note=submission.note)
        request = urllib.request.Request(self._url + PATH, data=body, method="POST")  # noqa: S310 - checked when opened
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return answer.status, answer.read(MAX_ANSWER_BYTES).decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(MAX_ANSWER_BYTES).decode("utf-8", "replace")
        except (OSError, ValueError) as error:
            raise AnchorError(f"expected an answer from witness {self.target}, got: {error}") from error

    def _told_size(self, text: str) -> int:
        try:
            return parse_size(text.removesuffix("\n"))
        except ProofError as error:
            raise AnchorError(f"expected a size from witness {self.target}, got: {error}") from error

    def _verified(self, text: str, note_text: str) -> str:
        note = parse_note(note_text)
        mine = (self.key.name, self.key.key_id)
        try:
            lines = [parse_signature_line(line) for line in text.split("\n") if line]
            signatures = tuple(line for line in lines if (line.name, line.key_id) == mine)
            verify_note(replace(note, signatures=signatures), [self.key])
        except ProofError as error:
            raise AnchorError(f"expected a good cosignature by {self.target}, got: {error}") from error
        return format_signature_line(signatures[0])


def open_witness(text: str) -> WitnessAnchor:
    """Return the anchor that `<vkey>@<url>` names. Raises ConfigurationError."""
    vkey, _, url = text.rpartition("@")
    try:
        key = parse_vkey(vkey)
    except ProofError as error:
        raise ConfigurationError(
            f"expected witness:<vkey>@<url> in SPANLEDGER_ANCHORS, got {text!r}: {error}"
        ) from error
    if key.algorithm != COSIGNATURE_V1 or not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"expected a witness key (type 0x04) and an http(s) URL, got {text!r}")
    return WitnessAnchor(key, url)
