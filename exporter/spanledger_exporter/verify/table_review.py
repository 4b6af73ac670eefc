"""Whether the tables themselves were tampered with: definitions, mutations, patch parts (ledger.md section 9).

Rules
- Nothing but an insert may change a ledger table; the engine remembers updates and deletes for a while.
- Every typed column must still be MATERIALIZED by our expression, whatever the log says: the sealer records a changed
  definition in the log, and an attacker may have been faster than the sealer.
- A view is what most people read: each that is there must select what this version's does. After an upgrade,
  `spanledger ship` or `init` renews them.
- A definition that differs from the newest one in the log was changed since the last seal; by a migration of ours, or
  by somebody else.
- Tables of another schema version cannot be judged by this software: unverifiable, which fails closed.
- Through a read-only attachment the engine shows other definitions and no mutations: then this is said to be unchecked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spanledger_exporter.ledger.log_entry import LogEntry
from spanledger_exporter.store.columns import COLUMNS, DECISIONS_VERSION, FIELDS, fields_sql
from spanledger_exporter.store.connection import Store
from spanledger_exporter.store.schema import VERSION, schema_version
from spanledger_exporter.store.views import VIEW_NAMES, has_own_views, load_view
from spanledger_exporter.verify.tables import LEDGER_TABLES, find_changes, fingerprint, read_definitions
from spanledger_exporter.verify.verdict import Findings


def review_tables(store: Store, present: frozenset[str], acts: list[LogEntry], findings: Findings) -> None:
    """Judge the tables of a store that the caller may inspect."""
    ledger = present & set(LEDGER_TABLES)
    for name in LEDGER_TABLES:
        if ledger and name not in ledger:
            findings.tampered("completeness", f"table {name} is missing")
    if store.is_read_only:
        findings.skipped("columns", "another process owns the store: table definitions and mutations were not checked")
        return
    removals = any(act.type in ("prune", "erasure") for act in acts)
    for change in find_changes(store):
        if change.table == "content" and removals:
            findings.count("content", mutations_after_logged_acts=1)
        else:
            findings.tampered("integrity", f"table {change.table} was changed by {change.reason}")
    if "rows" in present and _is_known_version(store, findings):
        _review_columns(store, findings)
    if "rows" in present:
        _review_views(store, findings)
    _review_fingerprint(store, acts, findings)


def _is_known_version(store: Store, findings: Findings) -> bool:
    """Tell whether these are the tables of this software; those of another version have other expressions."""
    version = schema_version(store)
    if version == VERSION:
        return True
    reason = (
        f"expected tables of version {VERSION}, got version {version}: `spanledger init` migrates, or update spanledger"
    )
    findings.unverifiable("columns", reason)
    return False


def _review_columns(store: Store, findings: Findings) -> None:
    stored = {
        name: (kind, expression, type_) for name, kind, expression, type_ in store.query(_COLUMNS_SQL, _names(store))
    }
    whole = fields_sql(version=VERSION)
    formatted = _formatted(store, [whole, *(column.expression for column in COLUMNS)])
    kind, expression, _ = stored.get(FIELDS, ("", "", ""))
    if kind != "ALIAS" or _formatted(store, [expression])[expression] != formatted[whole]:
        findings.tampered("columns", f"{FIELDS} of rows, which every column stands on, no longer parses env")
    for column in COLUMNS:
        kind, expression, type_ = stored.get(column.name, ("", "", ""))
        expected = formatted[column.expression]
        if kind != "MATERIALIZED" or _formatted(store, [expression])[expression] != expected:
            findings.tampered(
                "columns", f"column {column.name} of rows is no longer derived from env: {kind} {expression}"[:300]
            )
        elif type_.replace(" ", "") != column.type.replace(" ", ""):
            findings.tampered("columns", f"column {column.name} of rows has type {type_}, expected {column.type}")


def _review_views(store: Store, findings: Findings) -> None:
    if not has_own_views(store):
        findings.incomplete("columns", "the views are not those of this version: run `spanledger ship` to renew them")
        return
    found = store.query(
        "SELECT name, formatQuerySingleLine(as_select) FROM system.tables "
        "WHERE database = {database:String} AND name IN {names:Array(String)}",
        {"database": store.database, "names": list(VIEW_NAMES)},
    )
    for name, selected in found:
        query = load_view(name).select(store.database)
        ((expected,),) = store.query("SELECT formatQuerySingleLine({query:String})", {"query": query})
        if selected != expected:
            findings.tampered("columns", f"view {name} does not select what this version of spanledger defines")


_COLUMNS_SQL = (
    "SELECT name, default_kind, default_expression, type FROM system.columns "
    "WHERE database = {database:String} AND table = 'rows'"
)


def _names(store: Store) -> dict[str, str]:
    return {"database": store.database}


def _formatted(store: Store, expressions: list[str]) -> dict[str, str]:
    """Return each expression as the engine itself writes it."""
    sql = "SELECT arrayMap(e -> formatQuerySingleLine(concat('SELECT ', e)), {expressions:Array(String)})"
    usable = [expression for expression in expressions if expression]
    texts = store.query(sql, {"expressions": usable})[0][0]
    return {**dict(zip(usable, texts, strict=True)), "": ""}


def _review_fingerprint(store: Store, acts: list[LogEntry], findings: Findings) -> None:
    recorded = [act.fields["fingerprint"] for act in acts if act.type == "schema"]
    if not recorded:
        return
    definitions = read_definitions(store)
    if fingerprint(definitions).hex() == recorded[-1]:
        return
    if fingerprint(_before_decisions(store, definitions)).hex() == recorded[-1]:
        findings.count("columns", tables_migrated_since_the_last_seal=1)
    else:
        findings.tampered("columns", "the table definitions are not those that the log records: were they altered?")


def _before_decisions(store: Store, definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definitions without what the migration to version 3 changes: an upgrade is no attack."""
    old = fields_sql(version=DECISIONS_VERSION - 1)
    type_ = store.query(f"SELECT toTypeName({old}) FROM (SELECT '' AS env) SETTINGS print_pretty_type_names = 0")[0][0]
    expression = _formatted(store, [old])[old].removeprefix("SELECT ")
    added = {column.name for column in COLUMNS if column.since >= DECISIONS_VERSION}

    def column_before(column: list[str]) -> list[str]:
        return [FIELDS, type_, column[2], expression, *column[4:]] if column[0] == FIELDS else column

    return {
        name: {
            **table,
            "columns": [
                column_before(column) if name.startswith("rows") else column
                for column in table["columns"]
                if not (name.startswith("rows") and column[0] in added)
            ],
        }
        for name, table in definitions.items()
    }
