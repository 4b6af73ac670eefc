"""What is only done to ledgers too large for Python alone, with limits made small enough for a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from attacks.attacked_store import ROW_COLUMNS, AttackedStore, command, make_base, record_calls, settings_of, ship
from spanledger_exporter.ledger.content import Content, content_ref
from spanledger_exporter.recorder import Recorder, open_recorder
from spanledger_exporter.store.connection import open_store
from spanledger_exporter.verify import column_hashes, store_source

TEXT = "text/plain; charset=utf-8"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a sealed ledger in which many contents are withheld, or were erased by a logged act."""
    directory = make_base(tmp_path_factory.mktemp("large") / "base")
    settings = settings_of(directory)
    with open_recorder(settings, role="application") as recorder:
        for number in range(12):
            withhold(recorder, f"secret {number}")
            recorder.record({"event_type": "erasure", "erasure": {"subject": f"S-{number}", "refs": []}}, [])
        record_calls(recorder, 4, word="late question")
    ship(settings)
    assert command(directory, "seal")[0] == 0
    return directory


@pytest.fixture(params=["hashlib", "datafusion"])
def store(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> AttackedStore:
    """Copy the ledger; every limit is below what it holds. It is hashed by the standard library, or by DataFusion."""
    monkeypatch.setattr(column_hashes, "BULK_ROWS", 1 if request.param == "datafusion" else 2**64)
    monkeypatch.setattr(column_hashes, "MIN_BULK", 1)
    monkeypatch.setattr(store_source, "PYTHON_LIMIT", 0)
    monkeypatch.setattr(store_source, "MAX_CANDIDATES", 3)
    monkeypatch.setattr(store_source, "SAMPLE_ROWS", 1)
    monkeypatch.setattr(store_source, "BATCH_ROWS", 5)
    return AttackedStore.copy(base, tmp_path / "copy")


def forge_column(store: AttackedStore, definition: str) -> None:
    """Replace `rows` by a table with the same rows, in which one column is derived by `definition`."""
    store.sql(
        "CREATE TABLE forged AS rows",
        f"ALTER TABLE forged MODIFY COLUMN {definition}",
        f"INSERT INTO forged ({ROW_COLUMNS}) SELECT {ROW_COLUMNS} FROM rows",
        "EXCHANGE TABLES forged AND rows",
        "DROP TABLE forged SYNC",
    )


def withhold(recorder: Recorder, text: str) -> None:
    """Record a call whose text is withheld."""
    ref = content_ref(TEXT, text.encode())
    part = {"role": "user", "type": "text", "ref": ref.hex(), "bytes": len(text), "media": TEXT, "class": "withheld"}
    recorder.record({"event_type": "model_call", "input": [part]}, [Content(ref, "withheld", TEXT, len(text), None)])


def test_an_untouched_large_ledger_is_verified(store: AttackedStore) -> None:
    """Batches of five rows, columns compared by the engine."""
    status, verdict = store.verify()
    assert (status, verdict["verdict"]) == (0, "verified"), verdict


def test_a_missing_content_is_found_behind_any_number_of_withheld_ones(store: AttackedStore) -> None:
    """What may be missing does not use up the places of what must not."""
    ref = content_ref(TEXT, b"late question 3")
    store.rewrite("content", f"SELECT * FROM content WHERE ref != unhex('{ref.hex()}')")
    status, verdict = store.verify()
    assert status == 1
    assert any(ref.hex() in failure["reason"] for failure in verdict["checks"]["content"]["failures"])


def test_a_forged_column_is_found_behind_any_number_of_erasures(store: AttackedStore) -> None:
    """Rows that are read for what they say of contents do not use up the places of those that lie."""
    forge_column(
        store,
        "outcome LowCardinality(String) MATERIALIZED "
        "if(position(env, 'late') > 0 OR input_tokens = 13, 'error', tupleElement(fields, 'outcome'))",
    )
    status, verdict = store.verify()
    reasons = [failure["reason"] for failure in verdict["checks"]["columns"]["failures"]]
    assert status == 1
    assert "column outcome holds 'error', the envelope says 'success'" in reasons


@pytest.mark.parametrize("times", [1, 2])
def test_a_row_with_the_largest_number_does_not_keep_the_verifier_for_ever(store: AttackedStore, times: int) -> None:
    """Batches are made of the places in use, not of every number up to the largest."""
    rows = store.rows()
    chain, _, prev_hash, time_ns, env, env_hash, row_hash, tenant = rows[0]
    far = (tenant, chain, 2**64 - 1, prev_hash, time_ns, env, env_hash, row_hash)
    with open_store(store.settings, role="owner") as opened:
        opened.insert("rows", ROW_COLUMNS.split(", "), [far] * times)
    status, verdict = store.verify()
    assert status == 1
    assert verdict["checks"]["completeness"]["status"] == "failed"


def test_a_chain_of_several_tenants_is_judged_in_the_order_of_its_numbers(store: AttackedStore) -> None:
    """Its rows lie by tenant; one row given to another tenant is the only thing that is accused."""
    rows = store.rows()
    chain = max({row[0] for row in rows}, key=lambda chain: sum(row[0] == chain for row in rows))
    store.replace_rows([(*row[:7], "another" if row[:2] == (chain, 8) else row[7]) for row in rows])
    status, verdict = store.verify()
    assert status == 1
    assert verdict["checks"]["completeness"]["failures"] == []
    assert [failure["seq"] for failure in verdict["checks"]["columns"]["failures"]] == [8]


def test_rows_that_are_there_twice_are_benign_in_a_long_chain(store: AttackedStore) -> None:
    """A retry that the server stored again lies beside the first."""
    rows = store.rows()
    store.replace_rows([*rows, *rows[5:9]])
    status, verdict = store.verify()
    assert (status, verdict["checks"]["integrity"]["counts"]["duplicates"]) == (0, 4), verdict


def test_long_envelopes_make_batches_of_fewer_rows(store: AttackedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in memory at once is limited in bytes, too, and nothing is left out between two batches."""
    monkeypatch.setattr(store_source, "BATCH_BYTES", 1_500)
    with open_store(store.settings, role="reader") as opened:
        source = store_source.StoreSource(opened)
        batches = list(source.rows())
        assert sum(map(len, batches)) == source.row_count()
    assert max(sum(map(len, batch.labelled_envs)) for batch in batches if len(batch) > 1) <= 3_000
    assert store.verify()[0] == 0


def test_a_column_that_holds_nothing_at_all_is_not_cleared(store: AttackedStore) -> None:
    """NULL is equal to nothing and different from nothing; here it counts as different."""
    forge_column(store, "error_type LowCardinality(Nullable(String)) MATERIALIZED NULL")
    status, verdict = store.verify()
    reasons = [failure["reason"] for failure in verdict["checks"]["columns"]["failures"]]
    assert status == 1
    assert "column error_type holds None, the envelope says ''" in reasons
