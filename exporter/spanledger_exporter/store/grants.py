"""Who may do what on a server: roles, row policies per tenant, quotas and settings profiles.

| role     | may                                                                                                   |
|----------|-------------------------------------------------------------------------------------------------------|
| writer   | insert rows and contents; read only what recovery compares: places, hashes, references, the log       |
| sealer   | read everything, insert into the log, checkpoints and anchors; never rows or contents                 |
| reader   | read its tenants' rows and contents through tables and views                                          |
| auditor  | read everything, and the engine's own books: mutations, parts, definitions, queries                   |

Nobody gets ALTER, DELETE, TRUNCATE or DROP: retention runs as an administrator, and is written into the log.
A row policy hides rows only from those it names, so every other role is named by one that hides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spanledger_exporter.store.schema import Layout
from spanledger_exporter.store.tables import TABLES, TENANT_TABLES
from spanledger_exporter.store.views import VIEW_NAMES

WRITER, SEALER, READER, AUDITOR = "spanledger_writer", "spanledger_sealer", "spanledger_reader", "spanledger_auditor"
ROLES = (WRITER, SEALER, READER, AUDITOR)

ENGINE_BOOKS = ("mutations", "parts", "tables", "columns", "databases", "replicas", "query_log")

_RECOVERY = {
    "rows": ("tenant", "chain_id", "seq", "row_hash"),
    "content": ("tenant", "ref"),
    "log": ("index", "entry"),
    "schema_versions": ("version",),
}
"""What a shipper reads: how far a chain is stored, which contents are, how far the sealer came."""

# Ceilings that stop a mistake, not a purpose; an administrator changes them in one place.
READER_QUERIES_PER_HOUR = 20_000
READER_ROWS_PER_HOUR = 100_000_000_000
READER_SECONDS = 120
READER_MEMORY_BYTES = 8 * 2**30


@dataclass(frozen=True, slots=True)
class _Grant:
    privilege: str
    target: str
    role: str


def privileges(layout: Layout) -> list[tuple[str, str, str]]:
    """Return (privilege, `database.table`, role) for every role."""
    return [(grant.privilege, grant.target, grant.role) for grant in _grants(layout)]


def _grants(layout: Layout) -> list[_Grant]:
    suffixes = ("", "_local") if layout.cluster else ("",)

    def at(name: str) -> list[str]:
        return [f"{layout.database}.{name}{suffix}" for suffix in suffixes]

    grants = [_Grant("INSERT", target, WRITER) for name in ("rows", "content") for target in at(name)]
    for name, columns in _RECOVERY.items():
        grants += [_Grant(f"SELECT({', '.join(columns)})", target, WRITER) for target in at(name)]
    for name in ("log", "checkpoints", "anchors", "sealer_leases"):
        grants += [_Grant("INSERT", target, SEALER) for target in at(name)]
    for role in (SEALER, AUDITOR):
        grants += [_Grant("SELECT", f"{layout.database}.*", role)]
        grants += [_Grant("SELECT", f"system.{name}", role) for name in ENGINE_BOOKS]
    readable = [target for table in TABLES for target in at(table.name)]
    readable += [f"{layout.database}.{view}" for view in VIEW_NAMES]
    return grants + [_Grant("SELECT", target, READER) for target in readable]


def render_grants(layout: Layout, *, tenants: Sequence[str] = ()) -> list[str]:
    """Return the statements that make roles, policies, quotas and profiles; they can run again.

    Each of `tenants` gets a role `spanledger_reader_<tenant>` that sees only its rows.
    """
    cluster = layout.on_cluster
    readers = [READER, *(tenant_role(tenant) for tenant in tenants)]
    statements = [f"CREATE ROLE IF NOT EXISTS {_name(role)}{cluster}" for role in dict.fromkeys([*ROLES, *readers])]
    for privilege, target, role in privileges(layout):
        names = readers if role == READER else [role]
        statements.append(f"GRANT{cluster} {privilege} ON {target} TO {', '.join(map(_name, names))}")
    statements += _policies(layout, tenants)
    statements += _profiles(layout, readers)
    return statements


def tenant_role(tenant: str) -> str:
    """Return the name of the role that reads one tenant."""
    return f"{READER}_{tenant}"


def _policies(layout: Layout, tenants: Sequence[str]) -> list[str]:
    everyone = ", ".join(map(_name, ROLES))
    statements: list[str] = []
    for table in TENANT_TABLES:
        place = layout.local_name(table)
        statements += [
            f"CREATE ROW POLICY IF NOT EXISTS {_name(f'spanledger_{tenant}')}{layout.on_cluster} ON {place} "
            f"FOR SELECT USING tenant = {_text(tenant)} TO {_name(tenant_role(tenant))}"
            for tenant in tenants
        ]
        if tenants:
            statements.append(
                f"CREATE ROW POLICY IF NOT EXISTS `spanledger_everyone`{layout.on_cluster} ON {place} "
                f"FOR SELECT USING 1 TO {everyone}"
            )
    return statements


def _profiles(layout: Layout, readers: Sequence[str]) -> list[str]:
    cluster, named = layout.on_cluster, ", ".join(map(_name, readers))
    # An acknowledged insert has to be on a quorum of replicas, and on its shard rather than in a queue.
    durable = ", insert_quorum = 'auto', insert_quorum_parallel = 1, distributed_foreground_insert = 1"
    is_replicated = bool(layout.cluster or layout.replicated)
    writing = (
        f"CREATE SETTINGS PROFILE IF NOT EXISTS spanledger_writing{cluster} SETTINGS async_insert = 0 CONST"
        f"{durable if is_replicated else ''} TO {_name(WRITER)}, {_name(SEALER)}"
    )
    reading = (
        f"CREATE SETTINGS PROFILE IF NOT EXISTS spanledger_reading{cluster} SETTINGS readonly = 2, "
        f"max_execution_time = {READER_SECONDS}, max_memory_usage = {READER_MEMORY_BYTES} TO {named}"
    )
    quota = (
        f"CREATE QUOTA IF NOT EXISTS spanledger_reading{cluster} KEYED BY user_name FOR INTERVAL 1 hour "
        f"MAX queries = {READER_QUERIES_PER_HOUR}, read_rows = {READER_ROWS_PER_HOUR} TO {named}"
    )
    return [writing, reading, quota]


def _name(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
