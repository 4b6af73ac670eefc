"""The proof of one row: every step holds on an honest store, and names what was done to a dishonest one."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path

import pytest

from ledger_story import CASES, tell
from ledgers import Ledger
from served_console import command
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.ledger.merkle import Tree, leaf_hash
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.read import proof
from spanledger_exporter.read.proof import BLOCK, RowProof, inclusion_hashes, prove_row
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


@pytest.mark.parametrize("size", [1, 2, 7, BLOCK, BLOCK + 1, 3 * BLOCK - 1, 3 * BLOCK, 5 * BLOCK + 700])
def test_a_proof_from_remembered_blocks_is_that_of_the_tree(size: int) -> None:
    """At the edges of blocks and of the tree, asked for twice."""
    leaves = [leaf_hash(number.to_bytes(4, "big")) for number in range(size)]
    tree = Tree(leaves)
    indexes = {0, 1, BLOCK - 1, BLOCK, 2 * BLOCK + 5, size // 2, size - 2, size - 1}
    for index in sorted(index for index in indexes if 0 <= index < size) * 2:
        assert inclusion_hashes(leaves, index, size) == tree.inclusion_proof(index)
        assert inclusion_hashes(iter(leaves), index, size) == tree.inclusion_proof(index)


def test_a_proof_is_made_in_one_pass_without_holding_the_log() -> None:
    """A log of millions would be hundreds of megabytes as Python objects; a block and a root per block are enough."""
    size = 300_000
    tracemalloc.start()
    hashes = inclusion_hashes((number.to_bytes(32, "big") for number in range(size)), 123_456, size)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert hashes == Tree(number.to_bytes(32, "big") for number in range(size)).inclusion_proof(123_456)
    assert peak_bytes < 20_000_000  # the leaves alone, in a list, are 22 MB; the blocks that are remembered, 10 MB


def test_pages_of_the_log_meet_without_a_gap(
    settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One leaf at a time, two, and all at once give the same proof."""
    found: set[str] = set()
    with open_store(settings, role="owner") as store:
        for page in (1, 2, 1 << 18):
            monkeypatch.setattr(proof, "LEAVES_PER_QUERY", page)
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
