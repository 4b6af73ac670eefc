"""A store as a ledger source: bytes out of the tables, in batches that fit into memory.

Rules
- Every query turns the query-condition cache and projections off: with the cache on, a part that was swapped on disk
  was still reported clean.
- Rows are read chain by chain: whole small chains together, a long one in slices. Sorting then never exceeds a batch,
  whatever the tenants and partitions.
- Envelopes of a small ledger are all read and re-derived in Python. Those of a large one are first compared by the
  engine, with our own expressions and not the table's; what the engine cannot clear, and a random sample of what it
  cleared, is then re-derived in Python (adr/0001-columns.md).
- A table that is not there is read as empty; `table_review` names it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

from spanledger_exporter.store.columns import COLUMNS
from spanledger_exporter.store.connection import Store
from spanledger_exporter.verify.envelopes import PRUNING, SCHEMA
from spanledger_exporter.verify.source import (
    CheckpointRow,
    ContentRow,
    EnvelopeRow,
    LogRow,
    PackedRow,
    Place,
    ReceiptRow,
)

BATCH_ROWS = 25_000
"""Twice as many rows would cost more: fresh memory for every answer instead of what the last one gave back."""

CHAINS_PER_QUERY = 500
PYTHON_LIMIT = 20_000
"""Ledgers up to this many rows have every envelope re-derived in Python: about a second."""

SAMPLE_ROWS = 1_000
MAX_CANDIDATES = 10_000
"""Envelopes re-read after the engine's comparison; more of them than this are a disaster that needs no full list."""

SETTINGS = "SETTINGS use_query_condition_cache = 0, optimize_use_projections = 0"

_IN_ORDER = f"ORDER BY chain_id, seq, row_hash {SETTINGS}"

ColumnsMode = Literal["auto", "python", "sql"]

_PACKED = (
    "toFixedString(concat(chain_id, reverse(reinterpretAsFixedString(seq)), prev_hash, "
    "reverse(reinterpretAsFixedString(time_ns)), env_hash, row_hash), 128)"
)
_ENVELOPE_COLUMNS = ", ".join(
    ["chain_id", "seq", "time_ns", "env", "toString(tenant)", *(f"{column.compare}" for column in COLUMNS)]
)
_REFERENCES = """extractAll(env, '"(?:[^"\\\\\\\\]*_)?ref":"([0-9a-f]{64})"')"""
_GOOD_CONTENT = (
    "SELECT ref FROM content WHERE size = length(data) AND "
    r"(key_id != '' OR SHA256(concat('spanledger/content/v1\0', media, '\0', data)) = ref)"
)


class StoreSource:
    """The tables of one store; see `source.LedgerSource`."""

    def __init__(self, store: Store, *, columns: ColumnsMode = "auto") -> None:
        self.store = store
        self.tables = existing_tables(store)
        self._columns = columns
        self._chains: list[tuple[bytes, int, int]] = self._read_chains()

    def row_count(self) -> int:
        """Count the stored rows, duplicates included."""
        return sum(count for _, count, _ in self._chains)

    def _read_chains(self) -> list[tuple[bytes, int, int]]:
        if "rows" not in self.tables:
            return []
        sql = f"SELECT chain_id, count(), max(seq) FROM rows GROUP BY chain_id ORDER BY chain_id {SETTINGS}"
        return [(chain, int(count), int(last)) for chain, count, last in self.store.query(sql)]

    def _conditions(self) -> Iterator[str]:
        """Yield WHERE conditions that split the rows into batches, in order of chain and seq."""
        group: list[bytes] = []
        rows = 0
        for chain, count, last in self._chains:
            if group and (rows + count > BATCH_ROWS or len(group) >= CHAINS_PER_QUERY):
                yield _among(group)
                group, rows = [], 0
            if count > BATCH_ROWS:
                # Slices of equal width hold about equally many rows, because seq has no gaps unless somebody made some.
                for start in range(0, last + 1, BATCH_ROWS):
                    yield f"{_among([chain])} AND seq BETWEEN {start} AND {start + BATCH_ROWS - 1}"
            else:
                group.append(chain)
                rows += count
        if group:
            yield _among(group)

    def rows(self) -> Iterator[Sequence[PackedRow]]:
        """Yield every row in batches, ordered by chain and sequence number.

        The next batch is read while the caller hashes this one: the engine works outside of Python's lock.
        """
        with ThreadPoolExecutor(1, "verify-read") as reader:
            following: Future[list[tuple[Any, ...]]] | None = None
            for condition in self._conditions():
                sql = (
                    f"SELECT {_PACKED}, env, toString(tenant) FROM rows WHERE {condition} {_IN_ORDER}, max_threads = 1"
                )
                current, following = following, reader.submit(self.store.query, sql, binary=("env",))
                if current is not None:
                    yield current.result()
            if following is not None:
                yield following.result()

    def envelopes(self) -> Iterator[EnvelopeRow]:
        """Yield every envelope of a small ledger, or those that the engine's comparison leaves open."""
        in_python = self._columns == "python" or (self._columns == "auto" and self.row_count() <= PYTHON_LIMIT)
        if in_python:
            for condition in self._conditions():
                yield from self._envelopes_where(condition)
            return
        if "rows" not in self.tables:
            return
        seen: set[Place] = set()  # one row may be doubtful for several reasons, and is accused of each once
        for row in self._doubtful():
            if (row.chain, row.seq) not in seen:
                seen.add((row.chain, row.seq))
                yield row

    def _doubtful(self) -> Iterator[EnvelopeRow]:
        """Yield what the engine cannot clear, and a sample of what it cleared."""
        yield from self._envelopes_where(f"({mismatch_sql()}) LIMIT {MAX_CANDIDATES}")
        share = max(self.row_count() // SAMPLE_ROWS, 1)
        yield from self._envelopes_where(f"cityHash64(row_hash, '{secrets.token_hex(8)}') % {share} = 0")
        if "content" in self.tables:
            places = self._places_without_content()
            for start in range(0, len(places), CHAINS_PER_QUERY):
                yield from self._envelopes_where(_at(places[start : start + CHAINS_PER_QUERY]))

    def _envelopes_where(self, condition: str) -> Iterator[EnvelopeRow]:
        # Without short circuits equal JSONExtract calls run once per row and not once per column: four times faster.
        sql = (
            f"SELECT {_ENVELOPE_COLUMNS} FROM rows WHERE {condition} "
            f"{SETTINGS}, short_circuit_function_evaluation = 'disable'"
        )
        for chain, seq, time_ns, env, tenant, *values in self.store.query(sql, binary=("env",)):
            columns = {column.name: value for column, value in zip(COLUMNS, values, strict=True)}
            yield EnvelopeRow(chain, int(seq), int(time_ns), env, tenant, columns)

    def _places_without_content(self) -> list[Place]:
        sql = (
            "SELECT DISTINCT chain_id, seq FROM "
            f"(SELECT chain_id, seq, arrayJoin({_REFERENCES}) AS reference FROM rows) "
            f"WHERE toFixedString(unhex(reference), 32) NOT IN ({_GOOD_CONTENT}) LIMIT {MAX_CANDIDATES} {SETTINGS}"
        )
        return [(chain, int(seq)) for chain, seq in self.store.query(sql)]

    def row_hashes(self, places: Sequence[Place]) -> Mapping[Place, bytes]:
        """Return the stored row hash at each place that exists."""
        found: dict[Place, bytes] = {}
        for start in range(0, len(places), CHAINS_PER_QUERY):
            condition = _at(places[start : start + CHAINS_PER_QUERY])
            sql = f"SELECT chain_id, seq, row_hash FROM rows WHERE {condition} {SETTINGS}"
            found.update({(chain, int(seq)): row_hash for chain, seq, row_hash in self.store.query(sql)})
        return found

    def opening_envelopes(self) -> list[tuple[bytes, bytes]]:
        """Return chain and env of every row 0."""
        sql = f"SELECT chain_id, env FROM rows WHERE seq = 0 {SETTINGS}"
        return [(chain, env) for chain, env in self.store.query(sql, binary=("env",))]

    def tail(self, chain: bytes, after: int) -> Iterator[tuple[int, bytes]]:
        """Yield seq and env of the rows of `chain` behind `after`, in order."""
        sql = f"SELECT seq, env FROM rows WHERE {_among([chain])} AND seq > {after} ORDER BY seq {SETTINGS}"
        for block in self.store.stream(sql, binary=("env",)):
            yield from ((int(seq), env) for seq, env in block)

    def log(self) -> Iterator[LogRow]:
        """Yield the log in order of its index."""
        for index, entry, leaf_hash in self._all("log", "index, entry, leaf_hash", "index", binary=("entry",)):
            yield LogRow(int(index), entry, leaf_hash)

    def checkpoints(self) -> Sequence[CheckpointRow]:
        """Return every stored checkpoint, smallest first."""
        rows = self._all("checkpoints", "size, root, note", "size, note")
        return [CheckpointRow(int(size), root, note) for size, root, note in rows]

    def receipts(self) -> Sequence[ReceiptRow]:
        """Return every stored anchor receipt, smallest first."""
        columns = "size, toString(kind), toString(target), receipt"
        rows = self._all("anchors", columns, "size, kind, target", binary=("receipt",))
        return [ReceiptRow(int(size), kind, target, receipt) for size, kind, target, receipt in rows]

    def contents(self) -> Iterator[ContentRow]:
        """Yield every stored content."""
        columns = "ref, toString(class), toString(media), size, data, toString(key_id)"
        for ref, content_class, media, size, data, key_id in self._all("content", columns, "ref", binary=("data",)):
            yield ContentRow(ref, content_class, media, int(size), data, key_id)

    def subject_keys(self) -> frozenset[str]:
        """Return the ids of the data keys that exist."""
        return frozenset(key_id for (key_id,) in self._all("subject_keys", "key_id", "key_id"))

    def _all(self, table: str, columns: str, order: str, *, binary: Sequence[str] = ()) -> Iterator[tuple[Any, ...]]:
        if table not in self.tables:
            return
        sql = f"SELECT {columns} FROM {table} ORDER BY {order} {SETTINGS}"
        for block in self.store.stream(sql, binary=binary):
            yield from block


def existing_tables(store: Store) -> frozenset[str]:
    """Return the names of the tables in the store's database."""
    sql = "SELECT name FROM system.tables WHERE database = {database:String}"
    return frozenset(name for (name,) in store.query(sql, {"database": store.database}))


def mismatch_sql() -> str:
    """Return the condition of a row whose envelope has to be read: written here, not taken from the table."""
    pruning = ", ".join(f"'{name}'" for name in PRUNING)
    return " OR ".join(
        [
            f"JSONExtractString(env, 'schema') != '{SCHEMA}'",
            "(JSONExtractString(env, 'event_type') = 'chain.open') != (seq = 0)",
            f"JSONExtractString(env, 'event_type') IN ({pruning})",
            "tenant != JSONExtractString(env, 'tenant')",
            *(f"{column.name} != CAST({column.sql} AS {column.type})" for column in COLUMNS),
        ]
    )


def _fixed(value: bytes) -> str:
    return f"toFixedString(unhex('{value.hex()}'), {len(value)})"


def _among(chains: Iterable[bytes]) -> str:
    return f"chain_id IN ({', '.join(map(_fixed, chains))})"


def _at(places: Iterable[Place]) -> str:
    return f"(chain_id, seq) IN ({', '.join(f'({_fixed(chain)}, {seq})' for chain, seq in places)})"
