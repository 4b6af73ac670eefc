"""A C2SP witness as an anchor: it cosigns the checkpoint, and remembers how far the log went.

    witness:<vkey of type 0x04>@https://witness.example

Rules
- The witness says what it cosigned last (409); the proof from there is made on the spot. Usually it is what it cosigned
  for us a moment ago, and one request is enough.
- A witness that remembers a longer log, or to whom our log does not prove consistent, has seen another history: a
  conflict, never retried quietly.
- The receipt is the cosignature's line. It is verified under the configured vkey before it counts.
- Asked what it remembers, it is sent a checkpoint that it may have cosigned, as the next after itself: it cosigns the
  same again, or names its size, and stays where it is.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from io import BufferedIOBase
from typing import cast

from spanledger_exporter.anchors.anchor import TIMEOUT_S, AnchorConflictError, AnchorError, Submission, read_answer
from spanledger_exporter.errors import ConfigurationError, ProofError
from spanledger_exporter.ledger.checkpoint import claimed_checkpoint, parse_size
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
        self._expect_ok(status, text)
        line = self._verified(text, submission.note)
        self._old_size = submission.size
        return line

    def held_size(self, note: str) -> int:
        """Ask what the witness remembers; what it cosigned for us a moment ago is not asked again."""
        size = claimed_checkpoint(note).size
        if size == self._old_size:
            return size
        status, text = self._post(old_size=size, proof=(), note=note)
        told = self._told_size(text) if status == HTTPStatus.CONFLICT else size
        if told != size:
            return told
        if status in {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}:
            raise AnchorConflictError(
                f"witness {self.target} remembers another log of size {size} than the store tells: two histories"
            )
        self._expect_ok(status, text)
        self._verified(text, note)
        return size

    def confirm(self, note: str, receipt: str) -> datetime:
        """Verify a cosignature and return when the witness gave it."""
        line = parse_signature_line(self._verified(receipt, note).removesuffix("\n"))
        try:
            return datetime.fromtimestamp(cosignature_time_s(line), UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise AnchorError(f"expected a time in the cosignature of {self.target}, got: {error}") from error

    def _expect_ok(self, status: int, text: str) -> None:
        if status == HTTPStatus.OK:
            return
        remedy = ""
        if status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            remedy = (
                ". Its operator has to name every key of this log, as `keys show` prints them: `witness --log VKEY`"
            )
        raise AnchorError(f"expected witness {self.target} to cosign, got {status}: {text.strip()[:300]}{remedy}")

    def _ask(self, submission: Submission) -> tuple[int, str]:
        old_size = min(self._old_size, submission.size)
        proof = submission.consistency_from(old_size) if 0 < old_size < submission.size else ()
        return self._post(old_size=old_size, proof=proof, note=submission.note)

    def _post(self, *, old_size: int, proof: Sequence[bytes], note: str) -> tuple[int, str]:
        body = format_add_checkpoint(old_size=old_size, proof=proof, note=note)
        request = urllib.request.Request(self._url + PATH, data=body, method="POST")  # noqa: S310 - checked when opened
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return answer.status, read_answer(answer, MAX_ANSWER_BYTES).decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, read_answer(cast("BufferedIOBase", error.fp), MAX_ANSWER_BYTES).decode(
                    "utf-8", "replace"
                )
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
