"""Making and migrating the tables: one node, a cluster, or Cloud.

Rules
- `ensure_schema` is idempotent and asks before it acts: a writer without CREATE rights passes when they are there.
- Versions only go forward. A store that is newer than this software is refused, never downgraded.
- A version is written down after its statements ran. Each statement can run again, so that a crash between the two,
  or two processes at once, do no harm.
- The views follow the tables; they are replaced when this software has others.
- On a cluster `x` is a Distributed table over `x_local`, which is replicated; a chain stays on one shard.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spanledger_exporter.errors import StoreError
from spanledger_exporter.store.address import DEFAULT_DATABASE
from spanledger_exporter.store.columns import COLUMNS, DECISIONS_VERSION, fields_definition
from spanledger_exporter.store.connection import Store
from spanledger_exporter.store.tables import (
    BY_CHAIN,
    BY_REFERENCE,
    CHAIN_OF_ENTRY_SQL,
    LOG,
    OLD_PARTS_LIFETIME_S,
    REFERENCES_SQL,
    ROWS,
    SCHEMA_VERSIONS,
    SEALER_LEASES,
    TABLES,
    Table,
)
from spanledger_exporter.store.views import ensure_views, view_statements

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the tables live. `cluster` implies replication; `replicated` alone is one shard with replicas."""

    database: str = DEFAULT_DATABASE
    cluster: str = ""
    replicated: bool = False
    storage_policy: str = ""

    @property
    def on_cluster(self) -> str:
        """The clause that runs a statement on every node."""
        return f" ON CLUSTER `{self.cluster}`" if self.cluster else ""

    def local_name(self, table: Table) -> str:
        """Return the qualified name of the table that holds the data."""
        return f"{self.database}.{table.name}{'_local' if self.cluster else ''}"


@dataclass(frozen=True, slots=True)
class Migration:
    """One step forward: what changes, and the statements for a layout."""

    version: int
    description: str
    statements: Callable[[Layout], Sequence[str]]


def create_database(layout: Layout) -> str:
    """Return the statement that makes the database."""
    return f"CREATE DATABASE IF NOT EXISTS {layout.database}{layout.on_cluster}"


def create_table(table: Table, layout: Layout) -> list[str]:
    """Return the statements that make `table`: the data, and on a cluster the Distributed table over it."""
    name = layout.local_name(table)
    body = ",\n    ".join(table.columns)
    clauses = [
        f"CREATE TABLE IF NOT EXISTS {name}{layout.on_cluster}\n(\n    {body}\n)",
        f"ENGINE = {_engine(layout)}",
        *([f"PARTITION BY {table.partition_by}"] if table.partition_by else []),
        f"ORDER BY {table.order_by}",
        f"SETTINGS {_settings(table, layout)}",
    ]
    statements = ["\n".join(clauses)]
    if layout.cluster:
        statements.append(
            f"CREATE TABLE IF NOT EXISTS {layout.database}.{table.name}{layout.on_cluster} AS {name}\n"
            f"ENGINE = Distributed('{layout.cluster}', '{layout.database}', '{table.name}_local', {table.shard_by})"
        )
    return statements


def _engine(layout: Layout) -> str:
    if not (layout.cluster or layout.replicated):
        return "MergeTree"
    # Replicas that are set up one by one agree on no UUID, and the engine refuses the macro outside ON CLUSTER.
    place = "{uuid}" if layout.cluster else "{database}/{table}"
    return f"ReplicatedMergeTree('/clickhouse/tables/{place}/{{shard}}', '{{replica}}')"


def _settings(table: Table, layout: Layout) -> str:
    window = "replicated" if layout.cluster or layout.replicated else "non_replicated"
    settings = [f"old_parts_lifetime = {OLD_PARTS_LIFETIME_S}"]
    if table.deduplication_window:
        settings.insert(0, f"{window}_deduplication_window = {table.deduplication_window}")
    if table.index_granularity:
        settings.append(f"index_granularity = {table.index_granularity}")
    if layout.storage_policy:
        settings.append(f"storage_policy = '{layout.storage_policy}'")
    return ", ".join(settings)


def _first_tables(layout: Layout) -> list[str]:
    first = (table for table in TABLES if table is not SEALER_LEASES)
    return [statement for table in first for statement in create_table(table, layout)]


def _lookups(layout: Layout) -> list[str]:
    """Return what lets `--trace` and `--case` skip nearly every granule, and the table that sealers agree in."""
    indexes = ", ".join(
        f"ADD INDEX IF NOT EXISTS by_{column} {column} TYPE bloom_filter(0.01) GRANULARITY 1"
        for column in ("trace_id", "case_id")
    )
    alter = f"ALTER TABLE {layout.local_name(ROWS)}{layout.on_cluster} {indexes}"
    return [alter, *create_table(SEALER_LEASES, layout)]


def _decisions(layout: Layout) -> list[str]:
    """Return what spares the review queue, and searches by reviewer or text, the reading of envelopes.

    Nothing is rewritten: the engine derives the columns of older rows when they are read, and stores them when it
    merges. A mutation would look like an attack.
    """
    tables = [layout.local_name(ROWS), *([f"{layout.database}.{ROWS.name}"] if layout.cluster else [])]
    added = [column for column in COLUMNS if column.since == DECISIONS_VERSION]
    statements: list[str] = []
    for table in tables:
        alter = f"ALTER TABLE {table}{layout.on_cluster} "
        statements.append(f"{alter}MODIFY COLUMN {fields_definition(version=DECISIONS_VERSION)}")
        statements.append(alter + ", ".join(f"ADD COLUMN IF NOT EXISTS {column.definition}" for column in added))
    index = f"ADD INDEX IF NOT EXISTS {BY_REFERENCE} {REFERENCES_SQL} TYPE bloom_filter(0.01) GRANULARITY 1"
    return [*statements, f"ALTER TABLE {layout.local_name(ROWS)}{layout.on_cluster} {index}"]


def _log_by_chain(layout: Layout) -> list[str]:
    """Return what lets pages and proofs skip the entries of other chains; older parts get it when they are merged."""
    index = f"ADD INDEX IF NOT EXISTS {BY_CHAIN} {CHAIN_OF_ENTRY_SQL} TYPE bloom_filter(0.01) GRANULARITY 1"
    return [f"ALTER TABLE {layout.local_name(LOG)}{layout.on_cluster} {index}"]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(1, "the tables of ledger.md section 8", _first_tables),
    Migration(2, "look-ups by trace and case, leases of sealers", _lookups),
    Migration(DECISIONS_VERSION, "columns of decisions, reviews and escalations, look-up by content", _decisions),
    Migration(4, "look-up of log entries by chain", _log_by_chain),
)

VERSION = MIGRATIONS[-1].version


def render(layout: Layout, *, since: int = 0) -> list[str]:
    """Return every statement that takes a store from version `since` to the newest."""
    statements = [create_database(layout)]
    for migration in MIGRATIONS:
        if migration.version > since:
            statements += [*migration.statements(layout), _record(migration, layout)]
    return [*statements, *view_statements(layout.database, on_cluster=layout.on_cluster)]


def _record(migration: Migration, layout: Layout) -> str:
    return (
        f"INSERT INTO {layout.database}.{SCHEMA_VERSIONS.name} (version, description) "
        f"VALUES ({migration.version}, '{migration.description}')"
    )


def schema_version(store: Store) -> int:
    """Return the version of the store's tables; 0 when there are none."""
    exists = store.query(
        "SELECT count() FROM system.tables WHERE database = {database:String} AND name = {name:String}",
        {"database": store.database, "name": SCHEMA_VERSIONS.name},
    )
    if not exists[0][0]:
        return 0
    return int(store.query(f"SELECT max(version) FROM {store.database}.{SCHEMA_VERSIONS.name}")[0][0])


def read_layout(store: Store) -> Layout | None:
    """Return how the tables that are there were laid out; None when there are none."""
    found = store.query(
        "SELECT name, engine, engine_full FROM system.tables "
        "WHERE database = {database:String} AND name IN ('rows', 'rows_local')",
        {"database": store.database},
    )
    engines = {name: (engine, full) for name, engine, full in found}
    if "rows" not in engines:
        return None
    cluster = _DISTRIBUTED.match(engines["rows"][1])
    engine, data = engines.get("rows_local", engines["rows"])
    policy = _POLICY.search(data)
    return Layout(
        database=store.database,
        cluster=cluster[1] if cluster else "",
        replicated=engine.startswith("Replicated"),
        storage_policy=policy[1] if policy else "",
    )


_DISTRIBUTED = re.compile(r"Distributed\('([^']+)'")
_POLICY = re.compile(r"storage_policy = '([^']+)'")


def ensure_schema(store: Store, layout: Layout | None = None) -> None:
    """Make the database, its tables and its views, or bring them up to date; does nothing when they are.

    The layout of tables that are there is kept; without any, and without `layout`, it is one node.
    Raises StoreError when the store is newer than this software, or refuses.
    """
    found = schema_version(store)
    layout = read_layout(store) or layout or Layout(database=store.database)
    if found > VERSION:
        raise StoreError(
            f"expected tables of version {VERSION} or older in {store.name}, got version {found}: "
            "update spanledger on this host"
        )
    if found < VERSION:
        for statement in render(layout, since=found):
            store.command(statement)
    store.use_database()
    try:
        ensure_views(store, on_cluster=layout.on_cluster)
    except StoreError as error:
        if found < VERSION:
            raise
        # A shipper with INSERT rights alone goes on: views are for people, and their owner runs `spanledger init`.
        _log.info("spanledger: the views stay as they are: %s", error)
