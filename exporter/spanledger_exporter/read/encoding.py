"""Records as bytes for programs: JSON, CSV, Parquet.

Rules
- Times are UTC in ISO 8601, bytes are lower-case hex, decimals are exact, nothing is cut.
- In CSV and Parquet a nested value is its JSON text.
- In CSV a text that a spreadsheet would take for a formula has an apostrophe before it: what somebody typed into a
  prompt must not run on the desk of whoever reads about it. JSON and Parquet have every text as it is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, BinaryIO

import orjson

from spanledger_exporter.errors import UsageError

Record = Mapping[str, Any]
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet evaluate a cell, directly or behind white space that it drops."""


def format_json(value: Any) -> bytes:
    """Return indented JSON with a newline; see the module's rules for values."""
    return orjson.dumps(jsonable(value), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS) + b"\n"


def jsonable(value: Any) -> Any:
    """Return `value` with everything that JSON does not know turned into what the module's rules say."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))  # an exact JSON number
    if isinstance(value, datetime):
        return format_iso(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return str(value)
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)


def write_csv(records: Iterable[Record], out: BinaryIO) -> None:
    """Write records as CSV; the header has every key, as they first appear; nested values become JSON."""
    rows = list(records)
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows([spreadsheet_cell(row.get(name)) for name in names] for row in rows)
    text.detach()


def csv_cell(value: Any) -> Any:
    """Return what a CSV cell shows of `value`."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")
    plain = jsonable(value)
    return orjson.dumps(plain).decode() if isinstance(plain, (dict, list)) else plain


def spreadsheet_cell(value: Any) -> Any:
    """Return what a cell of a CSV file holds; see the module's rule about formulas. Numbers stay numbers."""
    if type(value) is str:  # text and numbers are nearly every cell of an export: asked first, it takes half the time
        return f"'{value}" if value.startswith(FORMULA_STARTS) else value
    return value if type(value) in {int, float} else csv_cell(value)


def write_parquet(records: Sequence[Record], out: BinaryIO) -> None:
    """Write records as Parquet; nested values become JSON text.

    Raises UsageError when pyarrow is not installed.
    """
    arrow, parquet = import_parquet()
    names = list(dict.fromkeys(name for row in records for name in row))
    columns = {name: _arrow_column([row.get(name) for row in records]) for name in names}
    parquet.write_table(arrow.table(columns), out)


def import_parquet() -> tuple[Any, Any]:
    """Return the modules `pyarrow` and `pyarrow.parquet`, or say how to get them."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise UsageError("expected pyarrow for Parquet, got none: pip install 'spanledger[parquet]'") from error
    return pa, parquet


def _arrow_column(values: Sequence[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) == 1 and kinds <= {str, int, float, bool, bytes, datetime, Decimal, date}:
        return list(values)
    if kinds <= {int, float, bool}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else str(csv_cell(value)) for value in values]


def format_iso(moment: datetime) -> str:
    """Return ISO 8601 in UTC; a naive datetime is taken as UTC, which is what the store gives."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
