"""Whether the tables themselves were tampered with: definitions, mutations, patch parts (ledger.md section 9).

Rules
- Nothing but an insert may change a ledger table; the engine remembers updates and deletes for a while.
- Every typed column must still be MATERIALIZED by our expression, whatever the log says: the sealer records a changed
  definition in the log, and an attacker may have been faster than the sealer.
- A view is what most people read: each that is there must select what this version's does. After an upgrade,
  `spanledger ship` or `init` renews them.
- A definition that differs from the newest one in the log was changed since the last seal.
- Tables of another schema version cannot be judged by this software: unverifiable, which fails closed.
- Through a read-only attachment the engine shows other definitions and no mutations: then this is said to be unchecked.
"""

from __future__ import annotations

from spanledger_exporter.ledger.log_entry import LogEntry
from spanledger_exporter.store.columns import COLUMNS, FIELDS, FIELDS_SQL
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
    formatted = _formatted(store, [FIELDS_SQL, *(column.expression for column in COLUMNS)])
    kind, expression, _ = stored.get(FIELDS, ("", "", ""))
    if kind != "ALIAS" or _formatted(store, [expression])[expression] != formatted[FIELDS_SQL]:
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
    if recorded and fingerprint(read_definitions(store)).hex() != recorded[-1]:
        findings.tampered("columns", "the table definitions are not those that the log records: were they altered?")
