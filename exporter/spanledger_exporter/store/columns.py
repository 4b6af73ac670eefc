"""The typed columns of `rows`, each defined once: name, type, the SQL that fills it from `env`, and the same in Python.

    outcome     LowCardinality(String)   <-  {"outcome": "success"}
    cost_usd    Decimal(18, 9)           <-  {"cost": {"usd": "0.0123"}}

Rules
- A column starts from the *text* at a path of the envelope: a JSON string is its characters, a number, boolean, object
  or array is its JSON text, and what is missing (or `null`, or an envelope that is no JSON) is the empty text.
- In the table every column stands on `fields`, an ALIAS that parses `env` once into a tuple of all paths: the engine
  evaluates it once per inserted row, and one parse instead of fifty triples the insert rate.
- A verifier trusts no expression that stands in the table: `Column.sql` says the same over `env` alone.
- Numbers accept only what the patterns below describe; everything else is 0. There is no Nullable: `cost_known` and
  `usage_known` tell a measured zero from an absent value.
- Decimals are cut, never rounded, at nine places. The exact text stays in `env`.
- A column that came later says `since` which schema version; what older versions had never changes.
- `COLUMNS` renders the table definition and answers the verifier; neither has a list of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import orjson

MAX_INT64 = 2**63 - 1

DECISIONS_VERSION = 3
"""The schema version that brought the columns of decisions, reviews and escalations."""

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One typed column, in SQL and in Python.

    `expression` fills it in the table, from `fields`; `sql` says the same over `env` alone. `derive` gives the value
    that `SELECT <compare>` must return for the same row. `clear` is a condition over `PARSED` that is cheaper than
    comparing with `sql`: where it is true the column holds what it must, where it is false somebody has to look.
    `since` is the schema version that brought the column.
    """

    name: str
    type: str
    expression: str
    sql: str
    compare: str
    derive: Callable[[Envelope], Any]
    clear: str
    since: int = 1

    @property
    def definition(self) -> str:
        """The column's line in CREATE TABLE."""
        return f"`{self.name}` {self.type} MATERIALIZED {self.expression}"


class Envelope:
    """The stored bytes of an envelope, parsed once, and the `time_ns` of its row."""

    __slots__ = ("time_ns", "value")

    def __init__(self, env: bytes | str, *, time_ns: int) -> None:
        self.time_ns = time_ns
        try:
            self.value: Any = orjson.loads(env)
        except orjson.JSONDecodeError:
            self.value = None

    def at(self, path: Path) -> Any:
        """Return the JSON value at `path`, or None."""
        value = self.value
        if not isinstance(value, dict):
            return None
        for key in path:
            value = _member(value, key, path)
        return value

    def text(self, path: Path) -> str:
        """Return the text at `path`, as the module docstring defines it."""
        return _text(self.at(path))


def _member(value: Any, key: str, path: Path) -> Any:
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, list):
        # JSONExtract fills a Tuple from an array by position; no writer of ours makes such an envelope.
        position = _POSITIONS.get(path[: path.index(key) + 1], len(value))
        return value[position] if position < len(value) else None
    return None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else _ESCAPE.sub(_upper_case, orjson.dumps(value).decode())


# The engine writes control characters inside an object or array with upper-case digits. The first alternative steps
# over escaped backslashes, behind which `u001f` is plain text.
_ESCAPE = re.compile(r"\\\\|\\u[0-9a-f]{4}")


def _upper_case(escape: re.Match[str]) -> str:
    return escape[0][:2] + escape[0][2:].upper()


# Every path that a column reads. Their order is the order of the tuples' elements; what is new stands at the end and in
# objects of its own, so that the tuple of an older version is the beginning of this one's.
_FIRST_PATHS: tuple[Path, ...] = (
    ("event_id",),
    ("event_type",),
    ("trace_id",),
    ("span_id",),
    ("parent_span_id",),
    ("parent_event_id",),
    ("environment",),
    ("operation",),
    ("name",),
    ("outcome",),
    ("idempotency_key",),
    ("latency_ms",),
    ("ttft_ms",),
    ("attempt",),
    ("confidence",),
    ("time", "start"),
    ("time", "end"),
    ("service", "name"),
    ("service", "version"),
    ("service", "instance_id"),
    ("actor", "type"),
    ("actor", "id"),
    ("actor", "role"),
    ("actor", "run_id"),
    ("context", "case_id"),
    ("context", "session_id"),
    ("context", "user_id"),
    ("context", "trigger"),
    ("snapshot", "provider"),
    ("snapshot", "model"),
    ("snapshot", "model_requested"),
    ("snapshot", "prompt", "name"),
    ("snapshot", "prompt", "version"),
    ("snapshot", "prompt", "hash"),
    ("snapshot", "policy", "name"),
    ("snapshot", "policy", "version"),
    ("snapshot", "retrieval", "index"),
    ("snapshot", "retrieval", "version"),
    ("snapshot", "workflow", "id"),
    ("snapshot", "workflow", "version"),
    ("snapshot", "code", "function"),
    ("attributes", "gen_ai.tool.name"),
    ("attributes", "gen_ai.agent.name"),
    ("usage", "input_tokens"),
    ("usage", "output_tokens"),
    ("usage", "cache_read"),
    ("usage", "cache_write"),
    ("usage", "reasoning"),
    ("cost", "usd"),
    ("error", "type"),
    ("capture", "tier"),
    ("capture", "scope"),
)
_PATHS: tuple[Path, ...] = (
    *_FIRST_PATHS,
    ("decision", "is_default"),
    ("decision", "confidence"),
    ("review", "reviewer", "id"),
    ("escalation", "to"),
    ("escalation", "due"),
    ("escalation", "severity"),
)


def _positions() -> Mapping[Path, int]:
    """Return where each path stands among its siblings."""
    positions: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    for path in _PATHS:
        for length in range(2, len(path) + 1):
            prefix = path[:length]
            if prefix not in positions:
                parent = prefix[:-1]
                positions[prefix] = counts.get(parent, 0)
                counts[parent] = positions[prefix] + 1
    return positions


_POSITIONS = _positions()


def _tuple_type(
    prefix: Path, *, only_scalars: bool = False, paths: tuple[Path, ...] = _PATHS, more: Sequence[str] = ()
) -> str:
    """Render the Tuple that holds every path below `prefix`, and `more` scalars behind them."""
    depth = len(prefix)
    below = [path for path in paths if path[:depth] == prefix and not (only_scalars and len(path) > depth + 1)]
    names = dict.fromkeys(path[depth] for path in below)
    scalars = [f"`{name}` String" for name in more]
    elements = [f"`{name}` {_element_type((*prefix, name), paths)}" for name in names]
    return f"Tuple({', '.join(elements + scalars)})"


def _element_type(path: Path, paths: tuple[Path, ...]) -> str:
    return "String" if path in paths else _tuple_type(path, paths=paths)


FIELDS = "fields"


def fields_sql(*, version: int) -> str:
    """Return the expression that parses `env` into the tuple, as tables of this schema version have it."""
    paths = _PATHS if version >= DECISIONS_VERSION else _FIRST_PATHS
    return f"JSONExtract(env, '{_tuple_type((), paths=paths)}')"


def fields_definition(*, version: int) -> str:
    """Return the line of `fields` in CREATE TABLE, as tables of this schema version have it."""
    paths = _PATHS if version >= DECISIONS_VERSION else _FIRST_PATHS
    return f"`{FIELDS}` {_tuple_type((), paths=paths)} ALIAS {fields_sql(version=version)}"


PARSED = f"JSONExtract(env, '{_tuple_type((), more=('schema', 'tenant'))}') AS parsed"
"""What `WITH` needs for `Column.clear`: the envelope parsed once, by us. Not to be believed unless `env` is an object:
an array would fill the tuple by position.
"""

Source = Callable[[Path], str]
"""Gives the SQL for the text at a path."""


def _from_fields(path: Path) -> str:
    return _element(FIELDS, path)


def from_parsed(path: Path) -> str:
    """Return the SQL for the text at a path, or for `schema` and `tenant`, out of `PARSED`."""
    return _element("parsed", path)


def _from_env(path: Path) -> str:
    # A tuple for each top-level object keeps the text short where dozens of columns stand in one statement.
    group = path[:1] if len(path) > 1 else ()
    place = "".join(f", '{key}'" for key in group)
    return _element(f"JSONExtract(env{place}, '{_tuple_type(group, only_scalars=not group)}')", path[len(group) :])


def _element(expression: str, path: Path) -> str:
    for key in path:
        expression = f"tupleElement({expression}, '{key}')"
    return expression


def _column(
    name: str,
    type_: str,
    render: Callable[[Source], str],
    derive: Callable[[Envelope], Any],
    *,
    compare: str = "",
    clear: str = "",
) -> Column:
    clear = clear or f"{name} = CAST({render(from_parsed)} AS {type_})"
    return Column(name, type_, render(_from_fields), render(_from_env), compare or name, derive, clear)


_INTEGER = "^[0-9]{1,19}$"
_NUMBER = "^-?[0-9]{1,15}([.][0-9]{1,17})?$"
_SCIENTIFIC = "^-?[0-9]{1,15}([.][0-9]{1,17})?([eE][-+]?[0-9]{1,2})?$"
_DECIMAL = "^-?[0-9]{1,9}([.][0-9]+)?$"
_DECIMAL_KEPT = "^-?[0-9]{1,9}([.][0-9]{1,9})?"


def _sql_pattern(pattern: str) -> str:
    # `extract` returns the first group where there is one; an outer group makes it the whole match.
    return "'(" + pattern.replace("(", "(?:") + ")'"


def _matched(pattern: str, text: str) -> str:
    found = re.match(pattern.replace("$", r"\Z"), text)
    return found[0] if found else ""


def _plain(name: str, type_: str, path: Path) -> Column:
    clear = f"{name} = {from_parsed(path)}"
    return _column(name, type_, lambda source: source(path), lambda envelope: envelope.text(path), clear=clear)


def _text_column(name: str, *path: str) -> Column:
    return _plain(name, "String", path)


def _word(name: str, *path: str) -> Column:
    """Return a text column whose values repeat."""
    return _plain(name, "LowCardinality(String)", path)


def _integer_of(text: str) -> int:
    return int(_matched(_INTEGER, text) or 0)


def _integer_sql(text: str) -> str:
    return f"toUInt64OrZero(extract({text}, {_sql_pattern(_INTEGER)}))"


def _integer(name: str, *path: str) -> Column:
    return _column(
        name,
        "UInt64",
        lambda source: _integer_sql(source(path)),
        lambda envelope: _integer_of(envelope.text(path)),
        clear=_integer_clear(name, from_parsed(path)),
    )


def _integer_clear(value: str, text: str) -> str:
    # Digits as the engine writes them, or no text and zero: a pattern costs ten times as much.
    return f"({value} < 10000000000000000000 AND toString({value}) = if({text} = '', '0', {text}))"


def _number(name: str, *path: str, pattern: str = _NUMBER) -> Column:
    return _column(
        name,
        "Float64",
        lambda source: f"toFloat64OrZero(extract({source(path)}, {_sql_pattern(pattern)}))",
        lambda envelope: float(_matched(pattern, envelope.text(path)) or 0),
    )


def _flag(name: str, *path: str) -> Column:
    """Return the column that is 1 where the envelope says true."""
    return _column(
        name,
        "UInt8",
        lambda source: f"({source(path)} = 'true')",
        lambda envelope: int(envelope.text(path) == "true"),
    )


def _decimal(name: str, *path: str) -> Column:
    def render(source: Source) -> str:
        whole = f"extract({source(path)}, {_sql_pattern(_DECIMAL)})"
        return f"toDecimal64OrZero(extract({whole}, {_sql_pattern(_DECIMAL_KEPT)}), 9)"

    def derive(envelope: Envelope) -> Decimal:
        text = _matched(_DECIMAL_KEPT, _matched(_DECIMAL, envelope.text(path)))
        return Decimal(text or 0).quantize(Decimal("1e-9"))

    return _column(name, "Decimal(18, 9)", render, derive)


def _known(name: str, pattern: str, *paths: Path) -> Column:
    """Return the column that is 1 when one of `paths` holds a value that its number column could read."""

    def render(source: Source) -> str:
        return "(" + " OR ".join(f"match({source(path)}, {_sql_pattern(pattern)})" for path in paths) + ")"

    def derive(envelope: Envelope) -> int:
        return int(any(_matched(pattern, envelope.text(path)) for path in paths))

    return _column(name, "UInt8", render, derive)


def _time(name: str, *path: str) -> Column:
    """Return a time column: the span's, or the row's own where the event has none or one out of range."""

    def render(source: Source) -> str:
        told = _integer_sql(source(path))
        own = f"least(time_ns, {MAX_INT64})"
        return f"fromUnixTimestamp64Nano(toInt64(if({told} BETWEEN 1 AND {MAX_INT64}, {told}, {own})), 'UTC')"

    def derive(envelope: Envelope) -> int:
        found = _integer_of(envelope.text(path))
        return found if 1 <= found <= MAX_INT64 else min(envelope.time_ns, MAX_INT64)

    stored, text = f"toUnixTimestamp64Nano({name})", from_parsed(path)
    as_told, as_own = f"{stored} > 0 AND toString({stored}) = {text}", f"{stored} = least(time_ns, {MAX_INT64})"
    clear = f"if({text} = '', {as_own}, {as_told})"
    return _column(name, "DateTime64(9, 'UTC')", render, derive, compare=stored, clear=clear)


COLUMNS: tuple[Column, ...] = (
    _time("time", "time", "start"),
    _time("time_end", "time", "end"),
    _text_column("event_id", "event_id"),
    _word("event_type", "event_type"),
    _text_column("trace_id", "trace_id"),
    _text_column("span_id", "span_id"),
    _text_column("parent_span_id", "parent_span_id"),
    _text_column("parent_event_id", "parent_event_id"),
    _word("service", "service", "name"),
    _word("service_version", "service", "version"),
    _word("service_instance_id", "service", "instance_id"),
    _word("environment", "environment"),
    _word("actor_type", "actor", "type"),
    _text_column("actor_id", "actor", "id"),
    _word("actor_role", "actor", "role"),
    _text_column("run_id", "actor", "run_id"),
    _text_column("case_id", "context", "case_id"),
    _text_column("session_id", "context", "session_id"),
    _text_column("user_id", "context", "user_id"),
    _word("trigger", "context", "trigger"),
    _word("operation", "operation"),
    _word("name", "name"),
    _word("provider", "snapshot", "provider"),
    _word("model", "snapshot", "model"),
    _word("model_requested", "snapshot", "model_requested"),
    _word("prompt_name", "snapshot", "prompt", "name"),
    _word("prompt_version", "snapshot", "prompt", "version"),
    _word("prompt_hash", "snapshot", "prompt", "hash"),
    _word("policy_name", "snapshot", "policy", "name"),
    _word("policy_version", "snapshot", "policy", "version"),
    _word("retrieval_index", "snapshot", "retrieval", "index"),
    _word("retrieval_version", "snapshot", "retrieval", "version"),
    _word("workflow_id", "snapshot", "workflow", "id"),
    _word("workflow_version", "snapshot", "workflow", "version"),
    _word("code_function", "snapshot", "code", "function"),
    _word("tool_name", "attributes", "gen_ai.tool.name"),
    _word("agent_name", "attributes", "gen_ai.agent.name"),
    _integer("input_tokens", "usage", "input_tokens"),
    _integer("output_tokens", "usage", "output_tokens"),
    _integer("cache_read_tokens", "usage", "cache_read"),
    _integer("cache_write_tokens", "usage", "cache_write"),
    _integer("reasoning_tokens", "usage", "reasoning"),
    _known("usage_known", _INTEGER, ("usage", "input_tokens"), ("usage", "output_tokens")),
    _decimal("cost_usd", "cost", "usd"),
    _known("cost_known", _DECIMAL, ("cost", "usd")),
    _number("latency_ms", "latency_ms"),
    _number("ttft_ms", "ttft_ms"),
    _number("confidence", "confidence"),
    _integer("attempt", "attempt"),
    _text_column("idempotency_key", "idempotency_key"),
    _word("outcome", "outcome"),
    _word("error_type", "error", "type"),
    _word("capture_tier", "capture", "tier"),
    _word("capture_scope", "capture", "scope"),
    *(
        replace(column, since=DECISIONS_VERSION)
        for column in (
            _flag("decision_is_default", "decision", "is_default"),
            _number("decision_confidence", "decision", "confidence", pattern=_SCIENTIFIC),
            _known("decision_confidence_known", _SCIENTIFIC, ("decision", "confidence")),
            _text_column("reviewer_id", "review", "reviewer", "id"),
            _word("escalation_to", "escalation", "to"),
            _text_column("escalation_due", "escalation", "due"),
            _word("escalation_severity", "escalation", "severity"),
        )
    ),
)


def derive_columns(env: bytes | str, *, time_ns: int) -> dict[str, Any]:
    """Return every typed column of a row, re-derived from its stored envelope, by name."""
    envelope = Envelope(env, time_ns=time_ns)
    return {column.name: column.derive(envelope) for column in COLUMNS}


def derive_tenant(env: bytes | str) -> str:
    """Return what the plain column `tenant` must hold for a row with this envelope."""
    return Envelope(env, time_ns=0).text(("tenant",))
