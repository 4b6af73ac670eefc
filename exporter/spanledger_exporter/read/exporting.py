"""Every row of every event type, for programs: JSON Lines as ledger.md section 8 has it, CSV, Parquet.

    {"chain":"b0…","env":"{…}","env_hash":"…","prev_hash":"…","row_hash":"…","seq":0,"time_ns":"1793606400001000000"}

Rules
- Rows stream through in blocks; memory does not grow with the ledger. Order: tenant, chain, seq.
- `env` is the stored bytes as a string. A row that was delivered twice is exported once; two rows with different
  hashes at one place are both exported, so that a verifier sees them.
- JSON Lines hold exactly the seven fields; CSV and Parquet have the typed columns beside them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Final

import orjson

from spanledger_exporter.errors import StoreError
from spanledger_exporter.read.criteria import Conditions, Criteria
from spanledger_exporter.read.encoding import import_parquet, spreadsheet_cell
from spanledger_exporter.store.columns import COLUMNS
from spanledger_exporter.store.connection import Store

FIELDS: Final = ("chain", "seq", "prev_hash", "time_ns", "env", "env_hash", "row_hash")
PARQUET_GROUP_ROWS: Final = 50_000

_CORE = (
    "lower(hex(chain_id)) AS chain, seq, lower(hex(prev_hash)) AS prev_hash_hex, toString(time_ns) AS written_ns, env, "
    "lower(hex(env_hash)) AS env_hash_hex, lower(hex(row_hash)) AS row_hash_hex"
)
_TYPED = tuple(column.name for column in COLUMNS)

Row = tuple[Any, ...]
Advance = Callable[[int], None]


def count_rows(store: Store, criteria: Criteria) -> int:
    """Return how many rows there are to export, copies included; for a progress bar."""
    where = Conditions.of(criteria)
    return int(store.query(f"SELECT count() FROM {store.database}.rows WHERE {where}", where.parameters)[0][0])


def export_rows(
    store: Store, criteria: Criteria, kind: str, out: BinaryIO, *, advance: Advance = lambda _: None
) -> int:
    """Write every row that meets `criteria` to `out` as `jsonl`, `csv` or `parquet`; return how many."""
    writers = {"jsonl": _write_jsonl, "csv": _write_csv, "parquet": _write_parquet}
    return writers[kind](_blocks(store, criteria, typed=kind != "jsonl"), out, advance)


def _blocks(store: Store, criteria: Criteria, *, typed: bool) -> Iterator[list[Row]]:
    where = Conditions.of(criteria)
    columns = f"{_CORE}, tenant, {', '.join(_TYPED)}" if typed else _CORE
    sql = (
        f"SELECT {columns}, chain_id AS sort_chain, row_hash AS sort_hash FROM {store.database}.rows WHERE {where} "
        "ORDER BY tenant, chain_id, seq, row_hash"
    )
    newest: Row | None = None
    for block in store.stream(sql, where.parameters):
        kept: list[Row] = []
        for row in block:
            place = (row[0], row[1], row[-1])
            if place != newest:  # copies of a row stand beside each other in this order
                kept.append(row[:-2])
            newest = place
        yield kept


def _write_jsonl(blocks: Iterator[list[Row]], out: BinaryIO, advance: Advance) -> int:
    total = 0
    for block in blocks:
        out.write(b"".join(orjson.dumps(dict(zip(FIELDS, row, strict=True))) + b"\n" for row in block))
        total += len(block)
        advance(len(block))
    return total


def _write_csv(blocks: Iterator[list[Row]], out: BinaryIO, advance: Advance) -> int:
    total = 0
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow((*FIELDS, "tenant", *_TYPED))
    for block in blocks:
        writer.writerows([spreadsheet_cell(value) for value in row] for row in block)
        total += len(block)
        advance(len(block))
    text.detach()
    return total


def _write_parquet(blocks: Iterator[list[Row]], out: BinaryIO, advance: Advance) -> int:
    pa, parquet = import_parquet()
    schema = pa.schema([(name, _arrow_type(pa, name)) for name in (*FIELDS, "tenant", *_TYPED)])
    total = 0
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        for group in _groups(blocks):
            columns = list(zip(*group, strict=True))
            arrays = [pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            total += len(group)
            advance(len(group))
    return total


def _groups(blocks: Iterator[list[Row]]) -> Iterator[Sequence[Row]]:
    waiting: list[Row] = []
    for block in blocks:
        waiting += block
        while len(waiting) >= PARQUET_GROUP_ROWS:
            yield waiting[:PARQUET_GROUP_ROWS]
            waiting = waiting[PARQUET_GROUP_ROWS:]
    if waiting:
        yield waiting


def _arrow_type(pa: Any, name: str) -> Any:
    types = {column.name: column.type for column in COLUMNS} | {"seq": "UInt64"}
    kind = types.get(name, "String")
    if kind.startswith("Decimal"):
        return pa.decimal128(18, 9)
    if kind.startswith("DateTime"):
        return pa.timestamp("us", tz="UTC")
    found = {"UInt64": pa.uint64(), "UInt8": pa.uint8(), "Float64": pa.float64()}.get(kind)
    if found is None and "String" not in kind:
        raise StoreError(f"expected a Parquet type for column {name}, got {kind}: report this as a bug")
    return found or pa.string()
