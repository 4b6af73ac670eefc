r"""A block of rows in the engine's Native format, from columns. Pure: values in, bytes out.

    block  = columns varint || rows varint || column…
    column = name || type || the values one behind the other          texts are a varint of their length and their bytes

The driver builds the same from rows of Python values for any type; this knows four of them and takes a third of the
time. A column may be said to be a String where the table has LowCardinality(String): the engine converts it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class NativeBlock:
    """Rows ready to be inserted into the columns that they name."""

    columns: tuple[str, ...]
    rows: int
    parts: tuple[bytes, ...]
    """The block's bytes in pieces: joined they would be copied once more."""


class NativeColumn(NamedTuple):
    """A column's name, type and encoded values."""

    name: str
    type: str
    data: bytes


def native_block(columns: Sequence[NativeColumn], rows: int) -> NativeBlock:
    """Return the block of `columns`, each of which holds `rows` values."""
    parts = [varint(len(columns)), varint(rows)]
    for name, type_, data in columns:
        parts += [_text(name.encode()), _text(type_.encode()), data]
    return NativeBlock(tuple(column.name for column in columns), rows, tuple(parts))


def integers(name: str, values: Sequence[int]) -> NativeColumn:
    """Return a UInt64 column."""
    return NativeColumn(name, "UInt64", struct.pack(f"<{len(values)}Q", *values))


def fixed(name: str, size: int, values: Sequence[bytes]) -> NativeColumn:
    """Return a FixedString column of values that are `size` bytes each."""
    return NativeColumn(name, f"FixedString({size})", b"".join(values))


def strings(name: str, values: Sequence[bytes]) -> NativeColumn:
    """Return a String column of values that hardly repeat."""
    sizes = list(map(len, values))
    prefixes = {size: varint(size) for size in set(sizes)}
    parts = chain.from_iterable(zip(map(prefixes.__getitem__, sizes), values, strict=True))
    return NativeColumn(name, "String", b"".join(parts))


def words(name: str, values: Sequence[str]) -> NativeColumn:
    """Return a String column of values that repeat."""
    encoded = {value: _text(value.encode()) for value in set(values)}
    return NativeColumn(name, "String", b"".join([encoded[value] for value in values]))


def _text(value: bytes) -> bytes:
    return varint(len(value)) + value


def varint(number: int) -> bytes:
    """Return `number` in seven bits a byte, the lowest first."""
    if number < 1 << 7:
        return bytes((number,))
    if number < 1 << 14:
        return bytes((number & 0x7F | 0x80, number >> 7))
    return bytes((number & 0x7F | 0x80,)) + varint(number >> 7)


def read_text(data: bytes, offset: int) -> tuple[bytes, int]:
    """Return the text at `offset`, as RowBinary has it too, and where it ends; shorter where `data` ends before."""
    length, offset = read_varint(data, offset)
    return data[offset : offset + length], offset + length


def read_varint(data: bytes, offset: int) -> tuple[int, int]:
    """Return the number at `offset`, and where it ends. Raises IndexError where `data` ends before."""
    number = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, offset
        shift += 7
