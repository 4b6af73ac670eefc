"""Whether the tables are still the ones that were made: definitions, mutations, patch parts. Shared with the sealer.

Rules
- A definition is read from the engine's own catalogue: engine clause (sorting key, partitions, TTL, settings) and each
  column's type, default kind, default expression and codec. `ALTER … MODIFY COLUMN … MATERIALIZED`, a new TTL or a
  changed setting changes the fingerprint; rows do not.
- The fingerprint is SHA-256 over the canonical JSON of all definitions. The sealer writes it into the log when it is
  new, so that a change has a place in history.
- The append-only tables never have a mutation (`ALTER … UPDATE/DELETE`) or a patch part (lightweight UPDATE). One of
  either is reported with the engine's own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from spanledger_exporter.ledger.canonical import canonical_json
from spanledger_exporter.store.connection import Store

LEDGER_TABLES = ("rows", "content", "log", "checkpoints", "anchors")
"""Tables that nothing but an insert may change."""


@dataclass(frozen=True, slots=True)
class TableChange:
    """A trace of an UPDATE or DELETE on a ledger table: where, and what the engine says of it."""

    table: str
    reason: str


def read_definitions(store: Store) -> dict[str, Any]:
    """Return the definition of every ledger table that exists, by name."""
    engines = store.query(
        "SELECT name, engine_full FROM system.tables "
        "WHERE database = {database:String} AND name IN {names:Array(String)}",
        _names(store),
    )
    columns = store.query(
        "SELECT table, name, type, default_kind, default_expression, compression_codec FROM system.columns "
        "WHERE database = {database:String} AND table IN {names:Array(String)} ORDER BY table, position",
        _names(store),
    )
    return {
        name: {"engine": engine, "columns": [list(column[1:]) for column in columns if column[0] == name]}
        for name, engine in engines
    }


def fingerprint(definitions: Mapping[str, Any]) -> bytes:
    """Return the 32-byte fingerprint of table definitions."""
    return sha256(canonical_json(definitions)).digest()


def find_changes(store: Store) -> list[TableChange]:
    """Return every mutation and patch part on a ledger table; an honest ledger has none."""
    mutations = store.query(
        "SELECT table, mutation_id, command FROM system.mutations "
        "WHERE database = {database:String} AND table IN {names:Array(String)} ORDER BY table, mutation_id",
        _names(store),
    )
    parts = store.query(
        "SELECT table, name FROM system.parts WHERE database = {database:String} AND table IN {names:Array(String)} "
        "AND startsWith(name, 'patch-') ORDER BY table, name",
        _names(store),
    )
    return [
        *(TableChange(table, f"mutation {identifier}: {command}") for table, identifier, command in mutations),
        *(TableChange(table, f"patch part {name}: a lightweight UPDATE") for table, name in parts),
    ]


def _names(store: Store) -> dict[str, Any]:
    local = [f"{name}_local" for name in LEDGER_TABLES]  # where a cluster keeps the data
    return {"database": store.database, "names": [*LEDGER_TABLES, *local]}
