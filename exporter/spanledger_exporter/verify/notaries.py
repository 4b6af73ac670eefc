"""Anchors that keep nothing we could read back: what their receipts prove, and what a witness remembers.

Rules
- A receipt proves itself. One that does not hold was forged or belongs to another note: tampering. One by somebody whom
  nobody told us to believe is `unverifiable`, and where nobody was named at all the proof is `incomplete`: neither
  accuses the ledger, and neither counts.
- A witness is asked how far the log went. A size that the store has no checkpoint of, or another root for one that it
  has, was signed and is gone here: the log was cut, forked, or went back to an older copy, directory anchor and all.
- The sealer may be at work: a checkpoint is in the store before a witness gets it, so the store is read again before
  a size is called missing.
- What was asked, and what was not, stands in the verdict's notes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from spanledger_exporter.anchors.anchor import (
    AnchorConflictError,
    AnchorError,
    Notary,
    Remembering,
    UncheckedReceiptError,
    UnknownAuthorityError,
)
from spanledger_exporter.anchors.witnessed import SignedNotes, find_foreign_size
from spanledger_exporter.errors import ProofError
from spanledger_exporter.verify.checkpoints import KnownCheckpoint, is_signed
from spanledger_exporter.verify.source import CheckpointRow, ReceiptRow
from spanledger_exporter.verify.trust import Trust
from spanledger_exporter.verify.verdict import Findings

CLOCKS_AGREE = timedelta(minutes=5)
"""Receipts from further in the future than this are told: two clocks contradict each other."""


def confirm_receipts(
    notaries: Iterable[Notary],
    receipts: Sequence[ReceiptRow],
    stored: Iterable[KnownCheckpoint],
    findings: Findings,
    *,
    now: datetime,
) -> list[KnownCheckpoint]:
    """Let each notary (a witness, a time-stamping authority) confirm its receipts; return what they confirm.

    Only signed checkpoints of the store count: a forged note beside one of them is no reason to doubt its receipt.
    """
    known: dict[int, list[KnownCheckpoint]] = {}
    for found in stored:
        known.setdefault(found.checkpoint.size, []).append(found)
    confirmed: list[KnownCheckpoint] = []
    for notary in notaries:
        mine = [row for row in receipts if _name(row) == _name(notary) and row.size in known]
        good = list(_confirmed(notary, mine, known, findings))
        moments = {checkpoint.checkpoint.size: moment for checkpoint, moment in good}
        _tell_newest(notary, moments, max(known, default=0), now, findings)
        findings.count("anchoring", confirmed_receipts=len(moments))
        confirmed += [checkpoint for checkpoint, _ in good]
    return confirmed


def _confirmed(
    notary: Notary,
    receipts: Iterable[ReceiptRow],
    known: Mapping[int, Sequence[KnownCheckpoint]],
    findings: Findings,
) -> Iterator[tuple[KnownCheckpoint, datetime]]:
    """Yield checkpoint and moment of every receipt that holds; report the others, each reason once."""
    unchecked, unknown = Counter[str](), Counter[str]()
    for row in receipts:
        try:
            yield _confirm(notary, row, known[row.size])
        except UncheckedReceiptError as error:
            unchecked[str(error)] += 1
        except UnknownAuthorityError as error:
            unknown[str(error)] += 1
        except (AnchorError, ProofError) as error:
            findings.tampered("anchoring", f"the receipt of {_name(notary)} for size {row.size} does not hold: {error}")
    for reason, count in unchecked.items():
        findings.incomplete("anchoring", f"{_receipts(count)} of {_name(notary)} could not be checked: {reason}")
    for reason, count in unknown.items():
        findings.unverifiable("anchoring", f"{_receipts(count)} of {_name(notary)} could not be checked: {reason}")


def _confirm(
    notary: Notary, row: ReceiptRow, candidates: Sequence[KnownCheckpoint]
) -> tuple[KnownCheckpoint, datetime]:
    """Return the checkpoint that a receipt is for, and its moment; raise what the notary says where it is for none."""
    receipt = row.receipt.decode("utf-8", "replace")
    for candidate in candidates[1:]:  # two notes of one size: signed by two keys, or a fork; see `compare_with_log`
        with suppress(AnchorError, ProofError):
            return candidate, notary.confirm(candidate.note, receipt)
    return candidates[0], notary.confirm(candidates[0].note, receipt)


def _tell_newest(
    notary: Notary, moments: Mapping[int, datetime], newest: int, now: datetime, findings: Findings
) -> None:
    if not moments:
        findings.note("anchoring", f"{_name(notary)} vouches for nothing here: it has no receipt that holds")
        return
    size = max(moments)
    reach = f"size {size}" if size == newest else f"size {size} of {newest}, and for nothing newer"
    findings.note("anchoring", f"{_name(notary)} vouches for {reach}, since {moments[size]:%Y-%m-%d %H:%M:%S} UTC")
    for at, moment in moments.items():
        if moment - now > CLOCKS_AGREE:
            findings.note(
                "time",
                f"the receipt of {_name(notary)} for size {at} says {moment:%Y-%m-%d %H:%M:%S} UTC, which is still to "
                "come by this machine's clock: one of the two is wrong, and until that is known it proves no time",
            )


def tell_unasked(named: frozenset[tuple[str, str]] | None, receipts: Iterable[ReceiptRow], findings: Findings) -> None:
    """Say whose receipts nobody checked, because no anchor of that name is configured here."""
    if named is None:
        return
    for (kind, target), count in Counter((row.kind, row.target) for row in receipts).items():
        if (kind, target) not in named:
            findings.note(
                "anchoring",
                f"{_receipts(count)} of {kind} {target} {'was' if count == 1 else 'were'} not checked: "
                "SPANLEDGER_ANCHORS does not name it here",
            )


def ask_witnesses(
    notaries: Iterable[Notary],
    checkpoints: Callable[[], Sequence[CheckpointRow]],
    receipts: Sequence[ReceiptRow],
    trust: Trust,
    findings: Findings,
) -> None:
    """Compare what each witness remembers with the store; `checkpoints` reads them anew each time."""
    for notary in notaries:
        if not isinstance(notary, Remembering):
            continue
        try:
            size = find_foreign_size(notary, _signed_notes(checkpoints, trust))
        except AnchorConflictError as error:
            findings.tampered("anchoring", f"an anchor remembers something else: {error}")
            continue
        except AnchorError as error:
            reason = f"an anchor could not be asked, so nothing was held against it: {_name(notary)}: {error}"
            findings.incomplete("anchoring", reason)
            continue
        given = sum(_name(row) == _name(notary) for row in receipts)
        if size == 0 and given:
            findings.incomplete(
                "anchoring",
                f"{_name(notary)} gave {_receipts(given)} and remembers nothing of this log: its state was lost, and "
                "it would vouch for any history; ask its operator",
            )
        elif size:
            findings.tampered(
                "completeness",
                f"{_name(notary)} remembers a checkpoint of size {size}, which is missing from the store's "
                "checkpoints: the log was cut or forked, or the store is an older copy",
            )


def _signed_notes(checkpoints: Callable[[], Sequence[CheckpointRow]], trust: Trust) -> SignedNotes:
    """Read notes that a key of the log signed; what else stands in the table is no question to a witness."""

    def read(size: int | None) -> tuple[int, str] | None:
        rows = sorted(checkpoints(), key=lambda row: row.size, reverse=True)
        for row in rows:
            if size in {None, row.size} and is_signed(row, trust):
                return row.size, row.note
        return None

    return read


def _name(anchor: Notary | Remembering | ReceiptRow) -> str:
    return f"{anchor.kind} {anchor.target}"


def _receipts(count: int) -> str:
    return f"{count} receipt{'' if count == 1 else 's'}"
