"""The server store over real HTTP, through every way in which a request can fail."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.http_shim import HttpShim
from exporter.ship.test_drain import assert_stored_once, count, record, spooled, text
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.errors import StoreError, StoreRefusedError
from spanledger_exporter.ship.shipper import drain
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpShim]:
    """Yield one server for all tests here; starting one costs a second."""
    with HttpShim(tmp_path_factory.mktemp("server") / "store") as shim:
        yield shim


@pytest.fixture
def settings(server: HttpShim, tmp_path: Path) -> Settings:
    """Return settings of the server store."""
    return load_settings({"SPANLEDGER_DIR": str(tmp_path), "SPANLEDGER_STORE": server.url()})


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Yield a connection to the server, with empty tables."""
    with open_store(settings, role="owner") as opened:
        ensure_schema(opened)
        for table in ("rows", "content"):
            opened.command(f"TRUNCATE TABLE {table}")
        yield opened


def insert_into(store: Store, table: str) -> str:
    """Return how the driver's INSERT statement for a table begins."""
    return f"INSERT INTO `{store.database}`.`{table}`"


FAULTS = ["reset_before", "reset_after", "slow", "status_503", "status_500", "late_500", "truncated"]


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        *itertools.product(["rows", "content"], FAULTS),
        *itertools.product(["SELECT"], ["reset_after", "slow", "truncated"]),
    ],
)
def test_a_failed_request_neither_loses_nor_doubles(
    server: HttpShim, settings: Settings, store: Store, fault: str, statement: str
) -> None:
    """Whether it was executed or not, every spooled row and content is in the store once, and the chain holds."""
    record(settings, 40, contents=lambda number: [text(f"content {number}")])
    on = statement if statement == "SELECT" else insert_into(store, statement)
    server.fault(fault, on=on, times=1 if fault == "slow" else 2)
    drain(settings, store, max_rows=15, patience_s=30)
    assert_stored_once(store, spooled(settings))
    assert store.query("SELECT count(), uniqExact(ref) FROM content") == [(40, 40)]


@pytest.mark.parametrize("fault", ["die_before", "die_after"])
@pytest.mark.parametrize("table", ["rows", "content"])
def test_a_server_that_dies_in_a_batch_gets_the_rest_when_it_is_back(
    server: HttpShim, settings: Settings, store: Store, fault: str, table: str
) -> None:
    """The connection outlives the server's restart."""
    record(settings, 40, contents=lambda number: [text(f"content {number}")])
    server.fault(fault, on=insert_into(store, table))
    with pytest.raises(StoreError, match="is the server up"):
        drain(settings, store, max_rows=15, patience_s=0)
    server.wait_for_death()
    server.start()
    drain(settings, store, max_rows=15, patience_s=10)
    assert_stored_once(store, spooled(settings))
    assert store.query("SELECT count(), uniqExact(ref) FROM content") == [(40, 40)]


def test_a_refused_row_is_a_dead_letter_over_http_too(settings: Settings, store: Store) -> None:
    """The server's exception code says that the data is to blame."""
    record(settings, 10)
    store.command(f"ALTER TABLE {store.database}.rows ADD CONSTRAINT poison CHECK name != 'call 7'")
    assert drain(settings, store).shipped.dead_letters == 1
    assert count(store, "rows WHERE event_type = 'model_call'") == 9
    store.command(f"ALTER TABLE {store.database}.rows DROP CONSTRAINT poison")


@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip", "none"])
def test_a_batch_arrives_whole_however_it_is_compressed(
    server: HttpShim, tmp_path: Path, store: Store, compression: str
) -> None:
    """Rows and contents travel in blocks of our own making."""
    url = server.url(options=f"compression={compression}")
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path), "SPANLEDGER_STORE": url})
    record(settings, 20, contents=lambda number: [text(f"content {number}" * 50)])
    with open_store(settings, role="owner") as compressing:
        drain(settings, compressing)
    assert_stored_once(store, spooled(settings))
    assert count(store, "content") == 20


def test_thousands_of_contents_are_looked_up_in_one_statement(settings: Settings, store: Store) -> None:
    """What two chains bring is stored once, though the references alone are longer than a statement usually may be."""
    for _ in range(2):
        record(settings, 5, contents=lambda number: [text(f"{number}:{part}") for part in range(1_000)])
    drain(settings, store)
    assert store.query("SELECT count(), uniqExact(ref) FROM content") == [(5_000, 5_000)]


def test_a_query_with_many_parameters_travels_as_a_form(settings: Settings, store: Store) -> None:
    """A thousand references do not fit into a URL."""
    record(settings, 1, contents=lambda _: [text(f"part {number}") for number in range(2_000)])
    assert drain(settings, store).shipped.contents == 2_000


def test_a_stream_over_http_comes_in_blocks(settings: Settings, store: Store) -> None:
    """And other statements run beside it."""
    record(settings, 10)
    drain(settings, store)
    for block in store.stream("SELECT seq FROM rows ORDER BY seq"):
        assert count(store, "rows") == 12
        assert [seq for (seq,) in block] == list(range(12))


@pytest.mark.parametrize("rows", [3, 30_000])
def test_an_answer_that_ends_early_is_an_error_never_fewer_rows(server: HttpShim, store: Store, rows: int) -> None:
    """A verifier that was shown half of a ledger must not find it complete."""
    sql = f"SELECT number, repeat('x', 100) FROM numbers({rows})"
    server.fault("truncated", on=sql)
    with pytest.raises(StoreError):
        store.query(sql)
    server.fault("truncated", on=sql)
    with pytest.raises(StoreError):
        list(store.stream(sql))
    assert sum(map(len, store.stream(sql))) == rows


def refused(settings: Settings, url: str) -> str:
    """Return what opening the store at `url` says."""
    with pytest.raises(StoreError) as caught:
        open_store(load_settings({"SPANLEDGER_DIR": str(settings.directory), "SPANLEDGER_STORE": url}), role="owner")
    assert not isinstance(caught.value, StoreRefusedError)
    return str(caught.value)


def test_a_wrong_password_is_one_clear_message_without_the_password(server: HttpShim, settings: Settings) -> None:
    """It names the user, the server and what was refused."""
    said = refused(settings, server.url(password="swordfish"))
    assert said.startswith(f"expected clickhouse://ledger@127.0.0.1:{server.port}/spanledger to accept the user and")
    assert "swordfish" not in said


def test_an_unreachable_server_is_one_clear_message(settings: Settings) -> None:
    """It says what to look at."""
    said = refused(settings, "clickhouse://ledger:secret@127.0.0.1:9/spanledger")
    assert "Connection refused: is the server up, and are host, port and TLS right?" in said
    assert "secret" not in said


def test_tls_against_a_plain_port_is_one_clear_message(server: HttpShim, settings: Settings) -> None:
    """The other way round of the most common mistake."""
    assert "are host, port and TLS right?" in refused(settings, server.url().replace("clickhouse:", "clickhouses:"))


def test_the_driver_logs_nothing_of_its_own(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """A shipper that retries for ever must not fill the application's log."""
    refused(settings, "clickhouse://ledger:secret@127.0.0.1:9/spanledger")
    assert caplog.records == []
