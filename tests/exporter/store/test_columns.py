"""Each typed column means the same in SQL and in Python, for every envelope that somebody may have written."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spanledger_exporter.config import load_settings
from spanledger_exporter.ledger.canonical import canonical_envelope
from spanledger_exporter.store.columns import COLUMNS, PARSED, derive_columns, derive_tenant
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema

SELECT = ", ".join(column.compare for column in COLUMNS)

DIFFERENT = " OR ".join(f"{column.name} != CAST({column.sql} AS {column.type})" for column in COLUMNS)
"""What a verifier asks, who trusts no expression that stands in the table."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield one store for all tests here."""
    directory = tmp_path_factory.mktemp("columns")
    with open_store(load_settings({"SPANLEDGER_DIR": str(directory)}), role="owner") as opened:
        ensure_schema(opened)
        yield opened


def in_sql(store: Store, envs: list[bytes], *, time_ns: int = 7) -> list[dict[str, Any]]:
    """Return what the engine makes of each envelope."""
    store.command("TRUNCATE TABLE rows")
    store.insert("rows", ["seq", "time_ns", "env"], [[seq, time_ns, env] for seq, env in enumerate(envs)])
    assert store.query(f"SELECT seq FROM rows WHERE {DIFFERENT}") == []
    found = store.query(f"SELECT {SELECT} FROM rows ORDER BY seq")
    return [dict(zip((column.name for column in COLUMNS), row, strict=True)) for row in found]


def column(store: Store, name: str, env: bytes) -> Any:
    """Return one column of one envelope, which both sides must give."""
    [found] = in_sql(store, [env])
    assert found[name] == derive_columns(env, time_ns=7)[name]
    return found[name]


@pytest.mark.parametrize(
    ("env", "name", "value"),
    [
        (b'{"outcome":"success"}', "outcome", "success"),
        (b"{}", "outcome", ""),
        (b'{"name":"\\u00e9\\u0000\\ud83d\\ude00\\"\\\\"}', "name", 'é\0😀"\\'),
        ('{"name":"é😀"}'.encode(), "name", "é😀"),
        (b'{"name":12}', "name", "12"),
        (b'{"name":true}', "name", "true"),
        (b'{"name":{"b":[1,"x"],"a":{}}}', "name", '{"b":[1,"x"],"a":{}}'),
        (b'{"name":["x","\\u001f"]}', "name", '["x","\\u001F"]'),
        (b'{"name":"12"}', "name", "12"),
        (b'{"actor":"somebody"}', "actor_id", ""),
        (b'{"snapshot":{"prompt":"p","model":"m"}}', "prompt_name", ""),
        (b'{"snapshot":{"prompt":{"name":"p","version":3}}}', "prompt_version", "3"),
        (b'{"attributes":{"gen_ai.tool.name":"lookup"}}', "tool_name", "lookup"),
        (b'{"attributes":{"gen_ai":{"tool.name":"lookup"}}}', "tool_name", ""),
        (b'{"usage":{"input_tokens":12}}', "input_tokens", 12),
        (b'{"usage":{"input_tokens":"12"}}', "input_tokens", 12),
        (b'{"usage":{"input_tokens":9007199254740991}}', "input_tokens", 2**53 - 1),
        (b'{"usage":{"input_tokens":"9999999999999999999"}}', "input_tokens", 10**19 - 1),
        (b'{"usage":{"input_tokens":"10000000000000000000"}}', "input_tokens", 0),
        (b'{"usage":{"input_tokens":18446744073709551615}}', "input_tokens", 0),
        (b'{"usage":{"input_tokens":-1}}', "input_tokens", 0),
        (b'{"usage":{"input_tokens":" 1"}}', "input_tokens", 0),
        (b'{"usage":{"input_tokens":"1\\n"}}', "input_tokens", 0),
        ('{"usage":{"input_tokens":"١"}}'.encode(), "input_tokens", 0),
        (b'{"usage":{"input_tokens":0}}', "usage_known", 1),
        (b'{"usage":{}}', "usage_known", 0),
        (b'{"cost":{"usd":"0.0123"}}', "cost_usd", Decimal("0.0123")),
        (b'{"cost":{"usd":"0.1234567899"}}', "cost_usd", Decimal("0.123456789")),
        (b'{"cost":{"usd":"-0.9999999999999"}}', "cost_usd", Decimal("-0.999999999")),
        (b'{"cost":{"usd":"999999999.999999999"}}', "cost_usd", Decimal("999999999.999999999")),
        (b'{"cost":{"usd":"1000000000"}}', "cost_usd", Decimal(0)),
        (b'{"cost":{"usd":"1e-7"}}', "cost_usd", Decimal(0)),
        (b'{"cost":{"usd":"1e-7"}}', "cost_known", 0),
        (b'{"cost":{"usd":"0"}}', "cost_known", 1),
        (b'{"cost":{"usd":"1."}}', "cost_known", 0),
        (b'{"cost":{"usd":7}}', "cost_usd", Decimal(7)),
        (b'{"latency_ms":812}', "latency_ms", 812.0),
        (b'{"latency_ms":"0.1"}', "latency_ms", 0.1),
        (b'{"latency_ms":"123456789012345.12345678901234567"}', "latency_ms", 123456789012345.12345678901234567),
        (b'{"latency_ms":"NaN"}', "latency_ms", 0.0),
        (b'{"confidence":"0.87"}', "confidence", 0.87),
        (b'{"time":{"start":"1790000000123456789"}}', "time", 1790000000123456789),
        (b'{"time":{"start":"9223372036854775807"}}', "time", 2**63 - 1),
        (b'{"time":{"start":"9223372036854775808"}}', "time", 7),
        (b'{"time":{"start":"yesterday"}}', "time", 7),
        (b"{}", "time", 7),
        (b"no JSON at all", "event_id", ""),
        (b'{"event_id":"x"} ', "event_id", "x"),
        (b'{"event_id":"\\ud800"}', "event_id", ""),
    ],
)
def test_sql_and_python_agree_on(store: Store, env: bytes, name: str, value: Any) -> None:
    """Missing, of the wrong type, huge, escaped, cut: both say the same, and it is what the table here says."""
    assert column(store, name, env) == value


def test_a_row_beyond_the_time_type_is_clamped(store: Store) -> None:
    """`time_ns` is unsigned, a DateTime64 is not."""
    [found] = in_sql(store, [b"{}"], time_ns=2**64 - 1)
    assert found["time"] == derive_columns(b"{}", time_ns=2**64 - 1)["time"] == 2**63 - 1


texts = st.text(max_size=12) | st.sampled_from(["0", "12", "0.5", "-3", "1e9", "NaN", "success", "{", "[1]", "true"])
values = st.recursive(
    texts | st.integers() | st.floats() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "id", "a"]), inner, max_size=2)
    ),
    max_leaves=4,
)
PATHS = [
    ("event_id",), ("name",), ("outcome",), ("latency_ms",), ("attempt",), ("time",), ("time", "start"), ("service",),
    ("service", "name"), ("actor",), ("actor", "id"), ("context", "case_id"), ("snapshot", "model"),
    ("snapshot", "prompt"), ("snapshot", "prompt", "name"), ("snapshot", "workflow", "id"), ("usage", "input_tokens"),
    ("usage",), ("cost", "usd"), ("cost",), ("error", "type"), ("attributes", "gen_ai.tool.name"), ("confidence",),
]  # fmt: skip


def place(envelope: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Put a value at a path, where nothing else stands in the way."""
    at: Any = envelope
    for key in path[:-1]:
        at = at.setdefault(key, {})
        if not isinstance(at, dict):
            return
    at.setdefault(path[-1], value)


@given(st.lists(st.lists(st.tuples(st.sampled_from(PATHS), values), max_size=12), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sql_and_python_agree_on_every_envelope_that_a_writer_can_write(
    store: Store, drafts: list[list[tuple[tuple[str, ...], Any]]]
) -> None:
    """Whatever stands at a path, canonicalised: every column is re-derived to what the engine stored."""
    envs: list[bytes] = []
    for draft in drafts:
        envelope: dict[str, Any] = {}
        for path, value in draft:
            place(envelope, path, value)
        envs.append(canonical_envelope(envelope))
    assert in_sql(store, envs) == [derive_columns(env, time_ns=7) for env in envs]


WORDS = (
    None,
    "",
    "0",
    "1",
    "7",
    "-1",
    "12",
    "07",
    "0.5",
    "x",
    12,
    12.0,
    [1],
    "1790000000123456789",
    str(10**19),
    str(2**63),
)


def says(value: Any) -> bytes:
    """Return an envelope that says the same at every path that a column reads."""
    envelope: dict[str, Any] = {}
    for path in (*PATHS, ("time", "end"), *((other,) for other in ("trace_id", "operation", "ttft_ms"))):
        place(envelope, path, value)
    return canonical_envelope(envelope if value is not None else {})


def test_no_column_is_cleared_that_does_not_hold_what_it_must(store: Store) -> None:
    """Each column with the values of every other envelope: the cheap condition lets no wrong one pass."""
    envs = [says(word) for word in WORDS]
    truths = in_sql(store, envs)
    cleared = 0
    for column in COLUMNS:
        # Every stored value beside every envelope.
        sql = (
            f"WITH {PARSED} SELECT truth, forged, {column.clear} FROM "
            f"(SELECT seq AS truth, env, time_ns FROM rows) AS t CROSS JOIN "
            f"(SELECT seq AS forged, {column.name} FROM rows) AS f"
        )
        for truth, forged, is_clear in store.query(sql):
            if is_clear:
                assert truths[truth][column.name] == truths[forged][column.name], (column.name, envs[truth])
                cleared += 1
    assert cleared > len(COLUMNS) * len(WORDS) / 2


def test_the_tenant_is_derived_like_any_other_column() -> None:
    """It stands in the sort key and in `env`."""
    assert derive_tenant(json.dumps({"tenant": "acme"})) == "acme"


def test_no_column_is_nullable(store: Store) -> None:
    """NULL hides tampering: a comparison with it is never true."""
    found = store.query(
        "SELECT table, name FROM system.columns WHERE database = 'spanledger' AND type LIKE '%Nullable%' "
        "AND table IN (SELECT name FROM system.tables WHERE database = 'spanledger' AND engine LIKE '%MergeTree')"
    )
    assert found == []
