"""A witness: cosigns a log's checkpoint if it extends the last one it cosigned (C2SP tlog-witness, Ed25519).

What is checked, in this order, and what the client is told

    1  the request parses                                         400
    2  the origin is one this witness knows                       404
    3  a key of that log signed the checkpoint                    403
    4  old size <= checkpoint size                                400
    5  old size is the size last cosigned (else: that size)       409
    6  the consistency proof holds; equal sizes, equal roots      422
       the state cannot be read or written                        500: nothing is cosigned from a guess

Rules
- The new state is durable before the cosignature leaves, and checked and replaced under one lock (compare-and-set):
  otherwise two requests at once could roll the state back.
- The state is one file per log, the cosigned note: an auditor can read it, and a backup of it is a record.
- A checkpoint that a key of the log signed and that contradicts the state is what a witness is for: it is logged, and
  the first one is kept beside the state (`.refused`). The two notes together prove two histories to anybody.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

from spanledger_exporter.directories import make_directory
from spanledger_exporter.errors import ConfigurationError, ProofError, SpanledgerError
from spanledger_exporter.keys.key_ring import write_durably
from spanledger_exporter.ledger.checkpoint import Checkpoint, SignedCheckpoint, claimed_checkpoint, open_checkpoint
from spanledger_exporter.ledger.cosignature import cosign
from spanledger_exporter.ledger.merkle import EMPTY_ROOT, verify_consistency
from spanledger_exporter.ledger.note import Signer, VerifierKey, format_note, format_signature_line
from spanledger_exporter.witness.protocol import SIZE_CONTENT_TYPE, AddCheckpoint, parse_add_checkpoint

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client gets."""

    status: HTTPStatus
    body: str
    content_type: str = "text/plain; charset=utf-8"


class Witness:
    """One witness with its key, the logs it knows, and its state directory."""

    def __init__(
        self, signer: Signer, *, logs: Iterable[VerifierKey], directory: Path, clock_s: Callable[[], int]
    ) -> None:
        self.signer = signer
        self._logs: dict[str, list[VerifierKey]] = {}
        for key in logs:
            self._logs.setdefault(key.name, []).append(key)
        self._directory = directory
        self._clock_s = clock_s
        self._lock = threading.Lock()
        try:
            make_directory(directory)
        except OSError as error:
            raise ConfigurationError(f"expected to write the witness's state in {directory}, got: {error}") from error

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one request."""
        try:  # 1
            request = parse_add_checkpoint(body)
            origin = claimed_checkpoint(request.note).origin
        except ProofError as error:
            return Answer(HTTPStatus.BAD_REQUEST, f"{error}\n")
        keys = self._logs.get(origin)
        if keys is None:  # 2
            return Answer(HTTPStatus.NOT_FOUND, f"expected a log this witness knows, got {origin!r}\n")
        try:  # 3
            signed = open_checkpoint(request.note, keys, origin=origin)
        except ProofError as error:
            return Answer(HTTPStatus.FORBIDDEN, f"{error}\n")
        if request.old_size > signed.checkpoint.size:  # 4
            return Answer(
                HTTPStatus.BAD_REQUEST, "expected an old size up to the checkpoint's size, got a larger one\n"
            )
        try:
            with self._state_of(origin) as path:
                return self._cosign(request, signed, path)
        except (SpanledgerError, OSError) as error:
            _log.error(
                "spanledger: expected the state of %s in %s to be readable and writable, got: %s; restore it from its "
                "backup: a witness without it could cosign a second history", origin, self._directory, error,
            )  # fmt: skip
            told = "this witness cannot read or write its state: its operator has to restore it\n"
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, told)

    def _cosign(self, request: AddCheckpoint, signed: SignedCheckpoint, path: Path) -> Answer:
        held = self._held(path)
        size = held.size if held else 0
        if request.old_size != size:  # 5
            return Answer(HTTPStatus.CONFLICT, f"{size}\n", SIZE_CONTENT_TYPE)
        try:  # 6
            _expect_extends(held, signed.checkpoint, request)
        except ProofError as error:
            self._keep_refused(request, signed, path, error)
            return Answer(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}\n")
        line = cosign(signed.note.text, self.signer, timestamp_s=self._clock_s())
        both = replace(signed.note, signatures=(*signed.note.signatures, line))
        write_durably(path, format_note(both).encode())  # before the cosignature leaves
        return Answer(HTTPStatus.OK, format_signature_line(line))

    def _keep_refused(self, request: AddCheckpoint, signed: SignedCheckpoint, path: Path, error: ProofError) -> None:
        refused = path.with_name(f"{path.name}.refused")
        if not refused.exists():
            write_durably(refused, request.note.encode())
        _log.warning(
            "spanledger: refused checkpoint %d of %s, signed by its key: %s. The proof was damaged on its way, or "
            "two histories were signed: compare %s with %s, and ask the log's operator",
            signed.checkpoint.size, signed.checkpoint.origin, error, refused, path,
        )  # fmt: skip

    def remembered(self) -> Mapping[str, int]:
        """Return the size last cosigned of each log, 0 where there is none. Raises ProofError for a damaged state."""
        helds = {origin: self._held(self._path(origin)) for origin in self._logs}
        return {origin: held.size if held else 0 for origin, held in helds.items()}

    def _path(self, origin: str) -> Path:
        return self._directory / sha256(origin.encode()).hexdigest()

    def _held(self, path: Path) -> Checkpoint | None:
        try:
            return claimed_checkpoint(path.read_bytes())
        except FileNotFoundError:
            return None

    @contextmanager
    def _state_of(self, origin: str) -> Generator[Path]:
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with self._lock:
                fcntl.flock(
                    descriptor, fcntl.LOCK_EX
                )  # a second witness process over one state is a mistake, not a fork
                yield self._path(origin)
        finally:
            os.close(descriptor)


def _expect_extends(held: Checkpoint | None, new: Checkpoint, request: AddCheckpoint) -> None:
    if new.size == 0 and new.root != EMPTY_ROOT:
        raise ProofError("expected the root of the empty tree at size 0")
    if held is None or held.size == 0:
        if request.proof:
            raise ProofError("expected an empty proof from size 0, got hashes")
        return
    verify_consistency(old_size=held.size, size=new.size, old_root=held.root, root=new.root, proof=request.proof)
