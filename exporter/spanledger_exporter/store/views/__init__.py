"""The views that people query, one `.sql` file each, rendered for a database (ledger.md section 8).

    -- One row per trace: …                      the view's comment, up to SELECT
    SELECT
        trace_id, -- String: OpenTelemetry trace         expression [AS name], -- type: the column's comment
    FROM {database}.events

Rules
- Every column of the outermost SELECT ends its line with `-- type: comment`; a test fails where one does not.
- What people sum and filter by comes from typed columns; `env` is read only by those who select what needs it.
- Views stand on `events`, which alone folds intents and counts a repeated delivery once.
- Subqueries use GLOBAL IN, so that the same text works where `rows` is a Distributed table.
- The comment of the last view ends with a fingerprint of them all: `ensure_views` replaces them when it differs.
- Fragments in braces are the ones below; everything else is plain ClickHouse SQL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING

from spanledger_exporter.store.columns import COLUMNS

if TYPE_CHECKING:
    from spanledger_exporter.store.connection import Store

VIEW_NAMES = (
    "events",
    "runs",
    "timeline",
    "reviews",
    "decisions",
    "prompts",
    "models",
    "tools",
    "retrievals",
    "costs",
    "errors",
    "integrity",
    "review_queue",
    "otel_traces",
)
"""In the order in which they are made: a view stands after what it reads."""

_STORED = ("tenant", "chain_id", "seq", "prev_hash", "time_ns", "env", "env_hash", "row_hash", "stored_at")

# Places that were delivered more than once. The sort key makes this one streaming pass without a hash table.
_REPEATED = (
    "SELECT chain_id, seq FROM {database}.rows GROUP BY tenant, chain_id, seq HAVING count() > 1 "
    "SETTINGS optimize_aggregation_in_order = 1"
)

# Holds for every row but one that came over OTLP for a span whose own process recorded its end (adr/0011). Where
# nothing came over OTLP at all, nothing is to be counted once instead of twice, and the set stays empty.
_COUNTED = (
    "(capture_tier != 'ingested' OR (tenant, event_id) GLOBAL NOT IN (SELECT tenant, event_id FROM {database}.rows "
    "WHERE (SELECT count() FROM (SELECT 1 FROM {database}.rows WHERE capture_tier = 'ingested' LIMIT 1)) > 0 "
    "AND capture_tier = 'captured' "
    "AND event_id GLOBAL IN (SELECT event_id FROM {database}.rows WHERE capture_tier = 'ingested')))"
)

# How far each chain is covered: by sealed segments, and by segments under an anchored checkpoint.
_SEALED = (
    "SELECT JSONExtractString(entry, 'chain') AS chain, max(JSONExtractUInt(entry, 'last')) + 1 AS sealed, "
    "maxIf(JSONExtractUInt(entry, 'last') + 1, `index` < (SELECT max(size) FROM {database}.anchors)) AS anchored "
    "FROM {database}.log WHERE JSONExtractString(entry, 'type') = 'segment' GROUP BY chain"
)

_LIST = "JSONExtract(env, '{list}', 'Array(Tuple(type String, ref String))')"
_PARTS = f"arrayJoin(arrayConcat({_LIST.format(list='input')}, {_LIST.format(list='output')}))"

# The plain texts of a row's content parts by part type; encrypted, withheld and erased ones are left out.
_TEXTS = (
    "SELECT row_hash, mapFromArrays(groupArray(item.1), groupArray(data)) AS texts FROM ("
    f"SELECT DISTINCT lower(hex(row_hash)) AS row_hash, {_PARTS} AS item "
    "FROM {database}.rows WHERE event_type = '{event_type}') AS part "
    "INNER JOIN (SELECT lower(hex(ref)) AS reference, any(data) AS data FROM {database}.content "
    "WHERE key_id = '' AND class != 'withheld' AND ref GLOBAL IN (SELECT toFixedString(unhex(item.2), 32) "
    f"FROM (SELECT {_PARTS} AS item "
    "FROM {database}.rows WHERE event_type = '{event_type}' AND length(item.2) = 64)) GROUP BY ref) AS stored "
    "ON part.item.2 = stored.reference GROUP BY row_hash"
)

QUEUE_CANDIDATE = (
    "(event_type = 'escalation' OR outcome = 'escalated' OR (event_type = 'decision' "
    "AND (decision_is_default OR (decision_confidence_known AND decision_confidence < 0.5))))"
)
"""What a person may have to look at, until a review settles it."""

QUEUE_WHY = (
    "multiIf(event_type = 'escalation', concat('escalated to ', toString(escalation_to)), "
    "event_type = 'human_review', 'handed on by the first reviewer', "
    "decision_is_default, 'no rule applied, the default branch was taken', "
    "outcome = 'escalated', 'escalated', 'low confidence')"
)

_FRAGMENTS = {
    "queue_candidate": QUEUE_CANDIDATE,
    "queue_why": QUEUE_WHY,
    "columns": ", ".join((*_STORED, *(column.name for column in COLUMNS))),
    "repeated": _REPEATED,
    "counted": _COUNTED,
    "sealed": _SEALED,
    "review_texts": _TEXTS.replace("{event_type}", "human_review"),
    "decision_texts": _TEXTS.replace("{event_type}", "decision"),
}

_COLUMN_LINE = re.compile(r"^ {4,}.*?(?:\bAS )?`?([\w.]+)`?,? -- ([^:]+): (.+)$")


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """One column of a view: ClickHouse type and what it means."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class View:
    """One view as its file describes it; `query` still holds the fragments' braces."""

    name: str
    comment: str
    columns: tuple[ViewColumn, ...]
    query: str

    def select(self, database: str) -> str:
        """Render the view's query."""
        return _filled(self.query, database)

    def statement(self, database: str, *, on_cluster: str = "", mark: str = "") -> str:
        """Render CREATE OR REPLACE VIEW; `on_cluster` is the whole clause, `mark` ends the view's comment."""
        columns = ",\n".join(f"    `{c.name}` {c.type} COMMENT {_quoted(c.comment)}" for c in self.columns)
        place = f"`{database}`.{self.name} {on_cluster.strip()}".rstrip()
        return (
            f"CREATE OR REPLACE VIEW {place}\n(\n{columns}\n) AS\n{self.select(database)}\n"
            f"COMMENT {_quoted(self.comment + mark)}"
        )


def view_statements(database: str, *, on_cluster: str = "") -> list[str]:
    """Return the statements that make or replace every view of `database`, in order."""
    views = [load_view(name) for name in VIEW_NAMES]
    statements = [view.statement(database, on_cluster=on_cluster) for view in views[:-1]]
    return [*statements, views[-1].statement(database, on_cluster=on_cluster, mark=f" [{fingerprint()}]")]


def ensure_views(store: Store, *, on_cluster: str = "") -> None:
    """Make the views, or replace them when this software has others; asks before it acts."""
    if not has_own_views(store):
        for statement in view_statements(store.database, on_cluster=on_cluster):
            store.command(statement)


def has_own_views(store: Store) -> bool:
    """Say whether the store's views are marked as made by this version of the software."""
    found = store.query(
        "SELECT comment FROM system.tables WHERE database = {database:String} AND name = {name:String}",
        {"database": store.database, "name": VIEW_NAMES[-1]},
    )
    return bool(found) and str(found[0][0]).endswith(f"[{fingerprint()}]")


def fingerprint() -> str:
    """Return 12 hex digits over the text of every view."""
    texts = [load_view(name).statement("spanledger") for name in VIEW_NAMES]
    return sha256("\n".join(texts).encode()).hexdigest()[:12]


def load_view(name: str) -> View:
    """Read one view from its file."""
    text = resources.files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    head, _, body = text.partition("SELECT\n")
    columns = tuple(ViewColumn(*match.groups()) for line in body.splitlines() if (match := _COLUMN_LINE.match(line)))
    comment = " ".join(line.removeprefix("--").strip() for line in head.splitlines())
    query = "SELECT\n" + "\n".join(line.split(" -- ")[0] for line in body.splitlines())
    return View(name, comment, columns, query)


def _filled(query: str, database: str) -> str:
    for name, fragment in _FRAGMENTS.items():
        query = query.replace("{" + name + "}", fragment)
    return query.replace("{database}", f"`{database}`")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
