"""Making tables, bringing old ones up to date, and the statements for servers that no test machine has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.errors import StoreError
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.grants import render_grants
from spanledger_exporter.store.schema import (
    MIGRATIONS,
    VERSION,
    Layout,
    create_database,
    ensure_schema,
    read_layout,
    render,
    schema_version,
)
from spanledger_exporter.store.tables import TABLES

LAYOUTS = [
    Layout(),
    Layout(storage_policy="tiered"),
    Layout(replicated=True),
    Layout(database="audit", cluster="main"),
    Layout(cluster="main", storage_policy="tiered"),
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings of an embedded store in a directory of its own."""
    return load_settings({"SPANLEDGER_DIR": str(tmp_path)})


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Yield an owned store without tables."""
    with open_store(settings, role="owner") as opened:
        yield opened


def definitions(store: Store) -> list[tuple[Any, ...]]:
    """Return what the engine says of every table and view."""
    return store.query("SELECT name, create_table_query FROM system.tables WHERE database = 'spanledger' ORDER BY name")


@pytest.mark.parametrize("version", range(VERSION + 1))
def test_a_store_of_every_older_version_becomes_like_a_new_one(store: Store, tmp_path: Path, version: int) -> None:
    """Its rows stay, and its tables are those that a new store gets."""
    store.command(create_database(Layout()))
    for migration in MIGRATIONS[:version]:
        for statement in migration.statements(Layout()):
            store.command(statement)
        number, said = migration.version, migration.description
        store.command(f"INSERT INTO spanledger.schema_versions (version, description) VALUES ({number}, '{said}')")
    if version:
        store.insert("rows", ["tenant", "env"], [["default", b'{"case_id":"x"}']])
    ensure_schema(store)
    assert schema_version(store) == VERSION
    assert store.query("SELECT count() FROM rows") == [(min(version, 1),)]
    upgraded = definitions(store)
    store.close()
    with open_store(load_settings({"SPANLEDGER_DIR": str(tmp_path / "new")}), role="owner") as new:
        ensure_schema(new)
        assert [strip(row) for row in upgraded] == [strip(row) for row in definitions(new)]


def strip(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a definition without the identifier that each table has of its own."""
    name, statement = row
    head, _, rest = statement.partition("(")
    return name, head.split(" UUID ")[0].strip(), rest


class Watched:
    """A store that notes the statements it runs."""

    def __init__(self, store: Store) -> None:
        self.statements: list[str] = []
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def command(self, sql: str) -> None:
        self.statements.append(sql)
        self._store.command(sql)


def test_tables_that_are_up_to_date_are_left_alone(store: Store) -> None:
    """A writer without CREATE rights gets through."""
    ensure_schema(store)
    watched = Watched(store)
    ensure_schema(watched)  # type: ignore[arg-type]
    assert watched.statements == []


def test_a_crash_between_a_migration_and_its_record_does_no_harm(store: Store) -> None:
    """Every statement can run again."""
    ensure_schema(store)
    store.command("TRUNCATE TABLE schema_versions")
    before = definitions(store)
    ensure_schema(store)
    assert schema_version(store) == VERSION
    assert definitions(store) == before


def test_a_store_of_a_newer_software_is_refused(store: Store) -> None:
    """Never downgraded, and the message says what to do."""
    ensure_schema(store)
    store.command(f"INSERT INTO schema_versions (version) VALUES ({VERSION + 1})")
    with pytest.raises(StoreError, match="update spanledger on this host"):
        ensure_schema(store)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_every_statement_is_accepted_by_the_engines_parser(store: Store, layout: Layout) -> None:
    """Replicated tables, clusters, roles and policies cannot be made here, but they are read."""
    statements = [*render(layout), *render_grants(layout, tenants=["acme", "o'neill & söhne"])]
    for statement in statements:
        if not statement.startswith("INSERT INTO"):
            store.query(f"EXPLAIN AST {statement}")


def test_the_parser_of_the_test_before_does_refuse(store: Store) -> None:
    """A check that accepts everything would prove nothing."""
    with pytest.raises(StoreError, match="SYNTAX_ERROR"):
        store.query("EXPLAIN AST GRANT SELECT OF spanledger.rows TO reader")


def test_a_cluster_keeps_a_chain_on_one_shard_and_every_table_replicated() -> None:
    """The name that everybody uses is the Distributed table; the data is in `_local`."""
    statements = render(Layout(cluster="main"))
    tables = [statement for statement in statements if statement.startswith("CREATE TABLE")]
    assert len(tables) == 2 * len(TABLES)
    for local, distributed in zip(tables[::2], tables[1::2], strict=True):
        assert "_local ON CLUSTER `main`" in local
        assert "ReplicatedMergeTree(" in local
        assert "replicated_deduplication_window" in local or "schema_versions" in local
        assert "Distributed('main', 'spanledger'" in distributed
    [rows] = [
        statement for statement in tables if statement.startswith("CREATE TABLE IF NOT EXISTS spanledger.rows ON")
    ]
    assert rows.endswith("'rows_local', cityHash64(chain_id))")
    assert all("ON CLUSTER `main`" in statement for statement in statements if not statement.startswith("INSERT"))


def test_one_node_and_cloud_get_plain_tables() -> None:
    """Cloud turns MergeTree into its own shared engine; naming a replicated one is an error there."""
    assert not any("Replicated" in statement or "ON CLUSTER" in statement for statement in render(Layout()))


class Answers:
    """A server whose catalogue says one thing."""

    database = "spanledger"

    def __init__(self, *rows: tuple[str, str, str]) -> None:
        self._rows = list(rows)

    def query(self, *_: Any) -> list[tuple[str, str, str]]:
        return self._rows


@pytest.mark.parametrize(
    ("rows", "layout"),
    [
        ([], None),
        ([("rows", "MergeTree", "MergeTree ORDER BY x")], Layout()),
        ([("rows", "SharedMergeTree", "SharedMergeTree('/x', '{replica}') ORDER BY x")], Layout()),
        ([("rows", "MergeTree", "MergeTree SETTINGS storage_policy = 'tiered'")], Layout(storage_policy="tiered")),
        ([("rows", "ReplicatedMergeTree", "ReplicatedMergeTree('/x')")], Layout(replicated=True)),
        (
            [
                ("rows", "Distributed", "Distributed('main', 'spanledger', 'rows_local', cityHash64(chain_id))"),
                ("rows_local", "ReplicatedMergeTree", "ReplicatedMergeTree('/x')"),
            ],
            Layout(cluster="main", replicated=True),
        ),
    ],
)
def test_a_migration_finds_out_how_the_tables_were_laid_out(
    rows: list[tuple[str, str, str]], layout: Layout | None
) -> None:
    """An application on a cluster says nothing about the cluster."""
    assert read_layout(Answers(*rows)) == layout  # type: ignore[arg-type]
