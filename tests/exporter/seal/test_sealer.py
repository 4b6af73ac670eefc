"""Sealing, as an operator sees it: rows in, log entries and checkpoints out, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledgers import MONDAY_NS, ROW_COLUMNS
from sealing import Bench, open_engine
from spanledger_exporter.anchors.anchor import AnchorError, Submission
from spanledger_exporter.anchors.directory import DirectoryAnchor
from spanledger_exporter.anchors.witness_client import WitnessAnchor
from spanledger_exporter.keys.key_file import FileSigner
from spanledger_exporter.keys.key_ring import open_key_ring
from spanledger_exporter.ledger.log_entry import format_entry
from spanledger_exporter.ledger.merkle import leaf_hash
from spanledger_exporter.ledger.note import COSIGNATURE_V1, verify_note
from spanledger_exporter.ledger.trust_root import verify_trust_roots
from spanledger_exporter.seal import unsealed
from spanledger_exporter.seal.errors import LeaseLostError, SealerBusyError, SealRefusedError
from spanledger_exporter.seal.lease import FileLease, StoreLease
from spanledger_exporter.seal.rotation import rotate
from spanledger_exporter.seal.sealer import SealReport
from spanledger_exporter.witness.server import serving
from spanledger_exporter.witness.witness import Witness

DAY_NS = 86_400 * 10**9


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Bench]]:
    """Open one engine for this module."""
    with open_engine(tmp_path_factory.mktemp("engine")) as make:
        yield make


@pytest.fixture
def bench(engine: Callable[[], Bench]) -> Bench:
    """Return a bench with two chains in the store: one open with five rows, one closed with three."""
    made = engine()
    chain = made.ledger.open_chain()
    for _ in range(4):
        chain.append({"event_type": "model_call"})
    other = made.ledger.open_chain()
    other.append({"event_type": "tool_call"})
    other.close()
    made.ship()
    return made


def kinds(bench: Bench) -> list[str]:
    """Return the types in the log, in order."""
    return [entry["type"] for entry in bench.entries()]


def test_a_first_seal_covers_every_row_and_says_which_chains_opened_and_closed(bench: Bench) -> None:
    """One checkpoint, one segment per chain, and the definitions of the tables."""
    report = bench.seal()
    assert bench.examine() == 8
    assert (report.is_new, report.rows, report.segments) == (True, 8, 2)
    assert sorted(kinds(bench)) == ["chain-close", "chain-open", "chain-open", "schema", "segment", "segment"]


def test_without_news_there_is_no_new_checkpoint(bench: Bench) -> None:
    """Sealing twice is sealing once."""
    first = bench.seal()
    second = bench.seal()
    assert (second.is_new, second.size, second.root) == (False, first.size, first.root)
    assert bench.store.query("SELECT count() FROM checkpoints") == [(1,)]


def test_an_empty_store_is_not_sealed(engine: Callable[[], Bench]) -> None:
    """There is nothing to say, and no checkpoint says it."""
    report = engine().seal()
    assert (report.is_new, report.size, report.publications) == (False, 0, [])


def test_new_rows_continue_the_segment_of_their_chain(bench: Bench) -> None:
    """Second seal, second checkpoint, consistent with the first."""
    bench.seal()
    bench.ledger.open_chain().append({"event_type": "decision"})
    bench.ship()
    assert bench.seal().rows == 2
    assert bench.examine() == 10
    assert bench.store.query("SELECT count() FROM checkpoints") == [(2,)]


def test_a_report_of_the_last_seal_saves_reading_the_log_again(bench: Bench) -> None:
    """`--follow` goes on from what it knows, with the same result."""
    known = bench.seal().log
    bench.ledger.open_chain()
    bench.ship()
    bench.seal(known=known)
    assert bench.examine() == 9


def test_a_segment_never_crosses_a_day_or_a_tenant(engine: Callable[[], Bench]) -> None:
    """Retention and access are per day and per tenant; so is proof."""
    bench = engine()
    chain = bench.ledger.open_chain()
    chain.append({"event_type": "model_call"}, time_ns=MONDAY_NS + DAY_NS)
    chain.tenant = "acme"
    chain.append({"event_type": "model_call"})
    chain.append({"event_type": "model_call"})
    bench.ship()
    bench.seal()
    segments = [entry for entry in bench.entries() if entry["type"] == "segment"]
    assert [(entry["first"], entry["last"], entry["tenant"]) for entry in segments] == [
        (0, 0, "default"),
        (1, 1, "default"),
        (2, 3, "acme"),
    ]
    assert bench.examine() == 4


def test_a_segment_of_housekeeping_is_marked_as_such(engine: Callable[[], Bench]) -> None:
    """Who looked at the ledger is kept by other rules than what an AI did."""
    bench = engine()
    reader = bench.ledger.open_chain(role="cli")
    reader.append({"event_type": "access"})
    reader.close()
    bench.ledger.open_chain().append({"event_type": "model_call"})
    bench.ship()
    bench.seal()
    classes = {entry["chain"]: entry["class"] for entry in bench.entries() if entry["type"] == "segment"}
    assert classes[reader.chain_id.hex()] == "housekeeping"
    assert sorted(classes.values()) == ["events", "housekeeping"]


@pytest.mark.parametrize(
    ("event_type", "entry_type"),
    [("loss", "loss"), ("erasure", "erasure"), ("legal_hold", "legal-hold"), ("retention", "prune")],
)
def test_a_row_that_changes_what_can_be_proved_has_an_entry_of_its_own(
    engine: Callable[[], Bench], event_type: str, entry_type: str
) -> None:
    """The log alone tells that rows were lost, erased, held or pruned, and which row says so."""
    bench = engine()
    row = bench.ledger.open_chain().append({"event_type": event_type})
    bench.ship()
    bench.seal()
    (entry,) = [entry for entry in bench.entries() if entry["type"] == entry_type]
    assert (entry["seq"], entry["row_hash"]) == (row.seq, row.row_hash.hex())


def test_a_chain_whose_successor_opened_is_abandoned(engine: Callable[[], Bench]) -> None:
    """Kill -9 leaves no chain.close; the next process says whose place it takes."""
    bench = engine()
    killed = bench.ledger.open_chain()
    row = killed.append({"event_type": "model_call"})
    claim = {"relation": "restart", "chain": killed.chain_id.hex(), "seq": row.seq, "row_hash": row.row_hash.hex()}
    next_chain = bench.ledger.open_chain()
    bench.ledger.rows.pop()
    next_chain.length, next_chain.head = 0, b""
    next_chain.append({"event_type": "chain.open", "chain": {"predecessor": claim}})
    bench.ship()
    bench.seal()
    (entry,) = [entry for entry in bench.entries() if entry["type"] == "chain-abandoned"]
    assert (entry["chain"], entry["seq"], entry["reason"]) == (killed.chain_id.hex(), 1, "its successor opened")


def test_rows_are_read_in_pages_and_a_chain_goes_on_in_the_next(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait, the engine sorts a bounded number at a time."""
    monkeypatch.setattr(unsealed, "ROWS_PER_QUERY", 3)
    assert bench.seal().segments == 2
    assert bench.examine() == 8


def test_a_heartbeat_proves_that_nothing_happened(bench: Bench) -> None:
    """A checkpoint newer than the last row, with one entry more."""
    bench.seal()
    report = bench.seal(is_heartbeat_due=True)
    assert (report.is_new, kinds(bench)[-1]) == (True, "heartbeat")
    assert bench.examine() == 8


def test_a_heartbeat_is_not_needed_where_there_is_news(bench: Bench) -> None:
    """The news is proof of life enough."""
    bench.seal(is_heartbeat_due=True)
    assert "heartbeat" not in kinds(bench)


def test_a_restore_is_told_in_the_log(bench: Bench) -> None:
    """Rows that came back from a backup came back at a known time and for a reason."""
    bench.seal()
    bench.seal(acts=[("restore", {"reason": "disk failure on Friday"})])
    assert bench.entries()[-1]["reason"] == "disk failure on Friday"
    assert bench.examine() == 8


def test_changed_table_definitions_are_told_in_the_log_with_the_next_news(bench: Bench) -> None:
    """The fingerprint is new, and so is the entry."""
    bench.seal()
    bench.store.command(f"ALTER TABLE {bench.store.database}.rows MODIFY COLUMN model String DEFAULT ''")
    report = bench.seal(is_heartbeat_due=True)
    assert kinds(bench).count("schema") == 2
    assert report.warnings == ["the table definitions changed since the last seal; the log says so"]


# Rows that do not prove ------------------------------------------------------------------------------------------


def sealed_up_to(bench: Bench, report: SealReport) -> list[tuple[int, str]]:
    """Return where chains broke, after the good rest was examined."""
    bench.examine()
    return [(found.seq, found.reason) for found in report.breaks]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("env", b"{}", "env was changed"),
        ("prev_hash", bytes(32), "the link is broken"),
        ("row_hash", bytes(32), "the row was changed"),
        ("time_ns", 1, "the row was changed"),
        ("seq", 9, "rows are missing"),
        ("tenant", "other", "the tenant column"),
    ],
)
def test_a_row_that_does_not_prove_stops_its_chain_there(
    engine: Callable[[], Bench], column: str, value: object, reason: str
) -> None:
    """Everything before it is sealed, nothing after it, and it is reported with its place."""
    bench = engine()
    chain = bench.ledger.open_chain()
    for _ in range(4):
        chain.append({"event_type": "model_call"})
    bench.ledger.rows[2] = replace(bench.ledger.rows[2], **{column: value})  # type: ignore[arg-type]
    bench.ship()
    report = bench.seal()
    ((seq, found),) = sealed_up_to(bench, report)
    assert (seq, report.rows) == (2, 2)
    assert reason in found


def test_two_rows_with_one_seq_are_equivocation_and_neither_is_sealed(bench: Bench) -> None:
    """Whoever made both knows which one it showed to whom."""
    twin = replace(bench.ledger.rows[3], env=b'{"tenant":"default"}', row_hash=b"\xff" * 32)
    bench.store.insert("rows", ROW_COLUMNS, [[getattr(twin, name) for name in ROW_COLUMNS]])
    ((seq, reason),) = sealed_up_to(bench, bench.seal())
    assert (seq, "equivocation" in reason) == (3, True)


def test_a_row_with_the_largest_number_keeps_no_sealer_busy_for_ever(bench: Bench) -> None:
    """What a writer's grant allows: one row far behind the others. Its chain breaks there, the other one is sealed."""
    chain = bench.ledger.rows[0].chain_id
    row = ["default", chain, 2**64 - 1, b"\0" * 32, 0, "{}", b"\0" * 32, b"\0" * 32]
    bench.store.insert("rows", ROW_COLUMNS, [row])
    report = bench.seal()
    assert [(found.chain, found.seq) for found in report.breaks] == [(chain, 5)]
    assert bench.examine() == 8
    assert bench.seal().breaks == report.breaks


def test_a_row_that_is_there_twice_is_a_retry(bench: Bench) -> None:
    """Delivery at least once is not an alarm."""
    bench.store.insert("rows", ROW_COLUMNS, list(bench.ledger.row_values()))
    report = bench.seal()
    assert (report.breaks, report.rows) == ([], 8)


def test_a_break_heals_when_the_missing_row_arrives(engine: Callable[[], Bench]) -> None:
    """The shipper was in the middle of it."""
    bench = engine()
    chain = bench.ledger.open_chain()
    for _ in range(3):
        chain.append({"event_type": "model_call"})
    rows = list(bench.ledger.row_values())
    bench.store.insert("rows", ROW_COLUMNS, [rows[0], rows[2], rows[3]])
    assert [found.seq for found in bench.seal().breaks] == [1]
    bench.store.insert("rows", ROW_COLUMNS, [rows[1]])
    assert bench.seal().breaks == []
    assert bench.examine() == 4


# A log or an anchor that contradicts ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [b'{"time":"1","type":"heartbeat"}', b"", b"\xff", b"[]", b"{}", b'{"type":"segment","chain":[]}', b"[" * 9999],
)
def test_a_changed_log_entry_is_refused(bench: Bench, entry: bytes) -> None:
    """The entries no longer hash to the checkpoint that was signed over them, or are none at all."""
    bench.seal()
    bench.store.command("ALTER TABLE log DELETE WHERE index = 0 SETTINGS mutations_sync = 2")
    bench.store.insert("log", ["index", "entry", "leaf_hash"], [(0, entry, leaf_hash(entry))])
    with pytest.raises(SealRefusedError, match="an entry was changed"):
        bench.seal()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("ALTER TABLE log DELETE WHERE index = 5 SETTINGS mutations_sync = 2", "the log lost its tail"),
        ("ALTER TABLE log DELETE WHERE index = 2 SETTINGS mutations_sync = 2", "entries are missing between"),
        ("INSERT INTO log (index, entry, leaf_hash) SELECT index, '~', leaf_hash FROM log", "got two that differ"),
        ("INSERT INTO log (index, entry) VALUES (6, '{}')", "expected leaf_hash to be the hash"),
        ("INSERT INTO checkpoints (size, note) VALUES (99, 'x')", "expected a good newest checkpoint"),
        (
            "INSERT INTO checkpoints (size, root, note) SELECT 99, root, note FROM checkpoints",
            "expected a note of size 99",
        ),
        ("TRUNCATE TABLE checkpoints", "is an older copy"),
    ],
)
def test_a_log_that_contradicts_itself_is_refused(bench: Bench, statement: str, message: str) -> None:
    """Signing now would bless it."""
    bench.seal()
    bench.store.command(statement)
    with pytest.raises(SealRefusedError, match=message):
        bench.seal()


def test_a_store_rolled_back_to_an_older_copy_is_refused(bench: Bench) -> None:
    """The anchor remembers more than the store tells: sealing on would make two histories."""
    first = bench.seal()
    bench.ledger.open_chain()
    bench.ship()
    bench.seal()
    bench.store.command(f"ALTER TABLE log DELETE WHERE index >= {first.size} SETTINGS mutations_sync = 2")
    bench.store.command(f"ALTER TABLE checkpoints DELETE WHERE size > {first.size} SETTINGS mutations_sync = 2")
    with pytest.raises(SealRefusedError, match="older copy, or its log was cut"):
        bench.seal()


def test_nothing_is_signed_behind_what_a_witness_remembers(bench: Bench, tmp_path: Path) -> None:
    """Store and directory went back to an older copy together: going on would sign a second history."""
    witness = FileSigner(b"\3" * 32, name="audit.example/w1", algorithm=COSIGNATURE_V1)
    first = bench.seal()
    keys = [bench.keys.root.current.key]
    with serving(Witness(witness, logs=keys, directory=tmp_path / "w", clock_s=lambda: 1)) as url:
        bench.ledger.open_chain()
        bench.ship()
        newer = bench.seal(anchors=[*bench.anchors, WitnessAnchor(witness.verifier_key, url)])
        for table, column in (("log", "index >="), ("checkpoints", "size >"), ("anchors", "size >")):
            bench.store.command(f"ALTER TABLE {table} DELETE WHERE {column} {first.size} SETTINGS mutations_sync = 2")
        (bench.settings.anchors_directory / "checkpoints" / f"{newer.size:020}").unlink()
        again = [*bench.anchors, WitnessAnchor(witness.verifier_key, url)]
        with pytest.raises(SealRefusedError, match=f"at least {newer.size} entries.*audit.example/w1.*older copy"):
            bench.seal(anchors=again)


def test_a_log_that_went_on_from_an_older_copy_is_not_signed_further(bench: Bench) -> None:
    """It is longer than what the witness remembers, and never had a checkpoint of that size."""
    size = bench.seal().size

    class Elsewhere:
        kind, target = "witness", "audit.example/w1"

        def publish(self, submission: Submission) -> str:
            raise AssertionError(submission)

        def held_size(self, note: str) -> int:
            return size - 1

    with pytest.raises(SealRefusedError, match=f"the checkpoint of size {size - 1} that anchor witness"):
        bench.seal(anchors=[Elsewhere()])


def test_a_witness_that_is_away_or_behind_stops_no_sealing(bench: Bench, tmp_path: Path) -> None:
    """An outage is told when the checkpoint is published; what it has is a prefix."""
    witness = FileSigner(b"\3" * 32, name="audit.example/w1", algorithm=COSIGNATURE_V1)
    away = WitnessAnchor(witness.verifier_key, "http://127.0.0.1:9")
    assert [found.status for found in bench.seal(anchors=[away]).publications] == ["failed"]
    keys = [bench.keys.root.current.key]
    with serving(Witness(witness, logs=keys, directory=tmp_path / "w", clock_s=lambda: 1)) as url:
        bench.seal(anchors=[WitnessAnchor(witness.verifier_key, url)])
        for anchors in ([], [WitnessAnchor(witness.verifier_key, url)]):
            bench.ledger.open_chain()
            bench.ship()
            report = bench.seal(anchors=anchors)
        assert [found.status for found in report.publications] == ["anchored"]


def test_a_store_emptied_behind_its_anchor_is_refused(bench: Bench) -> None:
    """Everything deleted is a rollback to nothing."""
    bench.seal()
    for table in ("rows", "log", "checkpoints", "anchors"):
        bench.store.command(f"TRUNCATE TABLE {table}")
    with pytest.raises(SealRefusedError, match="got 0"):
        bench.seal()


def test_an_anchor_with_another_history_is_refused(bench: Bench, engine: Callable[[], Bench]) -> None:
    """Same keys, same size, other root: a fork."""
    bench.seal()
    fork = engine()
    shutil.copytree(bench.settings.keys_directory, fork.settings.keys_directory)
    for _ in range(2):
        fork.ledger.open_chain().close()
    fork.ship()
    fork.seal()
    fork.seal(is_heartbeat_due=True)
    with pytest.raises(SealRefusedError, match="two histories"):
        fork.seal(anchors=bench.anchors)


def test_an_anchor_of_another_log_is_refused(bench: Bench, engine: Callable[[], Bench]) -> None:
    """Lost keys must not start a second log over the first one's anchor."""
    bench.seal()
    stranger = engine()
    stranger.ledger.open_chain()
    stranger.ship()
    with pytest.raises(SealRefusedError, match="If the keys were lost"):
        stranger.seal(anchors=bench.anchors)


def test_an_unsigned_entry_that_no_sealer_would_write_is_refused(bench: Bench) -> None:
    """Whoever can insert into the log cannot have it signed."""
    bench.seal()
    now = {"time": str(bench.now_ns)}
    place = {"chain": "00" * 16, "seq": 0, "row_hash": "00" * 32, **now}
    forged: list[tuple[str, dict[str, Any], str]] = [
        ("legal-hold", place, "the row it names is not in the store"),
        ("chain-abandoned", {**place, "reason": "x"}, "another row than the last sealed one"),
        ("key-rotate", {"old": "x", "new": "y", **now}, "not rotating to"),
        ("restore", {"reason": "x", **now}, "the operator did not ask for it"),
        ("schema", {"fingerprint": "00" * 32, **now}, "the table definitions are others"),
        ("heartbeat", {"time": str(2**64 - 1)}, "its time is still to come"),
        ("heartbeat", {"time": "1"}, "older than the entry before it"),
        ("heartbeat", {"approved_by": "the board", **now}, "no sealer of this version writes its fields approved_by"),
    ]
    for number, (kind, fields, reason) in enumerate(forged):
        bench.store.command("ALTER TABLE log DELETE WHERE index >= 6 SETTINGS mutations_sync = 2")
        entry = format_entry(kind, fields)
        bench.store.insert(
            "log", ["index", "entry", "leaf_hash"], [(6, entry.decode(), leaf_hash(entry))], token=f"forged {number}"
        )
        with pytest.raises(SealRefusedError, match=f"{reason}.*nothing was signed"):
            bench.seal()


# Anchors ----------------------------------------------------------------------------------------------------------


class UnreachableAnchor:
    """An anchor whose line is cut until `is_up`."""

    kind, target = "witness", "somewhere"

    def __init__(self) -> None:
        self.is_up = False
        self.sizes: list[int] = []

    def publish(self, submission: Submission) -> str:
        if not self.is_up:
            raise AnchorError("no answer")
        self.sizes.append(submission.size)
        return "receipt"


def test_an_anchor_that_fails_is_reported_and_tried_again_at_the_next_seal(bench: Bench) -> None:
    """It blocks nothing: the other anchor has the checkpoint, and so has the store."""
    flaky = UnreachableAnchor()
    anchors = [flaky, *bench.anchors]
    report = bench.seal(anchors=anchors)
    assert [publication.status for publication in report.publications] == ["failed", "anchored"]
    flaky.is_up = True
    again = bench.seal(anchors=anchors)
    assert (again.is_new, flaky.sizes) == (False, [report.size])
    bench.seal(anchors=anchors)
    assert flaky.sizes == [report.size]


def test_a_forged_receipt_keeps_no_checkpoint_from_its_anchor(bench: Bench, tmp_path: Path) -> None:
    """Whoever can insert a receipt could else switch an anchor off: one for a size to come, one that is noise."""
    signer = FileSigner(b"\3" * 32, name="audit.example/w1", algorithm=COSIGNATURE_V1)
    witness = Witness(
        signer, logs=[bench.keys.root.current.key], directory=tmp_path / "w", clock_s=lambda: bench.now_ns // 10**9
    )
    with serving(witness) as url:
        report = bench.seal()
        anchor = WitnessAnchor(signer.verifier_key, url)
        forged = [(size, anchor.kind, anchor.target, "noise") for size in (report.size, 2**64 - 1)]
        bench.store.insert("anchors", ["size", "kind", "target", "receipt"], forged)
        assert [publication.status for publication in bench.seal(anchors=[anchor]).publications] == ["anchored"]
        assert witness.remembered() == {bench.keys.origin: report.size}
        bench.seal(anchors=[anchor])
    good = f"kind = 'witness' AND size = {report.size} AND receipt != 'noise'"
    assert bench.store.query(f"SELECT count() FROM anchors WHERE {good}") == [(1,)]


@pytest.mark.parametrize("noise", [b"noise", b"\xff\xfe", b"\0" * 2_000_000])
def test_noise_in_an_archive_is_no_outage_and_nothing_is_signed_beside_it(bench: Bench, noise: bytes) -> None:
    """Else whoever damages the newest checkpoint of an archive could have an older copy of the store sealed on."""
    report = bench.seal()
    (bench.settings.anchors_directory / "checkpoints" / f"{report.size:020}").write_bytes(noise)
    with pytest.raises(SealRefusedError, match="to hold checkpoints of log"):
        bench.seal()


def test_an_archive_that_lost_a_checkpoint_gets_it_again(bench: Bench) -> None:
    """A receipt in the store is no proof that the archive still has it."""
    bench.seal()
    shutil.rmtree(bench.settings.anchors_directory)
    bench.seal()
    assert bench.examine() == 8


def test_the_chain_registry_is_in_the_anchor_with_the_hash_of_row_0(bench: Bench) -> None:
    """So that a chain that is missing from the store is noticed."""
    bench.seal()
    registry = DirectoryAnchor(bench.settings.anchors_directory).chains()
    opened = {row.chain_id: row.row_hash for row in bench.ledger.rows if row.seq == 0}
    assert {chain: opening.row_hash for chain, opening in registry.items() if opening} == opened


def test_a_registry_entry_of_another_row_0_is_a_conflict(bench: Bench) -> None:
    """Two beginnings of one chain cannot both be true."""
    chain = bench.ledger.rows[0].chain_id.hex()
    path = bench.settings.anchors_directory / "chains" / f"{chain}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"chain": chain, "row_hash": "00" * 32, "time_ns": "1"}))
    assert [publication.status for publication in bench.seal().publications] == ["conflict"]


# Keys and rotation ------------------------------------------------------------------------------------------------


def test_a_rotation_is_an_entry_and_both_signatures_on_one_note(bench: Bench) -> None:
    """Whoever knows either key can follow the log across it."""
    bench.seal()
    old = bench.keys.root.current.key
    report = rotate(bench.store, settings=bench.settings, keys=bench.keys, anchors=bench.anchors)
    new = bench.keys.root.current.key
    assert report.log is not None
    assert report.log.checkpoint is not None
    assert set(verify_note(report.log.checkpoint.note, [old, new])) == {old, new}
    assert (bench.entries()[-1]["old"], bench.entries()[-1]["new"]) == (old.vkey, new.vkey)
    assert bench.examine() == 8


def test_after_a_rotation_only_the_new_key_signs_and_an_old_pin_still_leads_there(bench: Bench) -> None:
    """Trust root version 2 is signed by the key of version 1."""
    bench.seal()
    pin = bench.keys.signed_root.pin
    rotate(bench.store, settings=bench.settings, keys=bench.keys, anchors=bench.anchors)
    bench.seal(is_heartbeat_due=True)
    assert verify_trust_roots(bench.keys.trust_root_versions(), pin=pin).root == bench.keys.root
    assert bench.examine() == 8


# One sealer at a time ---------------------------------------------------------------------------------------------


def test_a_second_sealer_is_refused_and_told_who_is_at_work(bench: Bench) -> None:
    """The lock file names process, host and time."""
    with FileLease(bench.settings.directory / "seal.lock"), pytest.raises(SealerBusyError, match=r"process \d+ on .+"):
        bench.seal()
    assert bench.seal().is_new


def test_a_sealer_of_a_server_store_is_refused_while_another_is_heard_of(bench: Bench) -> None:
    """The lease is a row in the store."""
    with StoreLease(bench.store), pytest.raises(SealerBusyError, match=r"process \d+ on .+, heard of"):
        StoreLease(bench.store)
    StoreLease(bench.store).check()


def test_a_lease_that_died_is_taken_over_and_its_holder_fenced_off(bench: Bench) -> None:
    """Nobody renewed it for a minute; when its holder wakes up, it finds the next epoch and stops."""
    sleeper = StoreLease(bench.store)
    bench.store.command(
        "ALTER TABLE sealer_leases UPDATE created_at = created_at - 61 WHERE 1 SETTINGS mutations_sync=2"
    )
    heir = StoreLease(bench.store)
    with pytest.raises(LeaseLostError, match="expected to hold sealer epoch 1, got epoch 2"):
        sleeper.check()
    heir.check()


def test_of_two_sealers_that_claim_one_epoch_the_store_keeps_one(bench: Bench) -> None:
    """The engine's deduplication is the compare-and-set."""
    winner = StoreLease(bench.store)
    bench.store.insert("sealer_leases", ["epoch", "holder"], [[1, "the loser"]], token="lease:1")
    winner.check()
    assert bench.store.query("SELECT count() FROM sealer_leases") == [(1,)]


def test_a_sealer_that_slept_through_another_ones_work_stops_before_it_signs(bench: Bench) -> None:
    """Its insert is dropped by the engine because the place in the log is taken; reading back shows it."""
    bench.seal()
    known = bench.seal().log
    assert known is not None
    entry = format_entry("heartbeat", {"time": str(bench.now_ns)})
    sleeper = _Sleeper(bench, entry)
    with pytest.raises(LeaseLostError, match="another sealer is at work"):
        bench.seal(store=sleeper, is_heartbeat_due=True)
    bench.seal()
    assert bench.examine() == 8


class _Sleeper:
    """A store in which, just before the sealer's insert, somebody else takes its place in the log."""

    def __init__(self, bench: Bench, entry: bytes) -> None:
        self._bench = bench
        self._entry = entry

    def __getattr__(self, name: str) -> object:
        return getattr(self._bench.store, name)

    def insert(
        self, table: str, columns: list[str], rows: list[tuple[object, ...]], *, token: str | None = None
    ) -> None:
        if table == "log":
            other = (rows[0][0], self._entry.decode(), leaf_hash(self._entry))
            self._bench.store.insert(table, columns, [other], token=token)
        self._bench.store.insert(table, columns, rows, token=token)


def test_keys_come_into_being_once_and_stay(bench: Bench, tmp_path: Path) -> None:
    """Name, key and trust root are made at the first need, readable by their owner only."""
    bench.seal()
    again = open_key_ring(bench.settings)
    (path,) = bench.settings.keys_directory.glob("*.key")
    assert again.origin == bench.keys.origin
    assert path.stat().st_mode & 0o777 == 0o600
