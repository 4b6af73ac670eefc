"""Old tables with old rows become new ones: nothing rewritten, nothing that looks like an attack, the same answers."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from ledger_story import tell
from ledgers import Ledger
from spanledger_exporter.config import load_settings
from spanledger_exporter.ledger.log_entry import LogEntry
from spanledger_exporter.read.queue import waiting
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import MIGRATIONS, VERSION, Layout, create_database, ensure_schema
from spanledger_exporter.verify.store_source import existing_tables, mismatch_sql
from spanledger_exporter.verify.table_review import review_tables
from spanledger_exporter.verify.tables import find_changes, fingerprint, read_definitions
from spanledger_exporter.verify.verdict import Findings

RELEASED = {
    1: "c03529e3d7acb40c62068913b1db0006d65905002889c7d27981d5353ee3410d",
    2: "e8c2ab5aa22b53dacbb260a2b4d2a4e99aba290329952d7fd2ffb2209987a61e",
}
"""SHA-256 over the statements of each migration that somebody may have run.

The first one got other granules for new tables since (exporter/adr/0010): settings that nothing is derived from.
"""


@pytest.mark.parametrize("version", RELEASED)
def test_a_migration_that_was_released_never_changes(version: int) -> None:
    """Tables that were made with it would be others than those that this software believes in."""
    layouts = (Layout(), Layout(cluster="main"))
    texts = [statement for layout in layouts for statement in MIGRATIONS[version - 1].statements(layout)]
    assert sha256("\n".join(texts).encode()).hexdigest() == RELEASED[version]


@pytest.fixture(params=range(1, VERSION))
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Yield a store whose tables are of an older version, with the story in it."""
    ledger = Ledger()
    tell(ledger)
    with open_store(load_settings({"SPANLEDGER_DIR": str(tmp_path)}), role="owner") as store:
        store.command(create_database(Layout()))
        store.use_database()
        for migration in MIGRATIONS[: request.param]:
            for statement in migration.statements(Layout()):
                store.command(statement)
            store.command(f"INSERT INTO schema_versions (version, description) VALUES ({migration.version}, 'old')")
        ledger.write(store)
        yield store


def answers(store: Store) -> list[object]:
    """Return what the views say that stand on the new columns."""
    return [
        waiting(store, limit=100),
        store.query("SELECT case_id, is_default, confidence FROM decisions ORDER BY time"),
        store.query("SELECT case_id, reviewer FROM reviews ORDER BY time"),
        store.query("SELECT event_id, decision_confidence, escalation_to FROM events ORDER BY time, seq"),
    ]


def test_rows_of_older_tables_answer_like_new_ones(old: Store) -> None:
    """Before and after the engine merged them, and no column says anything else than its envelope."""
    ensure_schema(old)
    before = answers(old)
    old.command("OPTIMIZE TABLE rows FINAL")
    assert answers(old) == before
    assert old.query(f"SELECT count() FROM rows WHERE {mismatch_sql()}") == [(0,)]
    old.command("TRUNCATE TABLE rows")
    new = Ledger()
    tell(new)
    new.write(old, token="new")
    assert answers(old) == before


def test_a_migration_is_no_mutation(old: Store) -> None:
    """`verify` reports every mutation as tampering."""
    ensure_schema(old)
    assert find_changes(old) == []


def test_an_upgrade_is_told_from_an_attack(old: Store) -> None:
    """The log still holds the fingerprint of the old definitions: ours is no change, an attacker's is."""
    recorded = [LogEntry("schema", {"fingerprint": fingerprint(read_definitions(old)).hex()})]
    ensure_schema(old)
    findings = Findings()
    review_tables(old, existing_tables(old), recorded, findings)
    assert findings.checks["columns"].findings == []
    old.command("ALTER TABLE content MODIFY COLUMN data String CODEC(NONE)")
    review_tables(old, existing_tables(old), recorded, findings)
    assert "were they altered" in findings.checks["columns"].findings[-1].reason
