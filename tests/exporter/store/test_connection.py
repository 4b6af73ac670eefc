"""The embedded store as its owner, its readers and a plain chDB session see it."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledgers import ROW_COLUMNS
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.errors import ConfigurationError, StoreBusyError, StoreError, StoreRefusedError
from spanledger_exporter.ledger.row import Row, genesis_hash, make_row
from spanledger_exporter.store import connection
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.driver_errors import translated
from spanledger_exporter.store.lease import lock_path
from spanledger_exporter.store.schema import ensure_schema

CHAIN = bytes(range(16))


def rows(count: int) -> list[Row]:
    """Return a short chain."""
    made: list[Row] = []
    for seq in range(count):
        previous = made[-1].row_hash if made else genesis_hash(CHAIN)
        env = json.dumps({"event_id": f"e{seq}", "tenant": "default"}, separators=(",", ":")).encode()
        made.append(make_row(chain_id=CHAIN, seq=seq, prev_hash=previous, time_ns=seq + 1, env=env, tenant="default"))
    return made


def insert(store: Store, chain: list[Row], *, token: str | None = None) -> None:
    """Insert rows as the shipper does."""
    store.insert("rows", ROW_COLUMNS, [[getattr(row, name) for name in ROW_COLUMNS] for row in chain], token=token)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings of an embedded store in a directory of its own."""
    return load_settings({"SPANLEDGER_DIR": str(tmp_path / "data")})


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Yield an owned store with its tables and three rows."""
    with open_store(settings, role="owner") as opened:
        ensure_schema(opened)
        insert(opened, rows(3))
        yield opened


def run_elsewhere(settings: Settings, code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in another process, where `settings` and `open_store` are defined."""
    prelude = (
        "from spanledger_exporter.config import load_settings\n"
        "from spanledger_exporter.store.connection import open_store\n"
        f"settings = load_settings({{'SPANLEDGER_DIR': {str(settings.directory)!r}}})\n"
    )
    return subprocess.run([sys.executable, "-c", prelude + code], check=False, capture_output=True, text=True)


def test_fixed_strings_come_back_as_bytes_with_their_trailing_zeros(store: Store) -> None:
    """A hash ends in a zero byte once in 256 rows."""
    chain_id = b"\1" + bytes(15)
    row = make_row(chain_id=chain_id, seq=0, prev_hash=bytes(32), time_ns=1, env=b"{}", tenant="default")
    insert(store, [row])
    found = store.query(
        "SELECT chain_id, prev_hash FROM rows WHERE chain_id = unhex({c:String})", {"c": chain_id.hex()}
    )
    assert found == [(chain_id, bytes(32))]


@pytest.mark.parametrize("place", ["plain", "a *pattern?* {of,files}"])
def test_keys_are_handed_to_the_engine_whole(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Trailing zeros too; and where the engine would take the temporary directory's name for a pattern."""
    (tmp_path / place).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / place))
    keys = [bytes(16), CHAIN, b"\n" * 15 + b"\0"]
    with store.fixed_strings(keys, size=16) as asked:
        assert sorted(key for (key,) in store.query(asked)) == sorted(keys)
        assert store.query(f"SELECT count() FROM rows WHERE chain_id IN ({asked})") == [(3,)]
    assert list((tmp_path / place).iterdir()) == []


def test_a_full_temporary_directory_is_a_store_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipper tries again later, as with any trouble of the store."""
    monkeypatch.setattr("tempfile.tempdir", "/dev/null/nowhere")
    with pytest.raises(StoreError, match="nowhere"), store.fixed_strings([CHAIN], size=16):
        raise AssertionError("the file could not be made")


def test_the_same_token_twice_is_stored_once(store: Store) -> None:
    """A retry after a lost answer must not duplicate."""
    chain = rows(5)[3:]
    insert(store, chain, token="a")
    insert(store, chain, token="a")
    assert store.query("SELECT count() FROM rows") == [(5,)]


def test_a_stream_stays_open_beside_other_statements(store: Store) -> None:
    """The sealer writes its log while it reads rows."""
    for block in store.stream("SELECT seq, env FROM spanledger.rows ORDER BY seq", binary=["env"]):
        assert store.query("SELECT count() FROM rows") == [(3,)]
        assert block[0] == (0, b'{"event_id":"e0","tenant":"default"}')


def test_a_companion_works_while_the_store_does(store: Store) -> None:
    """On one connection the second statement would wait: the sleeping one below takes three seconds."""
    companion = store.companion()
    sleeping = threading.Thread(target=lambda: store.query("SELECT sleep(3)"))
    sleeping.start()
    time.sleep(0.2)
    assert companion.query("SELECT count() FROM rows") == [(3,)]
    assert sleeping.is_alive()
    sleeping.join()
    assert store.companion() is companion


def test_a_companion_is_closed_with_its_store(settings: Settings) -> None:
    """Whoever goes on with it learns that, and no new one is made."""
    with open_store(settings, role="owner") as store:
        companion = store.companion()
    for closed in (companion.command, lambda _: store.companion()):
        with pytest.raises(StoreError, match="closed"):
            closed("SELECT 1")


def test_a_refused_statement_names_the_store_and_keeps_the_code(store: Store) -> None:
    """Nothing raw of the driver leaks."""
    with pytest.raises(StoreRefusedError, match="UNKNOWN_IDENTIFIER") as caught:
        store.query("SELECT nope")
    assert caught.value.code == 47


def test_bytes_that_do_not_fit_a_column_are_a_store_error(store: Store) -> None:
    """The driver raises its own DataError before the engine sees the row."""
    with pytest.raises(StoreError):
        store.insert("rows", ["chain_id"], [[b"short"]])


def test_a_second_owner_learns_who_holds_the_store(store: Store, settings: Settings) -> None:
    """The message names pid, role and since when."""
    done = run_elsewhere(settings, "open_store(settings, role='owner', wait_s=0)")
    holder = json.loads(lock_path(settings.store_directory).read_text())
    assert "StoreBusyError" in done.stderr
    assert f"process {holder['pid']} (role owner) since {holder['since']}" in done.stderr


def test_a_reader_beside_a_living_owner_sees_its_rows_and_cannot_write(store: Store, settings: Settings) -> None:
    """It reads the owner's files through an attachment of its own."""
    code = (
        "with open_store(settings, role='reader', wait_s=0) as store:\n"
        "    print(store.is_read_only, store.query('SELECT count(), max(event_id) FROM spanledger.rows'))\n"
        "    store.insert('rows', ['tenant'], [['x']])\n"
    )
    done = run_elsewhere(settings, code)
    assert done.stdout == "True [(3, 'e2')]\n"
    assert "StoreRefusedError" in done.stderr or "StoreError" in done.stderr
    assert store.query("SELECT count() FROM rows") == [(3,)]


def test_one_process_shares_its_lease(store: Store, settings: Settings) -> None:
    """A thread that reads beside the shipping thread opens the same engine."""
    with open_store(settings, role="reader", wait_s=0) as second:
        assert second.query("SELECT count() FROM rows") == [(3,)]
        assert not second.is_read_only


WRITE = (
    "from spanledger_exporter.store.schema import ensure_schema\n"
    "store = open_store(settings, role='owner')\n"
    "ensure_schema(store)\n"
    "store.insert('rows', ['tenant', 'chain_id', 'env'], [['default', bytes(16), b'{}']])\n"
)


@pytest.mark.parametrize("symlinks", [True, False], ids=["cp -a", "cp -rL"])
def test_a_copied_directory_opens_elsewhere_and_in_a_plain_session(settings: Settings, *, symlinks: bool) -> None:
    """No storage policy, macro, link or absolute path binds the tables to their place or to our configuration."""
    assert run_elsewhere(settings, WRITE + "store.close()").returncode == 0
    moved = load_settings({"SPANLEDGER_DIR": str(settings.directory.with_name("moved"))})
    shutil.copytree(settings.directory, moved.directory, symlinks=symlinks)
    shutil.rmtree(settings.directory)
    plain = (
        "import chdb.session\n"
        "session = chdb.session.Session(str(settings.store_directory))\n"
        "print(session.query('SELECT count() FROM spanledger.rows'))\n"
    )
    assert run_elsewhere(moved, plain).stdout.strip() == "1"
    reader = "with open_store(settings, role='reader') as store: print(store.query('SELECT count() FROM rows'))"
    assert run_elsewhere(moved, reader).stdout == "[(1,)]\n"


def test_a_link_following_copy_of_a_killed_owners_directory_opens(settings: Settings) -> None:
    """The engine refuses directories where its links were; they are cleared away first."""
    assert run_elsewhere(settings, WRITE + "import os; os._exit(9)").returncode == 9
    moved = load_settings({"SPANLEDGER_DIR": str(settings.directory.with_name("moved"))})
    shutil.copytree(settings.directory, moved.directory)
    assert (moved.store_directory / "metadata" / "spanledger").is_dir()
    reader = "with open_store(settings, role='reader') as store: print(store.query('SELECT count() FROM rows'))"
    assert run_elsewhere(moved, reader).stdout == "[(1,)]\n"


def test_a_closed_store_says_so(settings: Settings) -> None:
    """Using it after close is an error of its own."""
    store = open_store(settings, role="owner")
    store.close()
    store.close()
    with pytest.raises(StoreError, match="after it was closed"):
        store.query("SELECT 1")


def test_an_owner_that_is_gone_frees_the_store(settings: Settings) -> None:
    """The kernel's lock dies with its process; the JSON left behind binds nobody."""
    assert run_elsewhere(settings, "open_store(settings, role='owner'); import os; os._exit(9)").returncode == 9
    with pytest.raises(StoreBusyError), open_store(settings, role="owner", wait_s=0):
        raise StoreBusyError("opened")


def test_a_directory_that_the_engine_would_misread_is_refused(tmp_path: Path) -> None:
    """It takes what stands behind a question mark for options, and makes its files in another place."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path / "what?")})
    with pytest.raises(ConfigurationError, match="without a '\\?'"):
        open_store(settings, role="owner")


def test_a_missing_engine_says_what_to_install(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """ChDB is an extra."""
    monkeypatch.setitem(sys.modules, "chdb", None)
    monkeypatch.delitem(sys.modules, "clickhouse_connect.driver._chdbclient", raising=False)
    monkeypatch.delitem(sys.modules, "clickhouse_connect.driver._backend.chdb_backend", raising=False)
    with pytest.raises(StoreError, match=r"install 'spanledger\[embedded\]', or name a server"):
        open_store(settings, role="owner")


def test_a_refusal_that_quotes_bytes_of_ours_is_a_refusal() -> None:
    """The driver chokes on it with UnicodeDecodeError."""
    with pytest.raises(UnicodeDecodeError) as caught:
        b"Cannot parse \xff".decode()
    error = translated(caught.value, name="chdb://x")
    assert isinstance(error, StoreRefusedError)
    assert "\\xff" in str(error)


def test_the_applications_side_never_imports_the_engine() -> None:
    """A forked child's insert would report success and be lost."""
    code = (
        "import sys\n"
        "import spanledger_exporter.recorder, spanledger_exporter.ship.shipper, spanledger_exporter.store.connection\n"
        "print('chdb' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"


def test_an_engine_without_our_configuration_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From inside a zip it would load `config.xml` of the working directory, which anybody may have put there."""
    monkeypatch.setattr(connection, "EMBEDDED_CONFIGURATION", tmp_path / "spanledger.whl" / "embedded.xml")
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path)}, working_directory=tmp_path)
    with pytest.raises(ConfigurationError, match="install spanledger with pip"):
        open_store(settings, role="owner")
