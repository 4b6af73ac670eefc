"""Time-stamping authorities and witnesses in a verdict: what their receipts prove, and what a witness remembers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sealed_ledgers import ORIGIN, SIGNER, SealedLedger, copied
from spanledger_exporter.anchors.anchor import (
    AnchorError,
    Submission,
    UncheckedReceiptError,
    UnknownAuthorityError,
)
from spanledger_exporter.anchors.witness_client import WitnessAnchor
from spanledger_exporter.keys.key_file import FileSigner
from spanledger_exporter.ledger.cosignature import cosign
from spanledger_exporter.ledger.merkle import Tree
from spanledger_exporter.ledger.note import COSIGNATURE_V1, format_signature_line, parse_note
from spanledger_exporter.verify.notaries import ask_witnesses
from spanledger_exporter.verify.source import AnchoredState, CheckpointRow, ReceiptRow
from spanledger_exporter.verify.verdict import Check, Findings, Verdict
from spanledger_exporter.witness.server import serving
from spanledger_exporter.witness.witness import Witness

WITNESS = FileSigner(b"\3" * 32, name="audit.example/w1", algorithm=COSIGNATURE_V1)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Serve a witness that knows the log."""
    witness = Witness(
        WITNESS, logs=[SIGNER.verifier_key], directory=tmp_path / "state", clock_s=lambda: int(NOW.timestamp())
    )
    with serving(witness) as address:
        yield address


def cosigned(ledger: SealedLedger, url: str) -> WitnessAnchor:
    """Have every checkpoint cosigned that the witness has not seen; return the anchor as a new process has it."""
    anchor = WitnessAnchor(WITNESS.verifier_key, url)
    for row in ledger.checkpoints():
        tree = Tree([entry.leaf_hash for entry in ledger.log_[: row.size]])
        receipt = anchor.publish(Submission(row.size, row.note, tree.consistency_proof))
        ledger.receipts_.append(ReceiptRow(row.size, "witness", anchor.target, receipt.encode()))
    return WitnessAnchor(WITNESS.verifier_key, url)


def told(verdict: Verdict, check: Check) -> str:
    """Return the reasons and notes of one check."""
    result = verdict.checks[check]
    return " | ".join([*(finding.reason for finding in result.findings), *result.notes])


def heartbeat(ledger: SealedLedger, time_ns: int) -> None:
    """Let the log grow by an entry of its own, and sign it."""
    ledger.add_entries([b'{"time":"%d","type":"heartbeat"}' % time_ns])
    ledger.sign()


def gone_back(url: str) -> tuple[SealedLedger, SealedLedger, WitnessAnchor]:
    """Return a ledger, an older copy of everything on its machine, and a witness that cosigned what came after."""
    ledger = SealedLedger.tell(seals=1)
    older = copied(ledger)
    heartbeat(ledger, 1793606400000000000)
    return ledger, older, cosigned(ledger, url)


def test_a_witness_that_agrees_is_said_to_vouch_and_since_when(url: str) -> None:
    """The verdict names it, how far it goes and the moment that it states."""
    ledger = SealedLedger.tell()
    verdict = ledger.verdict(notaries=[cosigned(ledger, url)], now=NOW)
    assert verdict.word == "verified"
    assert f"vouches for size {len(ledger.log_)}, since 2026-11-22 12:00:00 UTC" in told(verdict, "anchoring")


def test_a_machine_that_went_back_to_an_older_copy_is_given_away_by_the_witness(url: str) -> None:
    """Store, spool and directory anchor agree with each other: only the witness remembers what is gone."""
    ledger, older, anchor = gone_back(url)
    assert older.verdict().word == "verified"
    verdict = older.verdict(notaries=[anchor], now=NOW)
    assert verdict.word == "tampered"
    assert f"remembers a checkpoint of size {len(ledger.log_)}, which is missing" in told(verdict, "completeness")


def test_a_log_that_went_on_from_an_older_copy_is_given_away_too(url: str) -> None:
    """It is longer by now than what the witness cosigned, and has no checkpoint of that size."""
    ledger, older, anchor = gone_back(url)
    older.add_entries([b'{"time":"1793606400000000009","type":"heartbeat"}'])
    heartbeat(older, 1793606400000000010)
    verdict = older.verdict(notaries=[anchor], now=NOW)
    assert verdict.word == "tampered"
    assert f"remembers a checkpoint of size {len(ledger.log_)}, which is missing" in told(verdict, "completeness")


def test_two_histories_of_one_size_are_given_away_by_the_witness(url: str) -> None:
    """Size and keys are the same, the root is not."""
    _, older, anchor = gone_back(url)
    heartbeat(older, 1793606400000000010)
    verdict = older.verdict(notaries=[anchor], now=NOW)
    assert verdict.word == "tampered"
    assert "remembers another log of size" in told(verdict, "anchoring")


def test_a_witness_out_of_reach_leaves_the_verdict_incomplete() -> None:
    """It may be the one that remembers another history, as with a bucket."""
    verdict = SealedLedger.tell().verdict(notaries=[WitnessAnchor(WITNESS.verifier_key, "http://127.0.0.1:9")])
    assert verdict.word == "incomplete"
    assert "could not be asked" in told(verdict, "anchoring")


def test_a_witness_that_lost_its_state_is_told(url: str, tmp_path: Path) -> None:
    """It gave receipts, and would now cosign any history."""
    ledger = SealedLedger.tell()
    anchor = cosigned(ledger, url)
    for state in (tmp_path / "state").iterdir():
        state.unlink()
    verdict = ledger.verdict(notaries=[anchor], now=NOW)
    assert verdict.word == "incomplete"
    assert "remembers nothing of this log" in told(verdict, "anchoring")


def test_a_witness_that_is_behind_vouches_for_less_and_accuses_nobody(url: str) -> None:
    """It was away for a while; what it has is a prefix."""
    ledger = SealedLedger.tell(seals=1)
    anchor = cosigned(ledger, url)
    size = len(ledger.log_)
    heartbeat(ledger, 1793606400000000000)
    verdict = ledger.verdict(notaries=[anchor], now=NOW)
    assert verdict.word == "verified"
    assert f"vouches for size {size} of {size + 1}, and for nothing newer" in told(verdict, "anchoring")


def test_a_sealer_at_work_between_two_questions_is_not_an_attack(url: str) -> None:
    """The store is read again before a size is called missing."""
    ledger = SealedLedger.tell(seals=1)
    before = ledger.checkpoints()
    heartbeat(ledger, 1793606400000000000)
    anchor = cosigned(ledger, url)
    answers: list[Sequence[CheckpointRow]] = [ledger.checkpoints(), before]
    findings = Findings()
    ask_witnesses([anchor], answers.pop, ledger.receipts(), ledger.trust, findings)
    assert findings.verdict().word == "verified"


@pytest.mark.parametrize(
    "note", ["", "garbage", "spanledger.example/log\n9999\nAAAA\n\n"], ids=["none", "garbage", "unsigned"]
)
def test_a_forged_checkpoint_is_no_question_to_a_witness(url: str, note: str) -> None:
    """It is reported as what it is, and what the witness remembers is still compared."""
    ledger, older, anchor = gone_back(url)
    older.checkpoints_.append(CheckpointRow(9999, bytes(32), note))
    verdict = older.verdict(notaries=[anchor], now=NOW)
    assert verdict.word == "tampered"
    assert "the stored checkpoint of size 9999 does not hold" in told(verdict, "authenticity")
    assert f"remembers a checkpoint of size {len(ledger.log_)}, which is missing" in told(verdict, "completeness")


def test_a_witness_that_knows_another_key_says_what_its_operator_has_to_do(tmp_path: Path) -> None:
    """After a rotation its configuration names the former key only."""
    stranger = FileSigner(b"\2" * 32, name=ORIGIN)
    witness = Witness(WITNESS, logs=[stranger.verifier_key], directory=tmp_path, clock_s=lambda: 0)
    with serving(witness) as url:
        verdict = SealedLedger.tell().verdict(notaries=[WitnessAnchor(WITNESS.verifier_key, url)])
    assert verdict.word == "incomplete"
    assert "name every key of this log" in told(verdict, "anchoring")


@dataclass(slots=True)
class Authority:
    """A time-stamping authority whose receipts are good, or fail as told."""

    moment: datetime = NOW - timedelta(hours=1)
    error: AnchorError | None = None
    kind: str = "rfc3161"
    target: str = "https://tsa.example/tsr"
    asked: list[str] = field(default_factory=list[str])

    def confirm(self, note: str, receipt: str) -> datetime:
        self.asked.append(receipt)
        if self.error is not None:
            raise self.error
        return self.moment


def stamped(**facts: object) -> Verdict:
    """Judge a good ledger with two timestamps."""
    ledger = SealedLedger.tell(seals=2)
    authority = Authority(**facts)  # type: ignore[arg-type]
    ledger.receipts_ += [
        ReceiptRow(row.size, authority.kind, authority.target, b"stamp") for row in ledger.checkpoints()
    ]
    return ledger.verdict(notaries=[authority], now=NOW)


@pytest.mark.parametrize(
    ("error", "word", "reason"),
    [
        (UnknownAuthorityError("no path to a root"), "unknown", "2 receipts of rfc3161 https://tsa.example/tsr could"),
        (
            UncheckedReceiptError("add roots"),
            "incomplete",
            "2 receipts of rfc3161 https://tsa.example/tsr could not be",
        ),
        (AnchorError("over other bytes"), "tampered", "for size 1 does not hold: over other bytes"),
    ],
    ids=["signed by an unknown authority", "nobody said whom to believe", "forged"],
)
def test_only_a_receipt_that_does_not_hold_accuses_the_ledger(error: AnchorError, word: str, reason: str) -> None:
    """A new root of an authority, or none in the settings, is not somebody's hand on the ledger; neither counts."""
    verdict = stamped(error=error)
    assert (verdict.word, reason in told(verdict, "anchoring")) == (word, True)
    assert verdict.checks["anchoring"].counts["confirmed_receipts"] == 0


def test_a_receipt_from_the_future_is_told_as_two_clocks_that_disagree() -> None:
    """Whose clock is wrong cannot be known; the time it states proves nothing until then."""
    assert "still to come" not in told(stamped(moment=NOW + timedelta(minutes=4)), "time")
    assert "2026-11-22 13:00:00 UTC, which is still to come" in told(stamped(moment=NOW + timedelta(hours=1)), "time")


def test_receipts_of_an_anchor_that_is_not_configured_here_are_said_to_be_unchecked() -> None:
    """An auditor without the operator's settings reads who was not asked."""
    ledger = SealedLedger.tell(seals=1)
    ledger.receipts_.append(ReceiptRow(len(ledger.log_), "rfc3161", "https://tsa.example/tsr", b"stamp"))
    named = frozenset({("directory", "anchors")})
    state = AnchoredState(
        ledger.anchored, ledger.registry, {"anchors": frozenset(map(int, ledger.anchored))}, has_registry=True
    )
    verdict = ledger.verdict(anchored=replace(state, named=named))
    assert verdict.word == "verified"
    assert "1 receipt of rfc3161 https://tsa.example/tsr was not checked" in told(verdict, "anchoring")


def test_rows_from_the_future_are_told_and_accuse_nobody() -> None:
    """A host whose clock was a year ahead: nothing was changed, and no time of it proves anything."""
    ledger = SealedLedger.tell(chains=2)
    newest = datetime.fromtimestamp(max(row[3] for row in ledger.rows_) / 1e9, UTC)
    verdict = ledger.verdict(now=newest - timedelta(days=365))
    assert verdict.word == "verified"
    assert "rows of 2 of 2 chains claim times that are still to come" in told(verdict, "time")
    assert not told(ledger.verdict(now=newest), "time")


def test_a_forged_note_beside_the_signed_one_costs_it_no_receipt(url: str) -> None:
    """The forgery is accused, and the witness still vouches for the checkpoint whose place it wants to take."""
    ledger = SealedLedger.tell()
    anchor = cosigned(ledger, url)
    ledger.checkpoints_.append(replace(ledger.checkpoints_[-1], note="~ no note"))
    verdict = ledger.verdict(notaries=[anchor], now=NOW)
    assert verdict.word == "tampered"
    assert f"vouches for size {len(ledger.log_)}, since" in told(verdict, "anchoring")
    assert verdict.checks["anchoring"].kinds == set()


def test_a_checkpoint_under_another_size_keeps_its_receipt(url: str) -> None:
    """The note is what was signed and stamped; the column beside it is accused."""
    ledger = SealedLedger.tell()
    anchor = cosigned(ledger, url)
    ledger.checkpoints_[-1] = replace(ledger.checkpoints_[-1], size=2**64 - 1)
    verdict = ledger.verdict(notaries=[anchor], now=NOW)
    assert verdict.word == "tampered"
    assert "has other columns than its signed note" in told(verdict, "integrity")
    assert f"vouches for size {len(ledger.log_)}, since" in told(verdict, "anchoring")


def test_a_cosignature_from_beyond_the_calendar_is_no_receipt() -> None:
    """A witness may sign any 64-bit number of seconds."""
    ledger = SealedLedger.tell()
    row = ledger.checkpoints_[-1]
    anchor = WitnessAnchor(WITNESS.verifier_key, "http://127.0.0.1:9")
    line = cosign(parse_note(row.note).text, WITNESS, timestamp_s=2**63 - 1)
    ledger.receipts_.append(ReceiptRow(row.size, "witness", anchor.target, format_signature_line(line).encode()))
    verdict = ledger.verdict(notaries=[anchor], now=NOW)
    assert verdict.word == "tampered"
    assert "expected a time in the cosignature" in told(verdict, "anchoring")
