"""What a witness remembers of the log, against what this store has.

A witness is asked with a checkpoint that it may have cosigned. It may be ahead of the one it was asked with, and it may
go on between two questions: so it is asked again with the one that it named, if the store has that by then.
"""

from __future__ import annotations

from collections.abc import Callable

from spanledger_exporter.anchors.anchor import Remembering

ATTEMPTS = 3
"""Questions to one witness: it may go on between two of them."""

SignedNotes = Callable[[int | None], tuple[int, str] | None]
"""Reads the store as it is now: size and note of the signed checkpoint of a size, of the newest for None."""


def find_foreign_size(witness: Remembering, signed_notes: SignedNotes) -> int | None:
    """Return a size that it remembers and the store does not know, 0 when it remembers none, None when all is well.

    Raises AnchorError, as AnchorConflictError when it remembers another root for a size that the store knows.
    """
    told: int | None = None
    for _ in range(ATTEMPTS):
        asked = (signed_notes(told) if told else None) or signed_notes(None)
        if asked is None:
            return None
        size, note = asked
        before, told = told, witness.held_size(note)
        if told == size:
            return None
        if told in {0, before}:
            return told
    return None
