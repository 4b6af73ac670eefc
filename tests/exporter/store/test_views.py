"""The views that people query, over a story in the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ledger_story import tell
from ledgers import Ledger
from spanledger_exporter.config import load_settings
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema
from spanledger_exporter.store.views import VIEW_NAMES, ensure_views, load_view


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    """Return the story as rows."""
    ledger = Ledger()
    tell(ledger)
    return ledger


@pytest.fixture(scope="module")
def store(ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a store that holds the story, delivered twice, as after a retry whose first try did land."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path_factory.mktemp("views"))}, working_directory=Path("/"))
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        ledger.write(store)
        ledger.write(store, token="a retry that the engine did not recognise")
        yield store


def one(store: Store, sql: str) -> Any:
    """Return the single value of a query."""
    return store.query(sql)[0][0]


@pytest.mark.parametrize("name", VIEW_NAMES)
def test_every_column_of_every_view_has_a_comment(name: str, store: Store) -> None:
    """The database itself explains each column, and knows no column that the file does not explain."""
    comments = dict(
        store.query(
            "SELECT name, comment FROM system.columns WHERE database = currentDatabase() AND table = {t:String}",
            {"t": name},
        )
    )
    names, _ = store.query_table(f"SELECT * FROM {name} LIMIT 0")
    assert list(comments) == names
    assert all(len(comment) >= 3 for comment in comments.values())
    assert load_view(name).comment


def test_a_row_delivered_twice_counts_once(store: Store, ledger: Ledger) -> None:
    """Twice the rows in the table, once in the view."""
    assert one(store, "SELECT count() FROM rows") == 2 * len(ledger.rows)
    assert one(store, "SELECT count(), uniqExact(event_id) FROM events") == one(
        store, "SELECT uniqExact(event_id) FROM events"
    )


def test_an_intent_is_folded_into_its_completion(store: Store) -> None:
    """A call shows once, with the completion's outcome and output."""
    assert one(store, "SELECT count() FROM events WHERE case_id = 'CASE-1' AND event_type = 'model_call'") == 2
    assert one(store, "SELECT count() FROM events WHERE endsWith(event_id, ':begin')") == 0


def test_a_begin_without_an_end_is_incomplete(store: Store) -> None:
    """The call that died with its process is there, and says so."""
    found = store.query("SELECT case_id, event_type, outcome, latency_ms FROM events WHERE outcome = 'incomplete'")
    assert found == [("CASE-5", "model_call", "incomplete", None)]
    assert one(store, "SELECT outcome FROM runs WHERE case_id = 'CASE-5'") == "incomplete"


def test_an_equivocation_is_not_folded_away(store: Store, ledger: Ledger) -> None:
    """Two histories for one place are both shown, and `integrity` counts the place."""
    victim = ledger.rows[3]
    forged = (
        victim.tenant,
        victim.chain_id,
        victim.seq,
        victim.prev_hash,
        victim.time_ns,
        victim.env,
        victim.env_hash,
        b"f" * 32,
    )
    store.insert("rows", ("tenant", "chain_id", "seq", "prev_hash", "time_ns", "env", "env_hash", "row_hash"), [forged])
    try:
        where = f"chain = '{victim.chain_id.hex()}'"
        assert one(store, f"SELECT count() FROM events WHERE {where} AND seq = {victim.seq}") == 2
        assert one(store, f"SELECT equivocations FROM integrity WHERE {where}") == 1
    finally:
        store.command("ALTER TABLE rows DELETE WHERE row_hash = repeat('f', 32) SETTINGS mutations_sync = 2")


def test_a_trace_over_two_tenants_is_a_run_of_each(store: Store) -> None:
    """Nobody's calls are counted as another's."""
    for tenant, usd in (("left", "1"), ("right", "2")):
        ledger = Ledger(tenant=tenant)
        call = {"event_type": "model_call", "outcome": "success", "cost": {"usd": usd}}
        ledger.open_chain().append(call | {"trace_id": "f" * 32, "span_id": tenant[0] * 16})
        ledger.write(store)
    runs = "SELECT tenant, model_calls, cost_usd FROM runs WHERE trace_id = repeat('f', 32) ORDER BY tenant"
    assert store.query(runs) == [("left", 1, 1), ("right", 1, 2)]


def test_an_unknown_price_is_null_and_never_zero(store: Store) -> None:
    """Sums leave unknown prices out and say how many calls they left out."""
    assert store.query("SELECT cost_usd, calls_without_cost FROM runs WHERE case_id = 'CASE-4'") == [(None, 2)]
    assert store.query("SELECT cost_usd, calls_without_cost FROM runs WHERE case_id = 'CASE-1'") == [
        (Decimal("0.005315000"), 0)
    ]


def test_a_confidence_that_is_no_number_is_null_and_never_zero(store: Store) -> None:
    """A word is no low confidence: the list of unsure decisions must not begin with it."""
    ledger = Ledger(tenant="words")
    chain = ledger.open_chain()
    for stated in ("high", "0", "1e-1"):
        body = {"name": stated, "confidence": stated}
        chain.append({"event_type": "decision", "decision": body, "confidence": stated})
    ledger.write(store)
    found = store.query("SELECT decision, confidence FROM decisions WHERE tenant = 'words' ORDER BY seq")
    assert found == [("high", None), ("0", 0.0), ("1e-1", 0.1)]


def test_a_count_that_nobody_reported_is_null(store: Store) -> None:
    """The story reports cache reads and no cache writes."""
    found = store.query("SELECT DISTINCT cache_read_tokens, cache_write_tokens FROM costs WHERE case_id = 'CASE-1'")
    assert found == [(512, None)]


def test_a_review_shows_draft_final_and_difference(store: Store) -> None:
    """The texts come from the content table."""
    found = store.query("SELECT reviewer, draft != final, diff FROM reviews WHERE action = 'edit'")
    assert found == [("maria.keller", 1, "-Block the address.\n+Block the address for 24 hours.")]


def test_what_is_true_or_false_reads_as_such(store: Store) -> None:
    """A person who asks who approved the own draft is not shown a 1."""
    found = store.query(
        "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() AND type = 'Bool'"
    )
    assert {column[:2] for column in found} >= {
        ("decisions", "is_default"),
        ("integrity", "closed"),
        ("reviews", "is_self_review"),
    }


def test_integrity_says_what_is_sealed_and_anchored(store: Store, ledger: Ledger) -> None:
    """Segments of the log cover a chain up to their last row; an anchor covers what the log held at its size."""
    chain = ledger.rows[0].chain_id.hex()
    segment = f'{{"type":"segment","chain":"{chain}","first":%d,"last":%d}}'
    store.insert(
        "log", ("index", "entry", "leaf_hash"), [(0, segment % (0, 9), bytes(32)), (1, segment % (10, 19), bytes(32))]
    )
    store.insert("anchors", ("size", "kind", "target", "receipt"), [(1, "directory", "/", "")])
    row = store.query(
        f"SELECT sealed_rows, anchored_rows, missing, equivocations FROM integrity WHERE chain = '{chain}'"
    )
    assert row == [(20, 10, 0, 0)]
    states = dict(store.query(f"SELECT state, count() FROM timeline WHERE chain = '{chain}' GROUP BY state"))
    assert set(states) == {"anchored", "sealed", "stored"}


def test_otel_traces_has_the_collectors_columns(store: Store) -> None:
    """Stock dashboards select these names with these types."""
    types = dict(
        store.query(
            "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = 'otel_traces'"
        )
    )
    assert types["Duration"] == "UInt64"
    assert types["SpanAttributes"] == "Map(LowCardinality(String), String)"
    assert types["Events.Attributes"] == "Array(Map(LowCardinality(String), String))"
    assert (
        one(
            store,
            "SELECT count() FROM otel_traces WHERE SpanAttributes['gen_ai.request.model'] = 'gpt-5' AND Duration > 0",
        )
        == 4
    )


def test_views_are_left_alone_until_the_software_has_others(store: Store) -> None:
    """A second `ensure_views` runs no statement; a lost view comes back."""
    before = one(store, "SELECT max(metadata_modification_time) FROM system.tables WHERE name = 'runs'")
    ensure_views(store)
    assert one(store, "SELECT max(metadata_modification_time) FROM system.tables WHERE name = 'runs'") == before
    store.command("DROP VIEW otel_traces")
    ensure_views(store)
    assert one(store, "SELECT count() FROM otel_traces") > 0
