"""The verifier on whole ledgers in memory: what is verified, what is not, and which place it names."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import pytest

from ledgers import MONDAY_NS, Ledger
from sealed_ledgers import ORIGIN, SIGNER, STRANGER, SealedLedger, edited, row_tuple
from spanledger_exporter.ledger.canonical import canonical_json
from spanledger_exporter.ledger.checkpoint import Checkpoint
from spanledger_exporter.ledger.log_entry import LogEntry, format_entry
from spanledger_exporter.ledger.row import genesis_hash, make_row
from spanledger_exporter.verify.chains import ChainFacts
from spanledger_exporter.verify.claims import review_claims
from spanledger_exporter.verify.report import format_verdict
from spanledger_exporter.verify.source import AnchoredState
from spanledger_exporter.verify.trust import Trust
from spanledger_exporter.verify.verdict import Findings, Verdict
from spanledger_exporter.verify.verifier import Surroundings, verify_ledger

DAY_NS = 86_400 * 10**9
NEXT_DAY_NS = MONDAY_NS + DAY_NS


def reasons(verdict: Verdict) -> list[str]:
    """Return every reason of a verdict."""
    return [finding.reason for result in verdict.checks.values() for finding in result.findings]


@pytest.fixture
def ledger() -> SealedLedger:
    """Two chains of seven rows, sealed twice."""
    return SealedLedger.tell(chains=2, rows=6)


def test_an_untouched_sealed_ledger_is_verified(ledger: SealedLedger) -> None:
    """Every check is ok and every row is counted as anchored."""
    verdict = ledger.verdict()
    assert (verdict.word, reasons(verdict)) == ("verified", [])
    assert verdict.checks["coverage"].counts["anchored"] == ledger.row_count()


def test_an_edited_envelope_is_named_by_chain_and_row(ledger: SealedLedger) -> None:
    """The place is exact, and only the edited row is accused."""
    row = ledger.rows_[3]
    ledger.rows_[3] = edited(row, env=row[4].replace(b"model_call", b"modem_call"))
    (failure,) = ledger.verdict().as_json()["checks"]["integrity"]["failures"]
    assert (failure["chain"], failure["seq"]) == (row[0].hex(), row[1])


def test_a_truncated_tail_is_missing_from_the_sealed_segments(ledger: SealedLedger) -> None:
    """Deleting the newest rows leaves no gap in the chain, and the log still knows them."""
    chain, last = ledger.rows_[-1][0], ledger.rows_[-1][1]
    del ledger.rows_[-2:]
    (failure,) = ledger.verdict().as_json()["checks"]["completeness"]["failures"]
    assert failure == {
        "chain": chain.hex(),
        "seq": last - 1,
        "reason": f"rows {last - 1} to {last} are sealed in the log and missing",
    }


def test_a_log_that_was_cut_is_not_mended_by_sealing() -> None:
    """It said "run `spanledger seal`" of rows that were sealed, and that nothing was anchored, which anchors deny."""
    ledger = SealedLedger.tell(seals=1)
    ledger.log_.clear()
    verdict = ledger.verdict()
    said = " | ".join(reasons(verdict))
    assert "spanledger seal" not in said
    assert "no checkpoint is over the log that is left" in said
    assert "stored, and sealed by nothing that is left of the log" in said


def test_checkpoints_that_are_gone_were_signed_once() -> None:
    """What anchors hold shows that something was signed; a ledger that nobody sealed has nothing yet."""
    ledger = SealedLedger.tell(seals=1)
    ledger.checkpoints_.clear()
    assert "no signed checkpoint is left in the store" in reasons(ledger.verdict())
    fresh = SealedLedger.tell(seals=0)
    press = Ledger()
    press.open_chain()
    fresh.take(press)
    said = reasons(fresh.verdict(trust=Trust()))
    assert "no signed checkpoint exists yet" in said
    assert "no checkpoint is anchored: run `spanledger seal`" in said


def test_a_store_without_rows_is_never_ok() -> None:
    """Nothing stored and nothing anchored cannot be verified; that is not the same as clean."""
    assert SealedLedger().verdict().exit_status == 3


def test_a_store_that_lost_everything_is_tampered_with(ledger: SealedLedger) -> None:
    """The anchors remember what the store forgot."""
    empty = SealedLedger(anchored=ledger.anchored, registry=ledger.registry)
    verdict = empty.verdict()
    assert verdict.exit_status == 1
    assert "its tail was cut or rolled back" in " ".join(reasons(verdict))


def test_rows_that_nobody_sealed_yet_are_incomplete(ledger: SealedLedger) -> None:
    """The verdict names the first row that no anchored checkpoint covers."""
    press = Ledger()
    chain = press.open_chain()
    chain.append({"event_type": "model_call"})
    fresh = SealedLedger()
    fresh.take(press)
    verdict = fresh.verdict()
    assert (verdict.word, verdict.exit_status) == ("incomplete", 2)
    assert verdict.checks["coverage"].findings[0].seq == 0


def test_rows_behind_a_gap_are_not_told_to_be_sealed(ledger: SealedLedger) -> None:
    """`seal` refuses what follows a missing row; the verdict says what to do instead, and where sealing still helps."""
    press = Ledger(tenant="acme")
    writer = press.open_chain()
    for number in range(5):
        writer.append({"event_type": "model_call", "name": str(number)})
    ledger.rows_ += [row_tuple(row) for row in press.rows if row.seq != 3]
    ledger.register(press.rows[0])
    found = [f.reason for f in ledger.verdict().checks["coverage"].findings]
    assert found[0] == "rows 0 to 2 are stored and not sealed: run `spanledger seal`"
    assert found[1].startswith("rows 3 to 5 are stored and cannot be sealed, because row 3 is missing")
    assert "run `spanledger seal`" not in found[1]


def test_rows_behind_a_sealed_edit_can_still_be_sealed(ledger: SealedLedger) -> None:
    """The sealer goes on from the sealed head; what was changed below it does not stop it."""
    chain, seq, _, time_ns, env, _, head, tenant = ledger.rows_[-1]
    row = make_row(chain_id=chain, seq=seq + 1, prev_hash=head, time_ns=time_ns, env=env, tenant=tenant)
    ledger.rows_[1] = edited(ledger.rows_[1], env=b'{"schema":"spanledger.event/1"}')
    ledger.rows_.append(row_tuple(row))
    (found,) = ledger.verdict().checks["coverage"].findings
    assert found.reason == f"row {seq + 1} is stored and not sealed: run `spanledger seal`"


def test_housekeeping_rows_do_not_spoil_the_verdict(ledger: SealedLedger) -> None:
    """Looking at the ledger writes an access row; the next verdict is as good as the last."""
    press = Ledger(tenant="auditors")
    press.open_chain(role="cli")
    reading = press.rows[0]
    press.rows.clear()
    ledger.rows_.append(row_tuple(reading))
    ledger.register(reading)
    assert ledger.verdict().word == "verified"


def test_a_checkpoint_by_another_key_is_refused() -> None:
    """Somebody who re-signs the log needs the key."""
    ledger = SealedLedger.tell(seals=1)
    ledger.checkpoints_.clear()
    ledger.sign(STRANGER, anchor=False)
    assert ledger.verdict().checks["authenticity"].status == "failed"


def test_without_a_pinned_key_nothing_is_authentic(ledger: SealedLedger) -> None:
    """Signatures that nobody can check make the verdict unknown, not verified."""
    assert ledger.verdict(trust=Trust()).exit_status == 3


def test_a_rolled_back_store_is_older_than_its_anchors() -> None:
    """An older copy is consistent in itself; the newest anchored checkpoint gives it away."""
    ledger = SealedLedger.tell(seals=1, rows=3)
    older = replace(ledger, rows_=list(ledger.rows_), log_=list(ledger.log_), checkpoints_=list(ledger.checkpoints_))
    ledger.add_entries([b'{"time":"1793606400000000000","type":"heartbeat"}'])
    ledger.sign()
    older.anchored = ledger.anchored
    assert older.verdict().exit_status == 1


def test_content_that_was_swapped_or_removed_is_named_by_its_reference(ledger: SealedLedger) -> None:
    """The reason holds the full reference, and the place is the row that needs it."""
    first, second = ledger.contents_[0], ledger.contents_[1]
    ledger.contents_[0] = replace(first, data=b"another question", size=16)
    del ledger.contents_[1]
    said = reasons(ledger.verdict())
    assert f"content {first.ref.hex()} does not hash to its reference" in said
    assert f"content {second.ref.hex()} is missing" in said


def test_an_unknown_schema_fails_closed() -> None:
    """A row of a later version may mean anything: the verdict is unknown."""
    press = Ledger()
    chain = press.open_chain()
    chain.append({"event_type": "model_call", "schema": "spanledger.event/2"})
    ledger = SealedLedger()
    ledger.take(press)
    ledger.seal()
    assert ledger.verdict().exit_status == 3


def test_a_duplicate_insert_is_benign(ledger: SealedLedger) -> None:
    """A retried batch stores rows twice; that is counted and not accused."""
    ledger.rows_ += ledger.rows_[:4]
    verdict = ledger.verdict()
    assert verdict.word == "verified"
    assert verdict.checks["integrity"].counts["duplicates"] == 4


def test_an_empty_interval_is_a_heartbeat(ledger: SealedLedger) -> None:
    """Sealing when nothing happened keeps the verdict."""
    ledger.seal(SIGNER)
    assert ledger.verdict().word == "verified"


def opened(ledger: SealedLedger, number: int, *, time_ns: int, quotes: Checkpoint | None = None) -> None:
    """Store and register row 0 of a new chain that quotes a checkpoint."""
    chain = bytes([number]) * 16
    body = {} if quotes is None else {"checkpoint": {"size": quotes.size, "root": b64encode(quotes.root).decode()}}
    told = {"event_type": "chain.open", "schema": "spanledger.event/1", "tenant": "default", "chain": body}
    row = make_row(
        chain_id=chain,
        seq=0,
        prev_hash=genesis_hash(chain),
        time_ns=time_ns,
        env=canonical_json(told),
        tenant="default",
    )
    ledger.rows_.append(row_tuple(row))
    ledger.register(row)


def test_a_row_from_the_future_does_not_backdate_the_chains_that_come_after_it() -> None:
    """One writer whose clock is wrong, or who lies, could else accuse every other one for good."""
    ledger = SealedLedger.tell()
    opened(ledger, 1, time_ns=2**64 - 1)
    ledger.seal()
    quoted = Checkpoint(ORIGIN, ledger.checkpoints_[-1].size, ledger.checkpoints_[-1].root)
    opened(ledger, 2, time_ns=NEXT_DAY_NS, quotes=quoted)
    ledger.add_entries([format_entry("heartbeat", {"time": str(NEXT_DAY_NS)})])
    ledger.seal()
    verdict = ledger.verdict()
    assert (verdict.word, reasons(verdict)) == ("verified", [])
    opened(ledger, 3, time_ns=NEXT_DAY_NS - 3 * DAY_NS, quotes=quoted)
    assert any("row 0 is older than rows under the checkpoint" in reason for reason in reasons(ledger.verdict()))


def test_entries_under_no_signed_checkpoint_are_told_and_say_nothing(ledger: SealedLedger) -> None:
    """A definition of the tables, or a prune, that anybody may have put there excuses no change."""
    forged = format_entry("schema", {"fingerprint": "ab" * 32, "time": "1793606400000000000"})
    ledger.add_entries([forged])
    acts: list[list[LogEntry]] = []
    known = Surroundings(ledger.trust, AnchoredState(ledger.anchored, ledger.registry, has_registry=True))
    verdict = verify_ledger(ledger, known, review=lambda found, _: acts.append(found))
    assert (verdict.word, acts) == ("incomplete", [[]])
    assert any("1 entries of the log, from 4 on, are under no signed" in reason for reason in reasons(verdict))
    ledger.sign()
    assert ledger.verdict().word == "verified"


def test_what_the_store_says_is_shown_without_its_escapes_and_not_without_end(ledger: SealedLedger) -> None:
    """The name of an anchor in a receipt is anybody's text: 10 MB of it, or commands to the reader's terminal."""
    ledger.receipts_ += [replace(ledger.receipts_[0], kind=kind, size=99) for kind in ("x" * 10**7, "\x1b[2J")]
    shown = format_verdict(ledger.verdict())
    assert "\x1b" not in shown
    assert "(10,00" in shown
    assert len(shown) < 10_000


def test_a_claim_that_names_no_place_is_no_claim(ledger: SealedLedger) -> None:
    """Row 0 may say anything of its predecessor; what cannot be a chain and a number is not looked for."""
    claim = {"predecessor": {"chain": "ab", "seq": 10**30, "row_hash": "cd" * 32}}
    env = canonical_json({"event_type": "chain.open", "schema": "spanledger.event/1", "chain": claim})
    facts = {b"\1" * 16: ChainFacts(b"\1" * 16, open_env=env)}
    findings = Findings()
    review_claims(ledger, facts, {}, None, findings)
    assert "predecessor_claims" not in findings.checks["completeness"].counts
