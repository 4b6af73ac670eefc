"""From a real spool into a real engine: what is in the store after each thing that can go wrong."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.errors import StoreError, StoreRefusedError
from spanledger_exporter.ledger.content import Content, content_ref
from spanledger_exporter.ledger.row import Row, env_hash, genesis_hash, row_hash
from spanledger_exporter.read.health import examine
from spanledger_exporter.read.unshipped import read_unshipped
from spanledger_exporter.recorder import Recorder, open_recorder
from spanledger_exporter.ship import chain_shipper, cleanup, cursor
from spanledger_exporter.ship.shipper import ShipReport, drain
from spanledger_exporter.ship.status import spool_status
from spanledger_exporter.spool.reader import chains
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings of an embedded store in a directory of its own."""
    return load_settings({"SPANLEDGER_DIR": str(tmp_path)})


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Yield an owned store with its tables."""
    with open_store(settings, role="owner") as opened:
        ensure_schema(opened)
        yield opened


def text(value: str) -> Content:
    """Return a text part as content."""
    data = value.encode()
    media = "text/plain; charset=utf-8"
    return Content(content_ref(media, data), "payload", media, len(data), data)


def record(settings: Settings, count: int, *, contents: Callable[[int], list[Content]] = lambda _: []) -> None:
    """Record `count` events in a chain of their own, which makes `count + 2` rows."""
    with open_recorder(settings, role="application") as recorder:
        for number in range(count):
            recorder.record({"event_type": "model_call", "name": f"call {number}"}, contents(number))


def spooled(settings: Settings) -> list[Row]:
    """Return every row in the spool."""
    frames = (frame for chain in chains(settings.spool_directory) for frame in chain.read())
    return [frame.record for frame in frames if isinstance(frame.record, Row)]


def assert_stored_once(store: Store, rows: list[Row]) -> None:
    """Assert that the store holds exactly `rows`, each once, and that every chain's hashes and links hold."""
    stored = store.query(
        "SELECT chain_id, seq, prev_hash, time_ns, env, row_hash FROM rows ORDER BY chain_id, seq", binary=["env"]
    )
    wanted = [(row.chain_id, row.seq, row.prev_hash, row.time_ns, row.env, row.row_hash) for row in rows]
    assert stored == sorted(wanted)
    previous: dict[bytes, bytes] = {}
    for chain_id, seq, prev_hash, time_ns, env, link in stored:
        assert prev_hash == previous.get(chain_id, genesis_hash(chain_id))
        expected = row_hash(chain_id=chain_id, seq=seq, prev_hash=prev_hash, time_ns=time_ns, env_hash=env_hash(env))
        assert link == expected
        previous[chain_id] = link


def count(store: Store, table: str) -> int:
    """Return how many rows a table has."""
    return int(store.query(f"SELECT count() FROM {table}")[0][0])


def test_every_spooled_row_is_in_the_store_once(settings: Settings, store: Store) -> None:
    """Also with batches smaller than a chain, and when there is nothing left to do."""
    record(settings, 25)
    record(settings, 3)
    report = drain(settings, store, max_rows=10)
    assert (report.shipped.rows, report.left) == (32, 0)
    assert drain(settings, store).shipped.rows == 0
    assert_stored_once(store, spooled(settings))


def test_a_content_that_two_chains_refer_to_is_stored_once(settings: Settings, store: Store) -> None:
    """A system prompt comes with every process."""
    for _ in range(2):
        record(settings, 3, contents=lambda number: [text("the same"), text(f"another {number}")])
    assert drain(settings, store).shipped.contents == 4
    assert store.query("SELECT count(), uniqExact(ref) FROM content") == [(4, 4)]
    assert store.query("SELECT data FROM content WHERE tenant = 'default' AND size = 8", binary=["data"]) == [
        (b"the same",)
    ]


def test_contents_are_kept_apart_by_tenant(settings: Settings, store: Store) -> None:
    """A row policy on `content` must not hide what another tenant brought first."""
    with open_recorder(settings, role="application") as recorder:
        recorder.record({"event_type": "model_call", "tenant": "a"}, [text("shared")])
    with open_recorder(settings, role="application") as recorder:
        recorder.record({"event_type": "model_call", "tenant": "b"}, [text("shared")])
    drain(settings, store)
    assert store.query("SELECT tenant FROM content ORDER BY tenant") == [("a",), ("b",)]


def test_a_content_of_twenty_megabytes_arrives_whole(settings: Settings, store: Store) -> None:
    """Nothing is cut for size, and the batch that holds it is one row."""
    big = text("x" * 20_000_000)
    record(settings, 1, contents=lambda _: [big])
    drain(settings, store)
    assert store.query("SELECT length(data), size FROM content") == [(20_000_000, 20_000_000)]


class Crash(BaseException):
    """Stands for kill -9: nothing of ours handles it."""


class CrashingStore:
    """A store that dies in its n-th insert, before or after the engine took it."""

    def __init__(self, store: Store, *, at: int, landed: bool) -> None:
        self._store, self._at, self._landed = store, at, landed
        self._inserts = itertools.count(1)  # two threads insert

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def companion(self) -> Self:
        return self

    def insert_block(self, *arguments: Any, **options: Any) -> None:
        is_last = next(self._inserts) == self._at
        if is_last and not self._landed:
            raise Crash
        self._store.insert_block(*arguments, **options)
        if is_last:
            raise Crash


class FailingAhead(CrashingStore):
    """A store that takes no content ahead of its turn."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, at=-1, landed=False)

    def companion(self) -> Self:
        raise StoreError("no second connection")


def test_contents_that_did_not_go_ahead_go_in_their_turn(settings: Settings, store: Store) -> None:
    """Going ahead saves time and decides nothing: what fails there is tried again, and told, with the rows."""
    record(settings, 28, contents=lambda number: [text(f"content {number}")])
    report = drain(settings, FailingAhead(store), max_rows=10)  # type: ignore[arg-type]
    assert (report.shipped.rows, report.shipped.contents) == (30, 28)
    assert_stored_once(store, spooled(settings))


@pytest.mark.parametrize(("backlog_bytes", "batches"), [(1_000, 4), (10**9, 3)], ids=["backlog", "no backlog"])
def test_the_first_batch_of_a_backlog_is_a_small_one(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch, backlog_bytes: int, batches: int
) -> None:
    """Two rows, twice ten, and what is left; where little waits, a small insert would only cost more."""
    monkeypatch.setattr(chain_shipper, "BACKLOG_BYTES", backlog_bytes)
    monkeypatch.setattr(chain_shipper, "FIRST_ROWS", 2)
    record(settings, 28, contents=lambda number: [text(f"content {number}")])
    report = drain(settings, store, max_rows=10)
    assert (report.shipped.rows, report.shipped.contents, report.shipped.batches) == (30, 28, batches)
    assert_stored_once(store, spooled(settings))


@pytest.mark.parametrize("landed", [False, True], ids=["not landed", "landed"])
@pytest.mark.parametrize("at", range(1, 7))
def test_a_crash_at_any_insert_neither_loses_nor_doubles(
    settings: Settings, store: Store, at: int, *, landed: bool
) -> None:
    """Six inserts are three batches; the contents of one and the rows of the one before come in either order."""
    record(settings, 28, contents=lambda number: [text(f"content {number}")])
    with pytest.raises(Crash):
        drain(settings, CrashingStore(store, at=at, landed=landed), max_rows=10)  # type: ignore[arg-type]
    drain(settings, store, max_rows=7)
    assert_stored_once(store, spooled(settings))
    assert store.query("SELECT count(), uniqExact(ref) FROM content") == [(28, 28)]


@pytest.mark.parametrize("at", range(1, 7))
def test_a_crash_at_any_cursor_neither_loses_nor_doubles(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Odd ones are written before a batch, even ones behind it."""
    record(settings, 28)
    calls = iter(range(1, 100))

    def crash(directory: Path, value: cursor.Cursor) -> None:
        if next(calls) == at:
            raise Crash
        cursor.save_cursor(directory, value)

    monkeypatch.setattr(chain_shipper, "save_cursor", crash)
    with pytest.raises(Crash):
        drain(settings, store, max_rows=10)
    monkeypatch.undo()
    drain(settings, store, max_rows=7)
    assert_stored_once(store, spooled(settings))


def test_a_retried_batch_keeps_its_boundaries(settings: Settings, store: Store) -> None:
    """Rows that were appended meanwhile come in the next batch: the token would not fit otherwise."""
    with open_recorder(settings, role="application") as recorder:
        recorder.record({"event_type": "model_call"})
        with pytest.raises(Crash):
            drain(settings, CrashingStore(store, at=1, landed=True))  # type: ignore[arg-type]
        recorder.record({"event_type": "model_call"})
        report = drain(settings, store)
    assert (report.shipped.batches, report.shipped.rows) == (2, 1)
    drain(settings, store)
    assert_stored_once(store, spooled(settings))


@pytest.mark.parametrize("damage", ["lost", "garbage", "older"])
def test_a_cursor_that_is_wrong_is_found_out_by_comparing(settings: Settings, store: Store, damage: str) -> None:
    """The store is asked what it has, and gets the rest."""
    record(settings, 20)
    drain(settings, store, max_rows=5)
    path = next(settings.spool_directory.iterdir()) / cursor.CURSOR_NAME
    match damage:
        case "lost":
            path.unlink()
        case "garbage":
            path.write_bytes(b"{")
        case _:
            path.write_bytes(
                path.read_bytes().replace(b'"seq":21', b'"seq":3').replace(b'"position":[0,', b'"position":[1,')
            )
    drain(settings, store)
    assert_stored_once(store, spooled(settings))


def test_rows_that_the_store_lost_are_sent_again(settings: Settings, store: Store) -> None:
    """A store that went back to an older copy gets what the spool still has, whatever its old tokens say."""
    record(settings, 20)
    drain(settings, store)
    store.command("DELETE FROM spanledger.rows WHERE seq > 7")
    drain(settings, store)
    assert_stored_once(store, spooled(settings))


def test_a_row_with_a_wrong_hash_is_shipped_as_it_is(settings: Settings, store: Store) -> None:
    """It is evidence; naming it is the verifier's work."""
    record(settings, 2)
    from spanledger_exporter.spool.format import format_row

    [chain] = chains(settings.spool_directory)
    forged = Row(chain.chain_id, 4, bytes(32), 5, b'{"forged":true}', b"\1" * 32, b"\2" * 32, "default")
    with chain.path(0).open("ab") as stream:
        stream.write(format_row(forged))
    drain(settings, store)
    assert store.query("SELECT row_hash FROM rows WHERE seq = 4") == [(b"\2" * 32,)]


def test_damage_becomes_a_loss_row_and_the_rest_is_shipped(settings: Settings, store: Store) -> None:
    """The loss row says which chain, where and how many bytes."""
    record(settings, 20)
    [chain] = chains(settings.spool_directory)
    frames = list(chain.read())
    hit = frames[10]
    data = bytearray(chain.path(0).read_bytes())
    data[hit.position.offset + 100] ^= 1
    chain.path(0).write_bytes(data)
    report = drain(settings, store)
    assert (report.shipped.damages, report.left) == (1, 0)
    assert count(store, "rows WHERE event_type = 'model_call'") == 19
    found = store.query(
        "SELECT JSONExtractString(env, 'loss', 'chain'), JSONExtractUInt(env, 'loss', 'offset'), "
        "JSONExtractUInt(env, 'loss', 'bytes') FROM rows WHERE event_type = 'loss'"
    )
    assert found == [(chain.chain_id.hex(), hit.position.offset, hit.end.offset - hit.position.offset)]


def test_a_refused_row_becomes_a_raw_row_and_an_alarm(settings: Settings, store: Store) -> None:
    """The batch is halved down to it; its neighbours arrive, and it is not sent again."""
    record(settings, 20)
    store.command("ALTER TABLE spanledger.rows ADD CONSTRAINT poison CHECK name != 'call 7'")
    report = drain(settings, store)
    assert report.shipped.dead_letters == 1
    assert count(store, "rows WHERE event_type = 'model_call'") == 19
    refused = next(row for row in spooled(settings) if b'"call 7"' in row.env)
    kept = store.query(
        "SELECT base64Decode(JSONExtractString(env, 'raw', 'data')), JSONExtractString(env, 'raw', 'row_hash') "
        "FROM rows WHERE event_type = 'raw'"
    )
    assert kept == [(refused.env.decode(), refused.row_hash.hex())]
    assert count(store, "rows WHERE event_type = 'loss'") == 1
    assert drain(settings, store).shipped.dead_letters == 0


def test_a_refused_content_becomes_a_raw_row_and_its_row_arrives(settings: Settings, store: Store) -> None:
    """The reference in the row then points at nothing, and the raw row says why."""
    record(settings, 3, contents=lambda number: [text(f"content {number}")])
    store.command("ALTER TABLE spanledger.content ADD CONSTRAINT poison CHECK data != 'content 1'")
    drain(settings, store)
    assert count(store, "content") == 2
    assert store.query("SELECT JSONExtractString(env, 'raw', 'ref') FROM rows WHERE event_type = 'raw'") == [
        (text("content 1").ref.hex(),)
    ]
    assert count(store, "rows WHERE event_type = 'model_call'") == 3


class RefusingStore(CrashingStore):
    """A server that refuses everything, for a reason that is not in the rows."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, at=-1, landed=False)

    def insert_block(self, *arguments: Any, **options: Any) -> None:
        raise StoreRefusedError("Code: 16. No such column", code=16)


def test_a_store_that_refuses_everything_makes_no_dead_letters(settings: Settings, store: Store) -> None:
    """A wrong table is the operator's to mend; the rows wait in the spool."""
    record(settings, 3)
    with pytest.raises(StoreError, match="No such column"):
        drain(settings, RefusingStore(store), patience_s=0)  # type: ignore[arg-type]
    assert len(list(settings.spool_directory.iterdir())) == 1
    drain(settings, store)
    assert_stored_once(store, spooled(settings))


def test_an_abandoned_chain_is_shipped(settings: Settings, store: Store) -> None:
    """Its writer was killed: no `chain.close`, and nobody else to send it."""
    code = (
        "from pathlib import Path; import os\n"
        "from spanledger_exporter.config import load_settings\n"
        "from spanledger_exporter.recorder import Recorder, open_recorder\n"
        f"settings = load_settings({{'SPANLEDGER_DIR': {str(settings.directory)!r}}})\n"
        "recorder = open_recorder(settings, role='application')\n"
        "recorder.record({'event_type': 'model_call'})\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert drain(settings, store).shipped.rows == 2
    assert_stored_once(store, spooled(settings))


def seal_by_hand(store: Store, chain_id: bytes, last: int) -> None:
    """Append a segment entry, as far as clean-up reads it."""
    index = count(store, "log")
    entry = f'{{"chain":"{chain_id.hex()}","last":{last},"type":"segment"}}'
    store.insert("log", ["index", "entry", "leaf_hash"], [[index, entry, bytes(32)]])


def test_spool_files_go_only_when_they_are_stored_and_sealed(settings: Settings, store: Store) -> None:
    """And the newest ended chain of a service stays: the next process names it as its predecessor."""
    record(settings, 3)
    [first] = chains(settings.spool_directory)
    record(settings, 3)
    assert drain(settings, store).removed_files == 0
    seal_by_hand(store, first.chain_id, 3)
    assert drain(settings, store).removed_files == 0
    for chain in chains(settings.spool_directory):
        seal_by_hand(store, chain.chain_id, 4)
    assert drain(settings, store).removed_files == 1
    assert not first.directory.exists()
    assert len(chains(settings.spool_directory)) == 1


def test_finished_files_of_a_living_chain_go_when_sealed(settings: Settings, store: Store) -> None:
    """A chain that lives for months does not keep them all."""
    with Recorder(settings, role="application", rotate_bytes=4_000) as recorder:
        for number in range(60):
            recorder.record({"event_type": "model_call", "name": f"call {number}"})
        [chain] = chains(settings.spool_directory)
        rows = spooled(settings)
        drain(settings, store, max_rows=7)
        assert len(chain.files()) > 2
        seal_by_hand(store, chain.chain_id, 60)
        drain(settings, store)
        assert len(chain.files()) == 1
        recorder.record({"event_type": "model_call"})
        rows += spooled(settings)[-1:]
        drain(settings, store)
    assert_stored_once(store, rows)


def test_a_file_that_its_writer_has_left_goes_though_the_next_is_empty(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer at its quota waits in an empty file for the one before to go; one just begun may be taken back."""
    with open_recorder(settings, role="application") as recorder:
        recorder.record({"event_type": "model_call"})
        assert recorder._chain is not None
        recorder._chain.writer.leave_file()
        [chain] = chains(settings.spool_directory)
        seal_by_hand(store, chain.chain_id, 1)
        monkeypatch.setattr(cleanup, "LEFT_AFTER_S", 3600.0)
        assert drain(settings, store).removed_files == 0
        monkeypatch.setattr(cleanup, "LEFT_AFTER_S", 0.0)
        assert drain(settings, store).removed_files == 1
        assert chain.files() == [1]
        recorder.record({"event_type": "model_call"})
    drain(settings, store)
    assert [seq for (seq,) in store.query("SELECT seq FROM rows ORDER BY seq")] == [0, 1, 2, 3]


def test_two_shippers_share_a_spool(settings: Settings, store: Store) -> None:
    """Each takes the lock of a chain for its turn, so that no batch is sent by both."""
    import threading

    for _ in range(6):
        record(settings, 30)
    reports: list[ShipReport] = []
    threads = [threading.Thread(target=lambda: reports.append(drain(settings, store, max_rows=5))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(report.shipped.rows for report in reports) == 6 * 32
    assert_stored_once(store, spooled(settings))


def test_a_chain_of_another_user_stays_and_stops_no_other(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two users of one data directory: each ships its own, and everybody hears of what was left."""
    record(settings, 3)
    (theirs,) = chains(settings.spool_directory)
    record(settings, 5)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != theirs.directory and access(path, mode))
    report = drain(settings, store)
    assert (report.shipped.rows, report.withheld, report.left) == (7, 1, 0)
    assert spool_status(settings.spool_directory).unshipped_bytes == 0
    assert "1 chains of another user were not looked at" in read_unshipped(settings.spool_directory).warning
    (found,) = [check for check in examine(settings) if check.name == "spool"]
    assert (found.status, "1 chains of another user" in found.found) == ("attention", True)
    monkeypatch.undo()
    assert drain(settings, store).shipped.rows == 5
    assert_stored_once(store, spooled(settings))
