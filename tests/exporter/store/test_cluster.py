"""What one engine can be of a cluster: Distributed tables over its own shard, replicated ones up to the Keeper."""

import re
import subprocess
import sys
from pathlib import Path

from spools import settings_for

ENGINE = """
<clickhouse>
    <logger><level>none</level></logger>
    <tcp_port>9000</tcp_port>
    <macros><shard>1</shard><replica>one</replica></macros>
    <remote_servers>
        <main><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard></main>
    </remote_servers>
</clickhouse>
"""
PRELUDE = """
import re
from pathlib import Path
from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import StoreError
from spanledger_exporter.ship.shipper import drain
from spanledger_exporter.store import connection
from spanledger_exporter.store.connection import open_store
from spanledger_exporter.store.schema import Layout, create_database, create_table, read_layout, render
from spanledger_exporter.store.tables import ROWS
connection.EMBEDDED_CONFIGURATION = Path({engine!r})
settings = load_settings({{"SPANLEDGER_DIR": {directory!r}}})
"""
CLUSTER = """
from exporter.ship.test_drain import assert_stored_once, record, spooled, text
record(settings, 50, contents=lambda number: [text(f"content {number}")])
with open_store(settings, role="owner") as store:
    for statement in render(Layout(cluster="main")):
        statement = statement.replace(" ON CLUSTER `main`", "")
        statement = re.sub(r"ReplicatedMergeTree\\('[^']*', '[^']*'\\)", "MergeTree", statement)
        store.command(statement.replace("replicated_deduplication", "non_replicated_deduplication"))
    store.use_database()
    assert read_layout(store).cluster == "main"
    drain(settings, store)
    for cursor in settings.spool_directory.rglob("cursor.json"):
        cursor.unlink()
    drain(settings, store)
    assert_stored_once(store, spooled(settings))
    for table in ("rows", "rows_local"):
        [[stored, chains]] = store.query(f"SELECT count(), uniq(chain_id) FROM spanledger.{table}")
        print(table, stored, chains)
    print("events", store.query("SELECT count() FROM spanledger.events")[0][0])
"""
REPLICATED = """
with open_store(settings, role="owner") as store:
    store.command(create_database(Layout()))
    [statement] = create_table(ROWS, Layout(replicated=True))
    try:
        store.command(statement)
    except StoreError as error:
        print(error)
"""


def run(tmp_path: Path, code: str) -> str:
    """Run `code` in a process whose engine knows a cluster of one node; return what it prints."""
    engine = tmp_path / "engine.xml"
    engine.write_text(ENGINE)
    directory = settings_for(tmp_path / "data").directory
    program = PRELUDE.format(engine=str(engine), directory=str(directory)) + code
    tests = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tests)!r})\n{program}"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_shipped_through_distributed_tables_is_stored_once_in_the_local_ones(tmp_path: Path) -> None:
    """A shipper that forgot everything asks through them too, and the views read through them."""
    said = run(tmp_path, CLUSTER)
    found = re.search(r"rows (\d+) (\d+)\nrows_local (\d+) (\d+)\nevents (\d+)", said)
    assert found, said
    assert found[1] == found[3]
    assert int(found[1]) >= 50
    assert int(found[5]) >= 50


def test_a_replicated_table_outside_a_cluster_needs_nothing_but_a_keeper(tmp_path: Path) -> None:
    """Every other part of its definition is accepted: the engine refuses `{uuid}` in the path there."""
    assert "zookeeper" in run(tmp_path, REPLICATED).lower()
