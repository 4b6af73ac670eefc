"""What each role can and cannot do, tried in a real engine: chDB takes grants and row filters from its own files."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.recorder import open_recorder
from spanledger_exporter.store.grants import AUDITOR, READER, SEALER, WRITER, privileges
from spanledger_exporter.store.schema import Layout

USERS = """<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default>
<password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
<grants>{grants}</grants>{filters}</default></users></clickhouse>"""
FILTER = "<databases><spanledger>{tables}</spanledger></databases>"
ENGINE = "<clickhouse><logger><level>none</level></logger><users_config>{users}</users_config></clickhouse>"

CHANGES = [
    "ALTER TABLE spanledger.rows DELETE WHERE 1",
    "ALTER TABLE spanledger.rows UPDATE tenant = 'x' WHERE 1",
    "ALTER TABLE spanledger.rows MODIFY COLUMN outcome String MATERIALIZED 'success'",
    "ALTER TABLE spanledger.rows DROP PARTITION ID '202601'",
    "DELETE FROM spanledger.rows WHERE 1",
    "TRUNCATE TABLE spanledger.rows",
    "DROP TABLE spanledger.rows",
    "CREATE OR REPLACE VIEW spanledger.events AS SELECT 1",
]


def as_user(settings: Settings, tmp_path: Path, role: str, code: str, *, tenant: str = "") -> Sequence[str]:
    """Run `code` in a process whose engine gives it exactly the privileges of `role`; return what it prints.

    Reading files is added: the embedded engine is given references in one, a server in the statement itself.
    """
    grants = [f"GRANT {privilege} ON {target}" for privilege, target, owner in privileges(Layout()) if owner == role]
    grants += ["GRANT READ ON FILE", "GRANT CREATE TEMPORARY TABLE ON *.*"]
    tables = f"<rows><filter>tenant = '{tenant}'</filter></rows><content><filter>tenant = '{tenant}'</filter></content>"
    users, engine = tmp_path / "users.xml", tmp_path / "engine.xml"
    queries = "".join(f"<query>{escape(grant)}</query>" for grant in grants)
    users.write_text(USERS.format(grants=queries, filters=FILTER.format(tables=tables) if tenant else ""))
    engine.write_text(ENGINE.format(users=users))
    prelude = (
        "from pathlib import Path\n"
        "from spanledger_exporter.config import load_settings\n"
        "from spanledger_exporter.errors import StoreError\n"
        "from spanledger_exporter.ship.shipper import drain\n"
        "from spanledger_exporter.store import connection\n"
        f"settings = load_settings({{'SPANLEDGER_DIR': {str(settings.directory)!r}}})\n"
        f"connection.EMBEDDED_CONFIGURATION = Path({str(engine)!r})\n"
        "def attempt(step, *arguments):\n"
        "    try:\n"
        "        return step(*arguments)\n"
        "    except StoreError as error:\n"
        "        return 'denied' if 'Not enough privileges' in str(error) else str(error)\n"
        "store = connection.open_store(settings, role='owner')\n"
    )
    done = subprocess.run([sys.executable, "-c", prelude + code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings of a store with tables, and a spool with rows of two tenants."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path / "data")})
    code = (
        "from spanledger_exporter.config import load_settings\n"
        "from spanledger_exporter.ship.shipper import drain\n"
        "from spanledger_exporter.store.connection import open_store\n"
        f"settings = load_settings({{'SPANLEDGER_DIR': {str(settings.directory)!r}}})\n"
        "with open_store(settings, role='owner') as store: drain(settings, store)\n"
    )
    for tenant in ("acme", "globex"):
        with open_recorder(settings, role="application") as recorder:
            recorder.record({"event_type": "model_call", "name": f"call of {tenant}", "tenant": tenant})
    subprocess.run([sys.executable, "-c", code], check=True)
    return settings


def test_a_writer_ships_and_recovers_and_can_do_nothing_else(settings: Settings, tmp_path: Path) -> None:
    """Its cursors are lost: it has to ask the store what is there, and may."""
    with open_recorder(settings, role="application") as recorder:
        recorder.record({"event_type": "model_call"})
    for cursor in settings.spool_directory.glob("*/cursor.json"):
        cursor.unlink()
    code = (
        "print(drain(settings, store).shipped.rows)\n"
        "print(attempt(store.query, 'SELECT env FROM rows'))\n"
        "print(attempt(store.insert, 'log', ['index'], [[1]]))\n"
        f"for change in {CHANGES!r}: print(attempt(store.command, change))\n"
    )
    assert as_user(settings, tmp_path, WRITER, code) == ["3", *["denied"] * (2 + len(CHANGES))]


def test_a_reader_of_one_tenant_sees_only_its_rows_in_tables_and_views(settings: Settings, tmp_path: Path) -> None:
    """Views read with the rights of who asks."""
    code = (
        "print(store.query(\"SELECT name FROM rows WHERE event_type = 'model_call'\"))\n"
        "print(store.query(\"SELECT name FROM events WHERE event_type = 'model_call'\"))\n"
        "print(attempt(store.insert, 'rows', ['env'], [[b'{}']]))\n"
        f"for change in {CHANGES!r}: print(attempt(store.command, change))\n"
    )
    seen = "[('call of acme',)]"
    assert as_user(settings, tmp_path, READER, code, tenant="acme") == [seen, seen, *["denied"] * (1 + len(CHANGES))]


def test_a_sealer_appends_to_the_log_and_never_to_rows(settings: Settings, tmp_path: Path) -> None:
    """Whoever holds the key must not be able to invent events."""
    code = (
        "print(attempt(store.insert, 'log', ['index'], [[1]]))\n"
        "print(store.query('SELECT count() FROM rows'))\n"
        "print(attempt(store.insert, 'rows', ['env'], [[b'{}']]))\n"
        "print(attempt(store.insert, 'content', ['data'], [[b'x']]))\n"
        f"for change in {CHANGES!r}: print(attempt(store.command, change))\n"
    )
    assert as_user(settings, tmp_path, SEALER, code) == ["None", "[(6,)]", *["denied"] * (2 + len(CHANGES))]


def test_an_auditor_reads_everything_and_the_engines_own_books(settings: Settings, tmp_path: Path) -> None:
    """Mutations, parts and definitions say whether somebody changed a table."""
    code = (
        "print(store.query('SELECT count() FROM rows'))\n"
        "print(store.query('SELECT count() FROM system.mutations'))\n"
        "print(store.query(\"SELECT count() > 0 FROM system.parts WHERE table = 'rows'\"))\n"
        "print(attempt(store.insert, 'log', ['index'], [[1]]))\n"
        f"for change in {CHANGES!r}: print(attempt(store.command, change))\n"
    )
    answers = as_user(settings, tmp_path, AUDITOR, code)
    assert answers == ["[(6,)]", "[(0,)]", "[(1,)]", *["denied"] * (1 + len(CHANGES))]
