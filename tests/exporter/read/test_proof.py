"""The proof of one row: every step holds on an honest store, and names what was done to a dishonest one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ledger_story import CASES, tell
from ledgers import Ledger
from served_console import command
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.read import log_entries
from spanledger_exporter.read.criteria import Criteria
from spanledger_exporter.read.finding import find_case, find_row, search
from spanledger_exporter.read.proof import RowProof, prove_row
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    """Return one case."""
    ledger = Ledger()
    tell(ledger, CASES[:1])
    return ledger


@pytest.fixture(scope="module")
def sealed(ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory whose store holds the case, sealed."""
    place = tmp_path_factory.mktemp("sealed")
    with open_store(settings_of(place), role="owner") as store:
        ensure_schema(store)
        ledger.write(store)
    assert command(place, "seal").returncode == 0
    return place


@pytest.fixture
def settings(sealed: Path, tmp_path: Path) -> Settings:
    """Return the settings of a copy that a test may spoil."""
    return settings_of(shutil.copytree(sealed, tmp_path / "copy", symlinks=True))


def settings_of(directory: Path) -> Settings:
    """Return the settings for a data directory."""
    return load_settings({"SPANLEDGER_DIR": str(directory)}, working_directory=directory)


def proof_of(store: Store, settings: Settings, row: Row) -> RowProof:
    """Return the proof of a row as it was written."""
    return prove_row(store, settings, chain=row.chain_id.hex(), seq=row.seq, row_hash_hex=row.row_hash.hex())


def test_every_step_holds_for_every_row_of_a_sealed_ledger(settings: Settings, ledger: Ledger) -> None:
    """First, last and all between; the inclusion proof is a C2SP one."""
    with open_store(settings, role="owner") as store:
        for row in ledger.rows:
            proof = proof_of(store, settings, row)
            assert [step.status for step in proof.steps] == ["ok"] * 6
            assert proof.tlog_proof.startswith("c2sp.org/tlog-proof@v1\n")


def test_pages_of_the_log_meet_without_a_gap(
    settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One leaf at a time, two, and all at once give the same proof."""
    found: set[str] = set()
    with open_store(settings, role="owner") as store:
        for page in (1, 2, 1 << 18):
            monkeypatch.setattr(log_entries, "LEAVES_PER_QUERY", page)
            found.add(proof_of(store, settings, ledger.rows[3]).tlog_proof)
    assert len(found) == 1
    assert "c2sp.org/tlog-proof@v1" in found.pop()


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("rows UPDATE env = replaceAll(env, 'triage', 'tri_ge') WHERE seq = 3", "the envelope is what was hashed"),
        ("rows UPDATE time_ns = time_ns + 1 WHERE seq = 3", "the row's hash follows from its content and place"),
        ("rows UPDATE row_hash = reverse(row_hash) WHERE seq = 2", "it follows the row before it"),
        ("rows UPDATE row_hash = reverse(row_hash) WHERE seq = 5", "a sealed segment covers it"),
        ("log UPDATE leaf_hash = reverse(leaf_hash) WHERE 1", "the segment is in the signed log"),
        ("checkpoints UPDATE note = replaceOne(note, '— ', '— x') WHERE 1", "the segment is in the signed log"),
    ],
)
def test_what_was_done_to_the_store_breaks_the_step_that_covers_it(
    settings: Settings, ledger: Ledger, change: str, broken: str
) -> None:
    """Row 3 is proved; the change is in it or around it."""
    with open_store(settings, role="owner") as store:
        store.command(f"ALTER TABLE {change} SETTINGS mutations_sync = 2")
        proof = proof_of(store, settings, ledger.rows[3])
    assert broken in {step.claim for step in proof.steps if step.status == "failed"}
    assert proof.status == "failed"


@pytest.mark.parametrize("wrong", ["env = replaceAll(env, 'triage', 'tri_ge')", "prev_hash = reverse(prev_hash)"])
@pytest.mark.parametrize("is_merged", [False, True])
@pytest.mark.parametrize("is_first", [False, True])
def test_a_forged_copy_that_claims_the_hash_of_a_row_is_not_vouched_for_by_it(
    settings: Settings, ledger: Ledger, wrong: str, is_merged: bool, is_first: bool
) -> None:
    """A page shows one of the two, whichever the engine hands out: the proof must not be the other one's."""
    good = "SELECT * EXCEPT stored_at FROM (SELECT * FROM rows WHERE seq = 3)"
    column, value = wrong.split(" = ")
    forged = f"SELECT * EXCEPT stored_at REPLACE ({value} AS {column}) FROM (SELECT * FROM rows WHERE seq = 3)"
    with open_store(settings, role="owner") as store:
        names = store.query_table(f"{good} LIMIT 0")[0]
        into = f"INSERT INTO rows ({', '.join(names)})"
        store.command(f"CREATE TEMPORARY TABLE kept AS {forged}" if is_first else f"{into} {forged}")
        if is_first:
            store.command(f"CREATE TEMPORARY TABLE whole AS {good}")
            store.command("ALTER TABLE rows DELETE WHERE seq = 3 SETTINGS mutations_sync = 2")
            store.command(f"{into} SELECT * FROM kept")
            store.command(f"{into} SELECT * FROM whole")
        if is_merged:
            store.command("OPTIMIZE TABLE rows FINAL")
        proof = proof_of(store, settings, ledger.rows[3])
    assert "the row's hash follows from its content and place" in {s.claim for s in proof.steps if s.status == "failed"}


def test_a_reader_that_stays_proves_what_stands_on_the_disk_now(
    settings: Settings, ledger: Ledger, tmp_path: Path
) -> None:
    """The console keeps what its pages read; a part whose files were exchanged meanwhile must not pass for the old one.

    The forged part is as long as the good one, hash for hash, so that nothing but its bytes tells them apart.
    """
    forger = settings_of(shutil.copytree(settings.directory, tmp_path / "forger", symlinks=True))
    with open_store(forger, role="owner") as store:
        forge = "ALTER TABLE rows UPDATE row_hash = reverse(row_hash) WHERE seq = 2 SETTINGS mutations_sync = 2"
        store.command(forge)
        forged = part_of(store)
    with open_store(settings, role="owner") as store:
        good = part_of(store)
    with open_store(settings, role="reader", beside=True) as store:
        assert proof_of(store, settings, ledger.rows[3]).status == "ok"
        for file in forged.iterdir():
            shutil.copyfile(file, good / file.name)
        proof = proof_of(store, settings, ledger.rows[3])
    assert "it follows the row before it" in {step.claim for step in proof.steps if step.status == "failed"}


def part_of(store: Store) -> Path:
    """Return the directory of the only part that holds rows."""
    [(path,)] = store.query("SELECT path FROM system.parts WHERE table = 'rows' AND active")
    return Path(path)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE env = replaceAll(env, 'triage', 'tri_ge') WHERE seq = 3",
        "UPDATE time_ns = time_ns + 1 WHERE seq = 3",
        "UPDATE prev_hash = reverse(prev_hash) WHERE seq = 3",
    ],
)
def test_an_altered_row_says_so_wherever_it_is_shown(settings: Settings, ledger: Ledger, change: str) -> None:
    """In its case, in a search and by its place: the log covers the number of the row, and no longer what is there."""
    row = ledger.rows[3]
    with open_store(settings, role="owner") as store:
        before = {event.state for event in search(store, Criteria(with_housekeeping=False))}
        store.command(f"ALTER TABLE rows {change} SETTINGS mutations_sync = 2")
        for found in (
            find_row(store, row.chain_id.hex(), row.seq),
            find_case(store, CASES[0].case_id),
            search(store, Criteria(with_housekeeping=False)),
        ):
            states = {event.seq: event.state for event in found if event.chain == row.chain_id.hex()}
            assert states.pop(row.seq) == "altered"
            assert set(states.values()) <= {"anchored"}
    assert before == {"anchored"}


def test_a_forged_copy_is_shown_beside_the_row_whose_hash_it_claims(settings: Settings, ledger: Ledger) -> None:
    """One of the two alone might be the wrong one."""
    row = ledger.rows[3]
    columns = "tenant, chain_id, seq, prev_hash, time_ns, env, env_hash, row_hash"
    with open_store(settings, role="owner") as store:
        forged = columns.replace(" env,", " replaceAll(env, 'triage', 'tri_ge'),")
        store.command(f"INSERT INTO rows ({columns}) SELECT {forged} FROM rows WHERE seq = 3")
        found = find_row(store, row.chain_id.hex(), row.seq)
    assert sorted(event.state for event in found) == ["altered", "anchored"]


def test_a_forged_checkpoint_beside_the_signed_one_breaks_no_proof(settings: Settings, ledger: Ledger) -> None:
    """`verify` accuses it; the page goes on to the one that a key of the log signed."""
    with open_store(settings, role="owner") as store:
        store.command("INSERT INTO checkpoints (size, root, note) SELECT size, root, '~ forged' FROM checkpoints")
        assert proof_of(store, settings, ledger.rows[3]).status == "ok"


def test_a_row_that_is_gone_has_no_proof(settings: Settings, ledger: Ledger) -> None:
    """And the answer is no, rather than an empty list."""
    with open_store(settings, role="owner") as store:
        store.command("ALTER TABLE rows DELETE WHERE seq = 3 SETTINGS mutations_sync = 2")
        assert proof_of(store, settings, ledger.rows[3]).status == "failed"


def test_a_row_that_is_not_sealed_yet_waits(settings: Settings, ledger: Ledger) -> None:
    """Its own hashes hold."""
    newer = Ledger(now_ns=ledger.now_ns, _chains=7)
    row = newer.open_chain().append({"event_type": "heartbeat"})
    with open_store(settings, role="owner") as store:
        newer.write(store)
        proof = proof_of(store, settings, row)
    assert [step.status for step in proof.steps] == ["ok", "ok", "ok", "waiting"]
