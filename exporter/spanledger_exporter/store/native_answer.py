"""ClickHouse's Native format, read column by column: no object per value where a caller compares whole columns.

    block := varint columns, varint rows, columns × (string name, string type, values)
    string := varint length, bytes

Rules
- Values of fixed width (FixedString, unsigned integers) come as the bytes of the whole column; a String column comes as
  one view per value, into the answer itself; where all are equal it is one view, so many times.
- A UInt32 column in front of a String column has the sizes of its values. They are only a short cut to where each ends:
  sizes that do not lead to the end of the column do not parse. Such a column is not walked over before somebody asks
  for a value (`SizedStrings`).
- A query that is read this way casts its columns, so that their types are known whatever the table says.
- What does not parse to its last byte raises StoreError: half an answer is none.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from operator import sub
from typing import overload

from spanledger_exporter.errors import StoreError
from spanledger_exporter.store.native import read_text, read_varint

Column = bytes | Sequence[memoryview]

LENGTH_BYTES = 2
"""What stands before a string of 128 to 16,383 bytes: all envelopes, nearly always."""

_FIXED = re.compile(rb"FixedString\((\d+)\)|UInt(8|16|32|64)")


class SizedStrings(Sequence[memoryview]):
    """Strings as they stand in the blocks of an answer: each behind LENGTH_BYTES of its length.

    `parts` are the bytes of each block's column, and the sizes of its strings as numbers of 4 bytes.
    """

    __slots__ = ("_views", "parts")

    def __init__(self, parts: Sequence[tuple[memoryview, array[int]]]) -> None:
        self.parts = parts
        self._views: list[memoryview] = []

    def __len__(self) -> int:
        return sum(len(sizes) for _, sizes in self.parts)

    def __iter__(self) -> Iterator[memoryview]:
        return iter(self._all())

    @overload
    def __getitem__(self, at: int) -> memoryview: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[memoryview]: ...
    def __getitem__(self, at: int | slice) -> memoryview | Sequence[memoryview]:
        return self._all()[at]

    def _all(self) -> list[memoryview]:
        if not self._views:
            for joined, sizes in self.parts:
                ends = list(accumulate(map(LENGTH_BYTES.__add__, sizes)))
                self._views += map(joined.__getitem__, map(slice, map(sub, ends, sizes), ends))
        return self._views


def joined_columns(blocks: Iterable[list[Column]]) -> list[Column]:
    """Return the columns of an answer, of all its blocks together; no column when there is no block."""
    return [parts[0] if len(parts) == 1 else _joined(parts) for parts in zip(*blocks, strict=True)]


def _joined(parts: Sequence[Column]) -> Column:
    fixed = [part for part in parts if isinstance(part, bytes)]
    if fixed:  # a column has one type in all blocks
        return b"".join(fixed)
    sized = [part.parts for part in parts if isinstance(part, SizedStrings)]
    if len(sized) == len(parts):
        return SizedStrings(list(chain.from_iterable(sized)))
    return [string for part in parts if not isinstance(part, bytes) for string in part]


def read_native(data: bytes) -> Iterator[list[Column]]:
    """Yield the columns of each block. Raises StoreError."""
    position = 0
    try:
        while position < len(data):
            position, rows, columns = _read_block(data, position)
            if columns and rows:
                yield columns
    except IndexError as error:
        raise _torn(data) from error


def _read_block(data: bytes, position: int) -> tuple[int, int, list[Column]]:
    count, position = read_varint(data, position)
    rows, position = read_varint(data, position)
    columns: list[Column] = []
    sizes = array("I")
    for _ in range(count):
        _, position = _string(data, position)
        kind, position = _string(data, position)
        if kind == b"String":
            strings, position = _sized(data, position, sizes) if sizes else _strings(data, position, rows)
            columns.append(strings)
            sizes = array("I")
        else:
            values = data[position : position + rows * _width(kind)]
            position += rows * _width(kind)
            columns.append(values)
            sizes = _numbers(values if kind == b"UInt32" and position <= len(data) else b"")
        if position > len(data):
            raise _torn(data)
    return position, rows, columns


def _sized(data: bytes, position: int, sizes: array[int]) -> tuple[Sequence[memoryview], int]:
    if min(sizes) < 1 << 7 or max(sizes) >= 1 << 14:
        strings, end = _strings(data, position, len(sizes))
        if list(map(len, strings)) != sizes.tolist():
            raise _torn(data)
        return strings, end
    end = position + sum(sizes) + LENGTH_BYTES * len(sizes)
    if end > len(data) or _string(data, end - sizes[-1] - LENGTH_BYTES)[1] != end:
        raise _torn(data)
    return SizedStrings([(memoryview(data)[position:end], sizes)]), end


def _numbers(values: bytes) -> array[int]:
    numbers = array("I", values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _strings(data: bytes, position: int, rows: int) -> tuple[list[memoryview], int]:
    view = memoryview(data)
    repeated = _repeated(data, position, rows)
    if repeated is not None:
        first, end = repeated
        return [view[first:end]] * rows, position + (end - position) * rows
    strings: list[memoryview] = []
    keep = strings.append
    for _ in range(rows):
        size = data[position]
        position += 1
        if size > 127:
            # Two bytes of length are the common case by far: an envelope has more than 127 bytes and less than 16 KiB.
            more = data[position]
            if more > 127:
                size, position = read_varint(data, position - 1)
            else:
                size, position = size & 127 | more << 7, position + 1
        end = position + size
        keep(view[position:end])
        position = end
    return strings, position


def _repeated(data: bytes, position: int, rows: int) -> tuple[int, int] | None:
    """Return where the first value of a column of equal strings begins and ends, or None when they are not equal."""
    if not rows:
        return None
    size, first = read_varint(data, position)
    end = first + size
    value = data[position:end]
    is_likely = rows == 1 or data.startswith(value, end)  # before multiplying a kilobyte by the rows
    if is_likely and data[position : position + len(value) * rows] == value * rows:
        return first, end
    return None


def _string(data: bytes, position: int) -> tuple[bytes, int]:
    text, end = read_text(data, position)
    if end > len(data):
        raise _torn(data)
    return text, end


def _width(kind: bytes) -> int:
    found = _FIXED.fullmatch(kind)
    if found is None:
        raise StoreError(f"expected a column of fixed width or String, got {kind.decode(errors='replace')!r}")
    return int(found[1]) if found[1] else int(found[2]) // 8


def _torn(data: bytes) -> StoreError:
    return StoreError(f"expected a whole answer in the Native format, got {len(data)} bytes that end too early")
