"""SHA-256 of whole columns: a ledger of millions of rows asks for four digests a row.

Rules
- `hashlib` computes every digest of a small ledger, and of any ledger where the extra `bulk` is not installed: one call
  from Python per digest, about half a microsecond each besides the hashing.
- From BULK_ROWS rows on DataFusion (Apache's query engine; its `sha256` is RustCrypto's) computes a column per call.
  Loading it takes as long as it then saves on a hundred thousand rows.
- Digests come joined, 32 bytes behind each other, as the columns that they are compared with.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from hashlib import sha256
from importlib import import_module
from importlib.abc import MetaPathFinder
from itertools import starmap
from typing import Any, Protocol

from spanledger_exporter.ledger.prefixed_hashes import prefixed_hashes, split
from spanledger_exporter.store.native_answer import LENGTH_BYTES, SizedStrings

BULK_ROWS = 150_000
"""Rows from which loading DataFusion pays."""

MIN_BULK = 1_000
"""Digests from which one call of DataFusion, 0.4 ms, is cheaper than that many of `hashlib`."""

PIECE_BYTES = 256 * 2**10
"""What is joined at a time: larger memory is given back to the system and asked for anew, page by page."""

FixedColumn = tuple[bytes, int]
"""Values of one width behind each other, and that width."""


class ColumnHashes(Protocol):
    """Computes SHA-256 over columns."""

    def of_strings(self, messages: Sequence[bytes | memoryview]) -> bytes:
        """Return `SHA256(message)` of every message."""
        ...

    def of_columns(self, prefix: bytes, *columns: FixedColumn) -> bytes:
        """Return `SHA256(prefix || values)` of every row, its values side by side."""
        ...


class HashlibHashes:
    """The standard library's, a digest at a time."""

    def of_strings(self, messages: Iterable[bytes | memoryview]) -> bytes:
        """Return `SHA256(message)` of every message."""
        return b"".join([hashing.digest() for hashing in map(sha256, messages)])

    def of_columns(self, prefix: bytes, *columns: FixedColumn) -> bytes:
        """Return `SHA256(prefix || values)` of every row, its values side by side."""
        values = [split(*column) for column in columns]
        rows = values[0] if len(values) == 1 else map(b"".join, zip(*values, strict=True))
        return b"".join(prefixed_hashes(prefix, rows))


class DataFusionHashes:
    """DataFusion's, a column at a time, on one thread."""

    def __init__(self, arrow: Any, compute: Any, datafusion: Any) -> None:
        self._arrow = arrow
        self._compute = compute
        self._session = datafusion.SessionContext(datafusion.SessionConfig().with_target_partitions(1))
        self._digest = datafusion.functions.sha256(datafusion.col("message")).alias("digest")
        self._length_bytes = arrow.array([LENGTH_BYTES], arrow.int32())[0]
        self._nothing = arrow.array([b""], arrow.binary())[0]
        self._memory = arrow.system_memory_pool()  # arrow's own gives pages back, and asks for them again
        self._small = HashlibHashes()

    def of_strings(self, messages: Sequence[bytes | memoryview]) -> bytes:
        """Return `SHA256(message)` of every message."""
        if len(messages) < MIN_BULK:
            return self._small.of_strings(messages)
        if isinstance(messages, SizedStrings):
            return self._digests(starmap(self._views, messages.parts))
        return self._digests([self._arrow.array(map(bytes, messages), self._arrow.binary())])

    def of_columns(self, prefix: bytes, *columns: FixedColumn) -> bytes:
        """Return `SHA256(prefix || values)` of every row, its values side by side."""
        joined, width = columns[0]
        rows = len(joined) // width
        if rows < MIN_BULK:
            return self._small.of_columns(prefix, *columns)
        first = self._arrow.array([prefix], self._arrow.binary())[0]
        arrays = [self._fixed(*column) for column in columns]
        step = PIECE_BYTES // sum(width for _, width in columns)
        return self._digests(
            self._compute.binary_join_element_wise(
                first, *[column[at : at + step] for column in arrays], self._nothing, memory_pool=self._memory
            )
            for at in range(0, rows, step)
        )

    def _digests(self, messages: Iterable[Any]) -> bytes:
        batches = [self._arrow.record_batch([part], ["message"]) for part in messages]
        try:
            answer = self._session.create_dataframe([batches], name="messages").select(self._digest).collect()
        finally:
            self._session.deregister_table("messages")  # it would keep every batch there ever was
        return b"".join([_joined(batch.column(0)) for batch in answer])

    def _fixed(self, joined: bytes, width: int) -> Any:
        """Return values of one width as binary ones: the ends of the values are all that has to be made."""
        rows = len(joined) // width
        buffers = [None, self._arrow.py_buffer(_ends(rows, width)), self._arrow.py_buffer(joined)]
        return self._arrow.Array.from_buffers(self._arrow.binary(), rows, buffers)

    def _views(self, joined: memoryview, sizes: array[int]) -> Any:
        """Return strings of an answer where they are, as Arrow's views: size, first four bytes, buffer, start."""
        rows, compute = len(sizes), self._compute
        numbers = self._arrow.Array.from_buffers(self._arrow.int32(), rows, [None, self._arrow.py_buffer(sizes)])
        starts = compute.subtract(compute.cumulative_sum(compute.add(numbers, self._length_bytes)), numbers)
        views = array("I", bytes(16 * rows))
        views[0::4] = sizes
        views[1::4] = array("I", bytes(joined[LENGTH_BYTES : LENGTH_BYTES + 4])) * rows  # all begin with one label
        views[3::4] = array("I", starts.buffers()[1][: 4 * rows].to_pybytes())
        buffers = [None, self._arrow.py_buffer(views), self._arrow.py_buffer(joined)]
        return self._arrow.Array.from_buffers(self._arrow.binary_view(), rows, buffers)


@lru_cache(maxsize=100)
def _ends(rows: int, width: int) -> array[int]:
    return array("i", range(0, (rows + 1) * width, width))


def _joined(digests: Any) -> bytes:
    _, _, data = digests.buffers()
    joined: bytes = data[32 * digests.offset : 32 * (digests.offset + len(digests))].to_pybytes()
    return joined


def column_hashes(rows: int) -> ColumnHashes:
    """Return what hashes the columns of a ledger of so many rows."""
    return _best_hashes() if rows >= BULK_ROWS else HashlibHashes()


@cache
def _best_hashes() -> ColumnHashes:
    try:
        arrow, compute = import_module("pyarrow"), import_module("pyarrow.compute")
        with _without_pandas():
            return DataFusionHashes(arrow, compute, import_module("datafusion"))
    except ImportError:  # the extra is for speed only
        return HashlibHashes()


@contextmanager
def _without_pandas() -> Generator[None]:
    """Keep pyarrow from loading pandas at the sight of its first scalar: a second, and nothing here is for pandas.

    pyarrow looks for it again when somebody wants a data frame.
    """
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _NoPandas(MetaPathFinder):
    def find_spec(self, fullname: str, _path: object, _target: object = None, /) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)
