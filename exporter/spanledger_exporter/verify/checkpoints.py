"""Checkpoints, wherever they lie: signature, origin, and agreement with the log (ledger.md section 6).

Rules
- Nothing is read from a note before a pinned key's signature over it was verified.
- A key signs only in its range of tree sizes; outside it is a stranger's.
- Two signed checkpoints of one size with different roots are a fork, for ever.
- A checkpoint that is larger than the log shows that the log's tail was cut or rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.checkpoint import Checkpoint, claimed_checkpoint, open_checkpoint
from spanledger_exporter.verify.log_review import LogView
from spanledger_exporter.verify.source import CheckpointRow
from spanledger_exporter.verify.trust import Trust
from spanledger_exporter.verify.verdict import Check, Findings


@dataclass(frozen=True, slots=True)
class KnownCheckpoint:
    """A checkpoint whose signature holds, where it was found, and the note that was read there, if it was one."""

    checkpoint: Checkpoint
    place: str
    note: str = ""


def review_stored(rows: Iterable[CheckpointRow], trust: Trust, findings: Findings) -> list[KnownCheckpoint]:
    """Judge the `checkpoints` table."""
    known: list[KnownCheckpoint] = []
    for row in rows:
        findings.count("authenticity", checkpoints=1)
        place = f"the stored checkpoint of size {row.size}"
        found = open_known(row.note, place, trust, findings, check="authenticity")
        if found is None:
            continue
        if (found.checkpoint.size, found.checkpoint.root) != (row.size, row.root):
            findings.tampered("integrity", f"{place} has other columns than its signed note")
        known.append(found)
    return known


def open_known(note: str, place: str, trust: Trust, findings: Findings, *, check: Check) -> KnownCheckpoint | None:
    """Verify one note; report and return None when it does not hold."""
    if not trust.log_keys:
        findings.unverifiable(
            "authenticity", f"no key is pinned, so {place} proves nothing: pass --key or --trust-root"
        )
        return None
    try:
        claimed = claimed_checkpoint(note)
        signed = open_checkpoint(note, trust.at(claimed.size), origin=trust.origin, witnesses=trust.witnesses)
    except ProofError as error:
        findings.tampered(check, f"{place} does not hold: {error}")
        return None
    findings.count("authenticity", signatures=len(signed.signed_by), cosignatures=len(signed.witnesses))
    return KnownCheckpoint(signed.checkpoint, place, note)


def is_signed(row: CheckpointRow, trust: Trust) -> bool:
    """Say whether a pinned key's signature holds over the size that a row of `checkpoints` names."""
    known = open_known(row.note, "a checkpoint", trust, Findings(), check="authenticity")
    return known is not None and known.checkpoint.size == row.size


def signed_size(newest: Checkpoint | None, trust: Trust) -> int | None:
    """Return how far the log is signed; None where nobody said whose signature counts."""
    if not trust.log_keys:
        return None
    return newest.size if newest else 0


def tell_unsigned(
    view: LogView, checkpoints: Callable[[], Sequence[CheckpointRow]], trust: Trust, findings: Findings
) -> None:
    """Report entries that no checkpoint is over; `checkpoints` reads them anew, because the sealer may be at work."""
    signed = signed_size(findings.newest, trust)
    if signed is None or view.size <= signed:
        return
    if any(row.size >= view.size and is_signed(row, trust) for row in checkpoints()):
        return
    findings.incomplete(
        "completeness",
        f"{view.size - signed} entries of the log, from {signed} on, are under no signed checkpoint: a sealer died, or "
        "somebody put them there; `spanledger seal` proves and signs them, or says why not",
    )


def compare_with_log(known: Iterable[KnownCheckpoint], view: LogView, findings: Findings) -> Checkpoint | None:
    """Check that every known checkpoint is a prefix of the log; return the largest one that is."""
    largest: Checkpoint | None = None
    roots: dict[tuple[str, int], KnownCheckpoint] = {}
    for found in known:
        checkpoint, size = found.checkpoint, found.checkpoint.size
        other = roots.setdefault((checkpoint.origin, size), found)
        if other.checkpoint.root != checkpoint.root:
            findings.tampered("integrity", f"{found.place} and {other.place} have different roots: the log was forked")
        if size > view.size:
            reason = f"{found.place} is over {size} entries, the log has {view.size}: its tail was cut or rolled back"
            findings.tampered("completeness", reason)
        elif size and view.roots.get(size) != checkpoint.root:
            findings.tampered("integrity", f"{found.place} was signed over another log than the stored one")
        else:
            largest = checkpoint if largest is None or size > largest.size else largest
    return largest
