"""A connection to the store: the embedded engine or a server, through one driver and one code path.

Rules
- Every exception of the driver, the engine or the line leaves as StoreError; StoreRefusedError when the engine
  itself answered and said no.
- chDB is imported here only, when an embedded store is opened. A process that may fork never opens one: a forked
  child's insert reports success and is lost.
- The embedded directory has one owner (lease.py). A reader that cannot become it reads the same files through a
  read-only attachment on an engine of its own (attachment.py).
- String columns come back as `str`. Bytes that are not UTF-8 would come back as hex, so name such columns in `binary`.
- Times come back aware, in UTC, cut to microseconds: ask for `toUnixTimestamp64Nano(…)` where nanoseconds matter.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
from base64 import b64encode
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.compression import get_compressor

from spanledger_exporter.config import Settings
from spanledger_exporter.directories import make_directory
from spanledger_exporter.errors import ConfigurationError, StoreBusyError, StoreError
from spanledger_exporter.store.address import DEFAULT_DATABASE, ServerAddress, parse_address
from spanledger_exporter.store.attachment import Attachment
from spanledger_exporter.store.driver_errors import translated
from spanledger_exporter.store.lease import Lease, lock_path, read_holder
from spanledger_exporter.store.links import remove_followed_links, remove_links
from spanledger_exporter.store.native import NativeBlock
from spanledger_exporter.store.native_answer import Column, read_native
from spanledger_exporter.store.tables import BY_REFERENCE

EMBEDDED_CONFIGURATION = Path(__file__).with_name("embedded.xml")
WAIT_S = 10.0

NO_ENGINE = "expected the embedded engine to be installed"
ENGINE_REMEDY = "pip install 'spanledger[embedded]', or name a server in SPANLEDGER_STORE"

MAX_STATEMENT_BYTES = 4 * 2**20
"""What a statement of ours may be long; ClickHouse's own limit of 256 kB is 4,000 references."""

_LEAVE_TO_MERGES = "exclude_materialize_skip_indexes_on_insert"

_READ_HERE: dict[str, str | int] = {"remote_filesystem_read_method": "read", "remote_filesystem_read_prefetch": 0}
"""What an attachment is told: its files are local, and fetching them ahead in other threads costs more than reading
them. A page of fifty places and a dozen columns takes half the processor time."""

_KEEP_WHAT_WAS_READ: dict[str, str | int] = {"use_uncompressed_cache": 1, "merge_tree_max_rows_to_use_cache": 1 << 24}
"""What a reader that stays is told besides: blocks stay decompressed in memory, up to the size that `embedded.xml`
names. Its pages ask for the same narrow columns again and again: most take half the time. Parts never change; what
must notice that a file was changed all the same asks without it (`UNCACHED`)."""

UNCACHED: Final = "SETTINGS use_uncompressed_cache = 0, use_query_condition_cache = 0"
"""The end of a question that must be answered from what stands on the disk now."""

Role = Literal["owner", "reader"]


def open_store(
    settings: Settings, *, role: Role, wait_s: float = WAIT_S, lasting: bool = False, beside: bool = False
) -> Store:
    """Open the store that `settings` name.

    `beside` is for readers that stay, such as the console: they never take the lease, so that nobody waits for them.

    `lasting` says that this owner means to stay: readers then go round it at once instead of waiting `wait_s`.
    Raises StoreBusyError when another process owns an embedded store and `role` is "owner", StoreError for the rest.
    """
    if settings.is_embedded:
        if beside and settings.store_directory.is_dir():
            return _attach(settings.store_directory, **_KEEP_WHAT_WAS_READ)
        return _open_embedded(settings.store_directory, role=role, wait_s=wait_s, lasting=lasting)
    return _open_server(parse_address(settings.store_url))


class Store:
    """An open store. Use it as a context manager, from any thread."""

    def __init__(
        self,
        connect: Callable[[], Client],
        *,
        database: str,
        name: str,
        is_embedded: bool,
        is_read_only: bool = False,
        release: Callable[[], None] | None = None,
        compression: str = "",
    ) -> None:
        self.database = database
        self.name = name
        self.is_embedded = is_embedded
        self.is_read_only = is_read_only
        self._connect = connect
        self._release = release
        self._compression = compression
        self._client: Client | None = None
        self._companion: Store | None = None
        self._companion_lock = threading.Lock()
        self._types: dict[tuple[str, tuple[str, ...]], Sequence[ClickHouseType]] = {}
        try:
            self._client = self._connected()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and give the lease back; the second call does nothing."""
        with self._companion_lock:
            client, self._client = self._client, None
            companion, self._companion = self._companion, None
        release, self._release = self._release, None
        try:
            for connected in (companion, client):
                if connected is not None:
                    connected.close()
        finally:
            if release is not None:
                release()

    def companion(self) -> Store:
        """Return this store for a second thread to work with at the same time; it is closed with this one.

        The embedded engine runs one statement at a time on each connection. A server has connections for everybody.
        """
        if not self.is_embedded:
            return self
        with self._companion_lock:
            self._open()
            if self._companion is None:
                self._companion = Store(
                    self._connect,
                    database=self.database,
                    name=self.name,
                    is_embedded=True,
                    is_read_only=self.is_read_only,
                )
            return self._companion

    @property
    def has_companion(self) -> bool:
        """Say whether `companion` needs no new connection."""
        return not self.is_embedded or self._companion is not None

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, binary: Sequence[str] = ()
    ) -> list[tuple[Any, ...]]:
        """Return every row of a query; String columns named in `binary` come back as bytes."""
        return self.query_table(sql, parameters, binary=binary)[1]

    def query_table(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, binary: Sequence[str] = ()
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the column names and every row of a query."""
        with self._translated():
            result = self._open().query(sql, dict(parameters or {}), column_formats=dict.fromkeys(binary, "bytes"))
            return list(result.column_names), [tuple(row) for row in result.result_rows]

    def native(self, sql: str) -> Iterator[list[Column]]:
        """Yield the answer of a query by blocks, each a list of whole columns: see `native_answer`."""
        with self._translated():
            answer = self._open().raw_query(sql, settings=self._waiting(), fmt="Native")
        return read_native(answer)

    def stream(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, binary: Sequence[str] = ()
    ) -> Generator[list[tuple[Any, ...]]]:
        """Yield the rows of a query block by block, in bounded memory.

        The stream has a connection of its own: the embedded engine refuses a second statement beside an open stream.
        """
        with self._translated():
            client = self._connected()
        try:
            with (
                self._translated(),
                client.query_row_block_stream(
                    sql, dict(parameters or {}), column_formats=dict.fromkeys(binary, "bytes")
                ) as blocks,
            ):
                for block in blocks:
                    yield [tuple(row) for row in block]
        finally:
            client.close()

    def insert(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, token: str | None = None
    ) -> None:
        """Insert `rows` in one block; the same `token` twice is stored once. Returns when the engine has them."""
        if not rows:
            return
        settings = self._inserting(len(rows))
        if token is not None:
            settings["insert_deduplication_token"] = token
        with self._translated():
            client, place = self._open(), (table, tuple(columns))
            context = client.create_insert_context(
                table,
                place[1],
                self.database,
                # The driver would ask for the types before every insert; a table that was altered since refuses, and
                # its types are then asked for again.
                column_types=self._types.pop(place, None),
                settings=settings,
                data=rows,
            )
            client.data_insert(context)
            self._types[place] = context.column_types

    def insert_block(self, table: str, block: NativeBlock, *, token: str) -> None:
        """Insert a block whose bytes are ready; the same `token` twice is stored once. Returns when it is stored."""
        settings = {**self._inserting(block.rows), "insert_deduplication_token": token}
        place = f"`{self.database}`.`{table}`"
        with self._translated():
            # The embedded engine reads a file, into which pieces go as they are.
            body: Any = block.parts if self.is_embedded else _compressed(b"".join(block.parts), self._compression)
            compression = self._compression or None
            self._open().raw_insert(place, block.columns, body, settings, fmt="Native", compression=compression)

    def _inserting(self, rows: int) -> dict[str, Any]:
        """Return the settings under which an insert of `rows` is one block, and done when it is answered."""
        # One thread: the engine prepares the expressions of some sixty columns anew for each, and divides no block.
        settings: dict[str, Any] = {
            "async_insert": 0, "max_insert_block_size": max(rows, 1_048_576), "max_threads": 1,
        }  # fmt: skip
        if _LEAVE_TO_MERGES in self._open().server_settings:  # an older server builds the index with the insert
            settings[_LEAVE_TO_MERGES] = BY_REFERENCE
        return settings

    def query_bytes(self, sql: str) -> bytes:
        """Return the rows of a query in RowBinary. The statement may be long; nothing in Python walks over its text."""
        settings = {} if self.is_embedded else {"max_query_size": MAX_STATEMENT_BYTES, **self._waiting()}
        with self._translated():
            return self._open().raw_query(sql, settings=settings, fmt="RowBinary")

    def _waiting(self) -> dict[str, Any]:
        # A server answers only when it knows that nothing went wrong: half an answer would look like a short one.
        return {} if self.is_embedded else {"wait_end_of_query": 1}

    @contextmanager
    def fixed_strings(self, values: Sequence[bytes], *, size: int) -> Generator[str]:
        """Yield SQL that selects `values`, of `size` bytes each; it holds as long as the block.

        The engine copies a statement's text several times: 10,000 references in it cost 25 ms more than in a file,
        which only the embedded engine can read.
        """
        joined = b"".join(values)
        if not self.is_embedded or not _PLAIN_PATH.fullmatch(tempfile.gettempdir()):
            yield _fixed_strings(joined, size, len(values))
            return
        with self._translated():
            file = tempfile.NamedTemporaryFile(prefix="spanledger-")  # noqa: SIM115 - as the block, but errors are told apart
        with file:
            with self._translated():
                file.write(joined)
                file.flush()
            yield f"SELECT value FROM file('{file.name}', 'RowBinary', 'value FixedString({size})')"

    def command(self, sql: str) -> None:
        """Run a statement that returns nothing."""
        with self._translated():
            self._open().command(sql)

    def use_database(self) -> None:
        """Resolve unqualified names in the store's database from now on, if it exists yet."""
        with self._translated():
            self._use(self._open())

    def _open(self) -> Client:
        if self._client is None:
            raise StoreError(f"expected an open store, got {self.name} after it was closed")
        return self._client

    def _connected(self) -> Client:
        with self._translated():
            client = self._connect()
            self._use(client)
            return client

    def _use(self, client: Client) -> None:
        # Naming a database that does not exist yet would make the handshake itself fail.
        found = client.query("SELECT count() FROM system.databases WHERE name = {name:String}", {"name": self.database})
        if found.result_rows[0][0]:
            client.database = self.database

    @contextmanager
    def _translated(self) -> Generator[None]:
        token = _SPEAKS_FOR_ITSELF.set(True)
        try:
            yield
        except (StoreError, ConfigurationError):
            raise
        except ImportError as error:
            raise StoreError(f"{NO_ENGINE} for {self.name}, got {_why_not(error)}: {ENGINE_REMEDY}") from error
        except Exception as error:
            raise translated(error, name=self.name) from error
        finally:
            _SPEAKS_FOR_ITSELF.reset(token)


def has_engine() -> bool:
    """Say whether the embedded engine is installed, without importing it."""
    return find_spec("chdb") is not None


def _why_not(error: ImportError) -> str:
    """Return why the engine could not be imported: the driver advises an extra of its own where there is none."""
    return str(error.__cause__ or error) if has_engine() else "none"


# In a statement a path needs quoting, and the engine takes `*`, `?` and braces in it for a pattern.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./-]+")


def _fixed_strings(joined: bytes, size: int, count: int) -> str:
    # The text stands in the statement: as a parameter it is escaped byte by byte.
    return (
        f"WITH base64Decode('{b64encode(joined).decode()}') AS joined "
        f"SELECT toFixedString(substring(joined, number * {size} + 1, {size}), {size}) FROM numbers({count})"
    )


def _compressed(body: bytes, compression: str) -> bytes:
    if not compression:
        return body
    compressor: Any = get_compressor(compression)
    return bytes(compressor.compress_block(body)) + bytes(compressor.flush() or b"")


_SPEAKS_FOR_ITSELF: ContextVar[bool] = ContextVar("spanledger_store", default=False)
# The driver logs warnings for every failed request. Here each request becomes a StoreError, and a shipper that retries
# for ever must not fill the application's log; the application's own use of the driver keeps its warnings.
for _name in ("clickhouse_connect.driver._backend.http_sync", "urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).addFilter(lambda _: not _SPEAKS_FOR_ITSELF.get())


def _client(**options: Any) -> Client:
    import clickhouse_connect  # noqa: PLC0415 - half a second that only a process with a store pays

    return clickhouse_connect.get_client(tz_mode="aware", **options)


def _open_server(address: ServerAddress) -> Store:
    def connect() -> Client:
        return _client(
            host=address.host,
            port=address.port,
            username=address.user,
            password=address.password,
            interface="https" if address.secure else "http",
            settings=dict(address.settings),
            # One Store serves several threads, and a session allows one query at a time.
            autogenerate_session_id=False,
            # A forked child must not talk over its parent's sockets: each Store has a pool of its own.
            dedicated_pool=True,
            **address.options,
        )

    compression = str(address.options["compress"] or "")
    return Store(connect, database=address.database, name=str(address), is_embedded=False, compression=compression)


def _open_embedded(directory: Path, *, role: Role, wait_s: float, lasting: bool) -> Store:
    if "?" in str(directory):  # the engine cuts the path there, and makes its files somewhere else
        raise ConfigurationError(f"expected SPANLEDGER_DIR and SPANLEDGER_STORE without a '?', got {directory}")
    path = lock_path(directory)
    if read_holder(path).lasting:  # an owner that means to stay: nobody waits for it
        wait_s = 0.0
    try:
        lease = Lease.acquire(path, role=role, wait_s=wait_s, lasting=lasting)
    except StoreBusyError:
        if role == "owner":
            raise
        return _attach(directory)
    except StoreError:
        # A reader may be given a directory that it must not write to, such as a copy on read-only media.
        if role == "owner" or not directory.is_dir():
            raise
        return _attach(directory)
    remove_followed_links(directory)
    return Store(
        lambda: _embedded_client(directory),
        database=DEFAULT_DATABASE,
        name=f"chdb://{directory}",
        is_embedded=True,
        release=lambda: lease.release(lambda: remove_links(directory)),
    )


def _attach(directory: Path, **engine_settings: str | int) -> Store:
    attachment = Attachment.of(directory)
    store = Store(
        lambda: _embedded_client(attachment.scratch.engine, **_READ_HERE, **engine_settings),
        database=DEFAULT_DATABASE,
        name=f"chdb://{directory} (read-only attachment)",
        is_embedded=True,
        is_read_only=True,
        release=attachment.close,
    )
    try:
        attachment.attach(store)
    except BaseException:
        store.close()
        raise
    return store


# The engine's allocator gives memory back within milliseconds, and the next query asks for it page by page. On a
# virtual machine that is 3 us a page: a quarter of what it takes to read a row of a kilobyte.
_KEEP_MEMORY = "dirty_decay_ms:20000"


def _embedded_client(directory: Path, **settings: str | int) -> Client:
    if not EMBEDDED_CONFIGURATION.is_file():
        raise ConfigurationError(
            f"expected {EMBEDDED_CONFIGURATION} to be a file, got none: from inside an archive calls are recorded, "
            "but the engine would be told by ./config.xml instead; install spanledger with pip to ship, seal and read"
        )
    # The engine makes its files readable for everybody, and what people said to a model is in them.
    make_directory(directory)
    os.environ.setdefault("JE_MALLOC_CONF", _KEEP_MEMORY)  # read once, when the engine is imported
    return _client(
        interface="chdb",
        path=str(directory),
        chdb_options={"config-file": str(EMBEDDED_CONFIGURATION.resolve())},
        settings={"max_query_size": MAX_STATEMENT_BYTES, **settings},  # too late in the statement itself
    )
