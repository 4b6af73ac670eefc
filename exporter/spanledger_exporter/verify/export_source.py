"""A JSON Lines export as a ledger source: rows only. Nothing in it is signed, and it says so by having no log.

A line that does not parse raises DataError with its number: an export is either whole or not evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from spanledger_exporter.errors import DataError, StoreError
from spanledger_exporter.store.columns import derive_tenant
from spanledger_exporter.verify.source import (
    CheckpointRow,
    ContentRow,
    EnvelopeRow,
    LogRow,
    Place,
    ReceiptRow,
    RowColumns,
    RowTuple,
)

BATCH_ROWS = 10_000


class ExportSource:
    """The rows of an export, read whole; see `source.LedgerSource`."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        parsed = (parse_line(line, number) for number, line in enumerate(lines, 1) if line.strip())
        self._rows = sorted(parsed, key=lambda row: (row[0], row[1], row[6]))

    @classmethod
    def read(cls, path: Path) -> ExportSource:
        """Read an export file. Raises DataError for what is in it, StoreError when it cannot be read at all."""
        try:
            return cls(path.read_bytes().split(b"\n"))
        except OSError as error:
            raise StoreError(f"expected a readable export at {path}, got: {error}") from error

    def row_count(self) -> int:
        """Count the rows."""
        return len(self._rows)

    def rows(self) -> Iterator[RowColumns]:
        """Yield every row in batches."""
        for start in range(0, len(self._rows), BATCH_ROWS):
            yield RowColumns.of(self._rows[start : start + BATCH_ROWS])

    def envelopes(self) -> Iterator[EnvelopeRow]:
        """Yield every envelope; an export has no column beside it."""
        for chain, seq, _, time_ns, env, _, _, tenant in self._rows:
            yield EnvelopeRow(chain, seq, time_ns, env, tenant, answers_references=False)

    def row_hashes(self, places: Sequence[Place]) -> Mapping[Place, bytes]:
        """Return the row hash at each place that exists."""
        wanted = set(places)
        return {(row[0], row[1]): row[6] for row in self._rows if (row[0], row[1]) in wanted}

    def tail(self, chain: bytes, after: int) -> Iterator[tuple[int, bytes]]:
        """Yield seq and env of the rows of `chain` behind `after`."""
        return ((row[1], row[4]) for row in self._rows if row[0] == chain and row[1] > after)

    def log(self) -> Iterator[LogRow]:
        """Yield nothing: an export has no log."""
        return iter(())

    def checkpoints(self) -> Sequence[CheckpointRow]:
        """Return nothing: an export has no checkpoints."""
        return ()

    def receipts(self) -> Sequence[ReceiptRow]:
        """Return nothing: an export has no receipts."""
        return ()

    def contents(self) -> Iterator[ContentRow]:
        """Yield nothing: an export has no contents."""
        return iter(())


def parse_line(line: bytes, number: int) -> RowTuple:
    """Parse one line of an export. Raises DataError."""
    try:
        return _row(orjson.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"expected a row of an export in line {number}, got something else: {error!r}") from error


def _row(value: Any) -> RowTuple:
    env = value["env"].encode()
    seq, time_ns = value["seq"], int(value["time_ns"])
    if type(seq) is not int or not (0 <= seq < 2**64 and 0 <= time_ns < 2**64) or str(time_ns) != value["time_ns"]:
        raise ValueError("seq and time_ns must be unsigned 64-bit numbers, time_ns as a decimal string")
    hashes = [_hex(value[name], 32) for name in ("prev_hash", "env_hash", "row_hash")]
    return _hex(value["chain"], 16), seq, hashes[0], time_ns, env, hashes[1], hashes[2], derive_tenant(env)


def _hex(text: str, size: int) -> bytes:
    data = bytes.fromhex(text)
    if len(data) != size or data.hex() != text:
        raise ValueError(f"expected lower-case hex of {size} bytes")
    return data
