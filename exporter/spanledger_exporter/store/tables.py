"""The tables of ledger.md sections 8 and 9, as values that schema.py renders for one node, a cluster or Cloud.

Rules
- Plain MergeTree, never Replacing: with INSERT rights alone a Replacing table can be made to forget a row.
- No Nullable, hashes are FixedString(32), `env` is compressed and never re-serialised.
- `old_parts_lifetime` lets another process read the embedded store's files while merges replace them.
- No `enable_block_number_column`: with it a lightweight UPDATE leaves no trace in `system.mutations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spanledger_exporter.store.columns import COLUMNS, fields_definition

DEDUPLICATION_WINDOW = 10_000
"""Inserts whose tokens the engine remembers: far more than a shipper can have under way."""

OLD_PARTS_LIFETIME_S = 480

STORED_AT = "`stored_at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC') CODEC(Delta(8), ZSTD(1))"
CREATED_AT = "`created_at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')"


@dataclass(frozen=True, slots=True)
class Table:
    """A ledger table. `shard_by` is the expression that keeps what belongs together on one shard of a cluster."""

    name: str
    columns: Sequence[str]
    order_by: str
    partition_by: str = ""
    shard_by: str = "rand()"
    deduplication_window: int = 0
    index_granularity: int = 0
    """Rows per index mark; 0 leaves ClickHouse's own 8,192."""


# As version 1 made it: what came later is added by the migrations of schema.py, for new stores too.
ROWS = Table(
    name="rows",
    columns=(
        "`tenant` LowCardinality(String)",
        "`chain_id` FixedString(16)",
        "`seq` UInt64 CODEC(Delta(8), ZSTD(1))",
        "`prev_hash` FixedString(32) CODEC(NONE)",
        "`time_ns` UInt64 CODEC(Delta(8), ZSTD(1))",
        "`env` String CODEC(ZSTD(3))",
        "`env_hash` FixedString(32) CODEC(NONE)",
        "`row_hash` FixedString(32) CODEC(NONE)",
        STORED_AT,
        fields_definition(version=1),
        *(column.definition for column in COLUMNS if column.since == 1),
    ),
    partition_by="toYYYYMM(stored_at)",
    order_by="(tenant, chain_id, seq)",
    shard_by="cityHash64(chain_id)",
    deduplication_window=DEDUPLICATION_WINDOW,
    # A page's rows lie far apart, and each one costs the reading of a whole granule of envelopes (exporter/adr/0010).
    index_granularity=1024,
)

REFERENCES_SQL = "arrayMap(part -> substring(part, 1, 64), arraySlice(splitByString('ref\":\"', env), 2))"
"""Every content reference of an envelope, at any depth: what follows a key that ends in `ref`. Half the price of a
regular expression; whatever else it catches is no reference, and finds nothing."""

BY_REFERENCE = "by_reference"
"""The index over `REFERENCES_SQL`. Inserts leave it to the merges (`Store.insert`), so that no shipper waits for it."""

CONTENT = Table(
    name="content",
    columns=(
        "`tenant` LowCardinality(String)",
        "`ref` FixedString(32)",
        "`class` LowCardinality(String)",
        "`media` LowCardinality(String)",
        "`size` UInt64",
        "`data` String CODEC(ZSTD(3))",
        "`key_id` LowCardinality(String)",
        STORED_AT,
    ),
    partition_by="toYYYYMM(stored_at)",
    order_by="(ref, tenant)",
    shard_by="cityHash64(ref)",
    deduplication_window=DEDUPLICATION_WINDOW,
    # Shippers ask for thousands of random references at a time, and each one costs the reading of a whole granule.
    index_granularity=1024,
)

CHAIN_OF_ENTRY_SQL = 'substring(entry, position(entry, \'"chain":"\') + 9, 32)'
"""The chain that an entry of the log is about, in hex. An entry is canonical JSON, which escapes no hex digit: what
follows the key is the chain, at a third of the price of parsing it. In an entry of another kind it finds nothing."""

BY_CHAIN = "by_chain"
"""The index over `CHAIN_OF_ENTRY_SQL`: pages and proofs ask about few chains of a log that grows for years."""

LOG = Table(
    name="log",
    columns=("`index` UInt64", "`entry` String CODEC(ZSTD(3))", "`leaf_hash` FixedString(32)", STORED_AT),
    order_by="index",
    shard_by="0",
    deduplication_window=DEDUPLICATION_WINDOW,
    # Every page asks about the chains of its rows: the index spares granules, and a chain has few entries in a row.
    index_granularity=256,
)

CHECKPOINTS = Table(
    name="checkpoints",
    columns=("`size` UInt64", "`root` FixedString(32)", "`note` String", CREATED_AT),
    order_by="size",
    shard_by="0",
    deduplication_window=DEDUPLICATION_WINDOW,
)

ANCHORS = Table(
    name="anchors",
    columns=(
        "`size` UInt64",
        "`kind` LowCardinality(String)",
        "`target` LowCardinality(String)",
        "`receipt` String",
        CREATED_AT,
    ),
    order_by="(size, kind, target)",
    shard_by="0",
    deduplication_window=DEDUPLICATION_WINDOW,
)

SUBJECT_KEYS = Table(
    name="subject_keys",
    columns=(
        "`tenant` LowCardinality(String)",
        "`subject` String",
        "`key_id` String",
        "`recipient` String",
        "`wrapped` String",
        CREATED_AT,
    ),
    order_by="(tenant, subject, key_id)",
    shard_by="0",
    deduplication_window=DEDUPLICATION_WINDOW,
)

LEGAL_HOLDS = Table(
    name="legal_holds",
    columns=(
        "`tenant` LowCardinality(String)",
        "`hold_id` String",
        "`action` LowCardinality(String)",
        "`scope` String",
        "`reason` String",
        "`actor_id` String",
        CREATED_AT,
    ),
    order_by="(tenant, hold_id, created_at)",
    shard_by="0",
    deduplication_window=DEDUPLICATION_WINDOW,
)

SEALER_LEASES = Table(
    name="sealer_leases",
    columns=("`epoch` UInt64", "`holder` String", CREATED_AT),
    order_by="epoch",
    shard_by="0",
    deduplication_window=DEDUPLICATION_WINDOW,
)
"""Who seals a server store; see `seal.lease`."""

SCHEMA_VERSIONS = Table(
    name="schema_versions",
    columns=("`version` UInt32", "`description` String", CREATED_AT),
    order_by="version",
    shard_by="0",
)

TABLES: tuple[Table, ...] = (
    ROWS,
    CONTENT,
    LOG,
    CHECKPOINTS,
    ANCHORS,
    SUBJECT_KEYS,
    LEGAL_HOLDS,
    SEALER_LEASES,
    SCHEMA_VERSIONS,
)

TENANT_TABLES: tuple[Table, ...] = (ROWS, CONTENT, SUBJECT_KEYS, LEGAL_HOLDS)
"""Tables that a row policy can split by tenant."""
