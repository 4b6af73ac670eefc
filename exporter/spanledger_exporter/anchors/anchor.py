"""What an anchor is: a place outside the store that remembers a checkpoint, and perhaps the chains that were opened.

Rules
- An anchor never blocks a writer: the sealer talks to it after the checkpoint is in the store, with a time limit.
- An outage is AnchorError: reported, and tried again at the next seal. Publishing the newest checkpoint is enough, it
  covers every older one.
- An anchor that holds *another* checkpoint under the same name is AnchorConflictError: two histories, an alarm.
- `publish` may be repeated with the same checkpoint; the second time changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BufferedIOBase
from typing import Protocol, runtime_checkable

from spanledger_exporter.errors import SpanledgerError
from spanledger_exporter.ledger.chain_registry import ChainOpening, parse_opening_or_none

TIMEOUT_S = 20.0
"""How long one answer of an anchor may take."""


class AnchorError(SpanledgerError):
    """An anchor could not be reached or refused; it is tried again later."""


class AnchorConflictError(AnchorError):
    """An anchor remembers another history than the store tells."""


class UncheckedReceiptError(AnchorError):
    """A receipt that may be good: whose word it is cannot be told, because nobody said whom to believe."""


class UnknownAuthorityError(AnchorError):
    """A receipt by somebody else than those who are to be believed: forged, or its authority has a new certificate."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint to be remembered. `consistency_from(old_size)` proves that it extends an older tree."""

    size: int
    note: str
    consistency_from: Callable[[int], Sequence[bytes]]


class Anchor(Protocol):
    """Remembers checkpoints."""

    @property
    def kind(self) -> str:
        """Say what it is: `directory`, `s3`, `rfc3161`, `witness`."""
        ...

    @property
    def target(self) -> str:
        """Say where it is."""
        ...

    def publish(self, submission: Submission) -> str:
        """Remember a checkpoint and return the receipt as text. Raises AnchorError."""
        ...


@runtime_checkable
class Archive(Protocol):
    """An anchor that can be read back, and holds the chain registry."""

    def newest(self) -> str | None:
        """Return the note of the largest checkpoint it holds; nothing in it is verified. Raises AnchorError."""
        ...

    def register_chain(self, opening: ChainOpening) -> None:
        """Put a chain into the registry, once. Raises AnchorError."""
        ...

    def chains(self) -> Mapping[bytes, ChainOpening | None]:
        """Return the registry by chain id; None for an entry that does not parse. Raises AnchorError."""
        ...


@runtime_checkable
class Notary(Protocol):
    """An anchor that keeps nothing we could read back, but whose receipts prove themselves."""

    kind: str
    target: str

    def confirm(self, note: str, receipt: str) -> datetime:
        """Verify a receipt over a checkpoint's note; the note existed at the moment that is returned.

        Raises AnchorError, and its subclasses above where a receipt is neither good nor bad.
        """
        ...


@runtime_checkable
class Remembering(Protocol):
    """A notary that remembers how far the log went, and can be asked."""

    kind: str
    target: str

    def held_size(self, note: str) -> int:
        """Return the size that it remembers, 0 for none; it is asked with a signed checkpoint, and goes no further.

        Raises AnchorConflictError when it remembers another root for that size, AnchorError when it cannot be asked.
        """
        ...


def read_answer(answer: BufferedIOBase, limit: int, *, clock_s: Callable[[], float] = time.monotonic) -> bytes:
    """Return at most `limit` bytes of a body; TimeoutError when they take longer than TIMEOUT_S altogether.

    The time limit of a socket counts from byte to byte: a server that sends one now and then would hold the sealer.
    """
    parts: list[bytes] = []
    end_s = clock_s() + TIMEOUT_S
    while limit > 0 and (part := answer.read1(limit)):
        parts.append(part)
        limit -= len(part)
        if clock_s() > end_s:
            raise TimeoutError(f"an answer that was not complete after {TIMEOUT_S:.0f} s")
    return b"".join(parts)


def checkpoint_name(size: int) -> str:
    """Return the name of a checkpoint: twenty digits, so that names sort like sizes."""
    return f"{size:020}"


def claim_of(data: bytes) -> object:
    """Return what an archived object claims: a note's text whoever signed it, or which row opened a chain."""
    opening = parse_opening_or_none(data)
    return data.partition(b"\n\n")[0] if opening is None else (opening.chain, opening.row_hash)
