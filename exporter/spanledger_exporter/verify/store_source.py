"""A store as a ledger source: bytes out of the tables, in batches that fit into memory.

Rules
- Every query turns the query-condition cache and projections off: with the cache on, a part that was swapped on disk
  was still reported clean.
- Rows are read chain by chain: whole small chains together, a long one in slices. Sorting then never exceeds a batch,
  whatever the tenants and partitions. A slice is asked for in the order in which it lies, which spares the sorting;
  where that is not the order of its numbers it is asked for again.
- Envelopes of a small ledger are all read and re-derived in Python. Those of a large one are first compared by the
  engine, with our own expressions and not the table's; what the engine cannot clear, and a random sample of what it
  cleared, is then re-derived in Python (adr/0001-columns.md). A cheap condition clears nearly every row; exact and dear
  ones are asked only when it left rows over.
- A table that is not there is read as empty; `table_review` names it.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain as chained
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from spanledger_exporter.ledger.prefixed_hashes import split
from spanledger_exporter.ledger.row import ENV_LABEL
from spanledger_exporter.store.columns import COLUMNS, PARSED, from_parsed
from spanledger_exporter.store.connection import Store
from spanledger_exporter.store.native_answer import joined_columns
from spanledger_exporter.verify.envelopes import PRUNING, SCHEMA
from spanledger_exporter.verify.source import (
    CheckpointRow,
    ContentRow,
    EnvelopeRow,
    LogRow,
    Place,
    ReceiptRow,
    RowColumns,
)

BATCH_ROWS = 25_000
"""Twice as many rows would cost more: fresh memory for every answer instead of what the last one gave back."""

BATCH_BYTES = 64 * 2**20
"""Envelopes of one batch; rows of a long conversation refer to hundreds of parts and are no kilobyte."""

CHAINS_PER_QUERY = 500
PYTHON_LIMIT = 20_000
"""Ledgers up to this many rows have every envelope re-derived in Python: about a second."""

SAMPLE_ROWS = 1_000
MAX_CANDIDATES = 10_000
"""Envelopes re-read after the engine's comparison; more of them than this are a disaster that needs no full list."""

SETTINGS = "SETTINGS use_query_condition_cache = 0, optimize_use_projections = 0"

_IN_ORDER = f"ORDER BY chain_id, seq, row_hash {SETTINGS}, max_threads = 1"
_AS_IT_LIES = f"ORDER BY tenant, chain_id, seq {SETTINGS}, max_threads = 1"

ColumnsMode = Literal["auto", "python", "sql"]

# In the order of `RowColumns`, cast so that an altered table cannot change what is read. The length goes before the
# envelopes: `read_native` then need not walk over them. Each stands behind the label with which it is hashed, so that
# nobody has to put the two together.
_ROW_COLUMNS = (
    "CAST(chain_id AS FixedString(16)), reverse(reinterpretAsFixedString(CAST(seq AS UInt64))), "
    "CAST(prev_hash AS FixedString(32)), reverse(reinterpretAsFixedString(CAST(time_ns AS UInt64))), "
    "CAST(env_hash AS FixedString(32)), CAST(row_hash AS FixedString(32)), "
    f"CAST({len(ENV_LABEL)} + length(env) AS UInt32), unhex('{ENV_LABEL.hex()}') || CAST(env AS String), "
    "CAST(tenant AS String)"
)
_ENVELOPE_COLUMNS = ", ".join(
    ["chain_id", "seq", "time_ns", "env", "toString(tenant)", *(f"{column.compare}" for column in COLUMNS)]
)
_REFERENCES = """extractAll(env, '"(?:[^"\\\\\\\\]*_)?ref":"([0-9a-f]{64})"')"""
IS_COMMITTED_TO = r"SHA256(concat('spanledger/content/v1\0', media, '\0', data)) = ref"
"""Whether a row of `content` is what its reference names (ledger.md section 5)."""
_GOOD_CONTENT = f"SELECT ref FROM content WHERE size = length(data) AND (key_id != '' OR {IS_COMMITTED_TO})"
_PLACES_WITHOUT_CONTENT = (
    "SELECT chain_id, seq FROM "
    f"(SELECT chain_id, seq, arrayJoin({_REFERENCES}) AS reference FROM rows) "
    f"WHERE toFixedString(unhex(reference), 32) NOT IN ({_GOOD_CONTENT})"
)
# Without short circuits equal JSONExtract calls run once per row and not once per column: four times faster.
_PARSE_ONCE = "short_circuit_function_evaluation = 'disable'"
_PRUNES = f"{from_parsed(('event_type',))} IN {PRUNING!r}"
_CLEAR = " AND ".join(
    [
        "startsWith(env, '{')",
        f"{from_parsed(('schema',))} = '{SCHEMA}'",
        f"({from_parsed(('event_type',))} = 'chain.open') = (seq = 0)",
        f"tenant = {from_parsed(('tenant',))}",
        *(column.clear for column in COLUMNS),
    ]
)


class _Batch(NamedTuple):
    """Rows that are read with one query."""

    condition: str
    is_of_one_chain: bool = False


class _Slice(NamedTuple):
    """Consecutive places of one chain: number `at` of them, the rows that are there, the bytes of their envelopes."""

    chain: bytes
    at: int
    rows: int
    size: int

    def batches(self) -> Iterator[_Batch]:
        """Yield the slice in parts of about BATCH_BYTES."""
        first, end = self.at * BATCH_ROWS, min((self.at + 1) * BATCH_ROWS, 2**64)
        step = max(BATCH_ROWS * BATCH_BYTES // max(self.size, BATCH_BYTES), 1)
        for start in range(first, end, step):
            places = f"seq BETWEEN {start} AND {min(start + step, end) - 1}"
            yield _Batch(f"{_among([self.chain])} AND {places}", is_of_one_chain=True)


class StoreSource:
    """The tables of one store; see `source.LedgerSource`."""

    def __init__(self, store: Store, *, columns: ColumnsMode = "auto") -> None:
        self.store = store
        self.tables = existing_tables(store)
        self._columns = columns
        self._slices = self._read_slices()

    def row_count(self) -> int:
        """Count the stored rows, duplicates included."""
        return sum(part.rows for part in self._slices)

    def _read_slices(self) -> list[_Slice]:
        """Return the slices of every chain: BATCH_ROWS consecutive places each, as far as they are used.

        Asked and not computed: one row with the largest number there is would make more slices than anybody can read.
        """
        if "rows" not in self.tables:
            return []
        sql = (
            f"SELECT chain_id, intDiv(seq, {BATCH_ROWS}) AS slice, count(), sum(length(env)) FROM rows "
            f"GROUP BY chain_id, slice ORDER BY chain_id, slice {SETTINGS}"
        )
        return [_Slice(chain, int(at), int(rows), int(size)) for chain, at, rows, size in self.store.query(sql)]

    def _batches(self) -> Iterator[_Batch]:
        """Yield conditions that split the rows into batches, in order of chain and seq."""
        group: list[bytes] = []
        rows = size = 0
        for chain, found in groupby(self._slices, key=attrgetter("chain")):
            slices = list(found)
            more, larger = sum(part.rows for part in slices), sum(part.size for part in slices)
            is_full = rows + more > BATCH_ROWS or size + larger > BATCH_BYTES or len(group) >= CHAINS_PER_QUERY
            if group and is_full:
                yield _Batch(_among(group))
                group, rows, size = [], 0, 0
            if more > BATCH_ROWS or larger > BATCH_BYTES:
                for part in slices:
                    yield from part.batches()
            else:
                group.append(chain)
                rows, size = rows + more, size + larger
        if group:
            yield _Batch(_among(group))

    def rows(self) -> Iterator[RowColumns]:
        """Yield every row in batches, ordered by chain and sequence number.

        The next batch is read while the caller hashes this one: the engine works outside of Python's lock.
        """
        with ThreadPoolExecutor(1, "verify-read") as reader:
            following: Future[RowColumns | None] | None = None
            for batch in chained(self._batches(), (None,)):
                current, following = following, batch and reader.submit(self._read, batch)
                if current is not None and (rows := current.result()) is not None:
                    yield rows

    def _read(self, batch: _Batch) -> RowColumns | None:
        if batch.is_of_one_chain:
            rows = self._rows_where(batch.condition, _AS_IT_LIES)
            if rows is None or _is_rising(rows.seqs):
                return rows
        return self._rows_where(batch.condition, _IN_ORDER)

    def _rows_where(self, condition: str, order: str) -> RowColumns | None:
        blocks: list[list[Any]] = list(self.store.native(f"SELECT {_ROW_COLUMNS} FROM rows WHERE {condition} {order}"))
        if not blocks:
            return None
        tenants = [tenant for block in blocks for tenant in _texts(block.pop())]
        columns: list[Any] = joined_columns(blocks)
        chains, seqs, prev_hashes, times, env_hashes, row_hashes, _, labelled_envs = columns
        return RowColumns(chains, seqs, prev_hashes, times, env_hashes, row_hashes, labelled_envs, tenants)

    def envelopes(self) -> Iterator[EnvelopeRow]:
        """Yield every envelope of a small ledger, or those that the engine's comparison leaves open."""
        in_python = self._columns == "python" or (self._columns == "auto" and self.row_count() <= PYTHON_LIMIT)
        if in_python:
            for batch in self._batches():
                yield from self._envelopes_where(batch.condition)
            return
        if "rows" not in self.tables:
            return
        seen: set[Place] = set()  # one row may be doubtful for several reasons, and is accused of each once
        for row in self._doubtful():
            if (row.chain, row.seq) not in seen:
                seen.add((row.chain, row.seq))
                yield row

    def _doubtful(self) -> Iterator[EnvelopeRow]:
        """Yield what the engine cannot clear, a sample of what it cleared, and what contents depend on."""
        counts = f"countIf(NOT ifNull({_CLEAR}, 0)), countIf({_PRUNES})"
        [(doubtful, pruning)] = self.store.query(f"WITH {PARSED} SELECT {counts} FROM rows {SETTINGS}, {_PARSE_ONCE}")
        if doubtful:
            yield from self._envelopes_where(f"ifNull({mismatch_sql()}, 1) LIMIT {MAX_CANDIDATES}")
        share = max(self.row_count() // SAMPLE_ROWS, 1)
        yield from self._envelopes_where(f"cityHash64(row_hash, '{secrets.token_hex(8)}') % {share} = 0")
        if pruning:
            yield from self._bare_envelopes(f"WITH {PARSED}", _PRUNES)
        if "content" in self.tables:
            yield from self._bare_envelopes("", f"(chain_id, seq) IN ({_PLACES_WITHOUT_CONTENT})")

    def _bare_envelopes(self, before: str, condition: str) -> Iterator[EnvelopeRow]:
        """Yield envelopes without columns, and all of them: behind thousands that are withheld one may be missing."""
        sql = f"{before} SELECT chain_id, seq, time_ns, env, toString(tenant) FROM rows WHERE {condition} {SETTINGS}"
        for block in self.store.stream(sql, binary=("env",)):
            for chain, seq, time_ns, env, tenant in block:
                yield EnvelopeRow(chain, int(seq), int(time_ns), env, tenant)

    def _envelopes_where(self, condition: str) -> Iterator[EnvelopeRow]:
        sql = f"SELECT {_ENVELOPE_COLUMNS} FROM rows WHERE {condition} {SETTINGS}, {_PARSE_ONCE}"
        for chain, seq, time_ns, env, tenant, *values in self.store.query(sql, binary=("env",)):
            columns = {column.name: value for column, value in zip(COLUMNS, values, strict=True)}
            yield EnvelopeRow(chain, int(seq), int(time_ns), env, tenant, columns)

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
    """Return the condition of a row that is not as its envelope says: written here, not taken from the table."""
    return " OR ".join(
        [
            f"JSONExtractString(env, 'schema') != '{SCHEMA}'",
            "(JSONExtractString(env, 'event_type') = 'chain.open') != (seq = 0)",
            "tenant != JSONExtractString(env, 'tenant')",
            *(f"{column.name} != CAST({column.sql} AS {column.type})" for column in COLUMNS),
        ]
    )


def _texts(values: Sequence[memoryview]) -> list[str]:
    """Return strings of which there are few: a block has one tenant, mostly, and then one view stands for them all."""
    known: dict[bytes, str] = {}
    if values[0] is values[-1]:
        return [bytes(values[0]).decode(errors="backslashreplace")] * len(values)
    texts = map(bytes, values)
    return [known.get(text) or known.setdefault(text, text.decode(errors="backslashreplace")) for text in texts]


def _is_rising(seqs: bytes) -> bool:
    """Tell whether numbers of 8 bytes, as they are hashed, are in order and none is there twice."""
    first, count = int.from_bytes(seqs[:8], "big"), len(seqs) // 8
    if first + count <= 2**64 and seqs == struct.pack(f">{count}Q", *range(first, first + count)):
        return True
    values = split(seqs, 8)
    return values == sorted(values) and len(set(values)) == len(values)


def _fixed(value: bytes) -> str:
    return f"toFixedString(unhex('{value.hex()}'), {len(value)})"


def _among(chains: Iterable[bytes]) -> str:
    return f"chain_id IN ({', '.join(map(_fixed, chains))})"


def _at(places: Iterable[Place]) -> str:
    return f"(chain_id, seq) IN ({', '.join(f'({_fixed(chain)}, {seq})' for chain, seq in places)})"
