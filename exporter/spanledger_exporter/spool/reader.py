"""Reads the spool: every chain's frames in order, damage named, nothing skipped silently.

Rules
- A frame that is not complete yet at the end of a live writer's last file is not there yet; reading stops before it.
- The same bytes behind a dead writer, or in a file that has a successor, are a torn append: `Damage`.
- A frame whose checksum fails is `Damage` up to the next intact frame; the bytes stay where they are.
- Liveness and the list of files are looked up before the bytes are read: a writer that appends and leaves between the
  two is then seen as alive, never as torn.
- A cursor is the `end` of the last frame that was dealt with; `START` reads everything.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final
from zlib import crc32

from spanledger_exporter.errors import SpoolError
from spanledger_exporter.ledger.content import Content
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.spool.fields import ContentFields, RowFields, frame_fields
from spanledger_exporter.spool.format import (
    FRAME_HEAD_BYTES,
    FRAME_TYPES,
    HEADER_BYTES,
    ROW_TYPE,
    frame_length,
    is_intact,
    parse_frame,
    parse_header,
)
from spanledger_exporter.spool.writer import LOCK_NAME, SUFFIX, file_name

BLOCK_BYTES = 1 << 20
_FRAME_HEAD: Final = struct.Struct(">II")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a chain's spool: file number and byte offset in it."""

    file: int
    offset: int


START = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are no intact frame. `position` is where they start, `length` how many they are."""

    position: Position
    length: int
    reason: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One thing read: where it starts, where the next one does, and what it holds."""

    record: Row | Content | Damage
    position: Position
    end: Position


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive things of one file in their plain form, and the offsets in it where each of them ends."""

    file: int
    records: list[RowFields | ContentFields | Damage]
    ends: list[int]


@dataclass(frozen=True, slots=True)
class _Block:
    """Intact frames of one file, one behind the other: bytes from `base` on, and where in them each frame ends."""

    data: bytes
    base: int
    ends: list[int]

    @property
    def end(self) -> int:
        """Return the file offset behind the last frame."""
        return self.base + self.ends[-1]

    def bounds(self) -> Iterator[tuple[int, int]]:
        """Return where in the bytes each frame starts and ends."""
        return pairwise((0, *self.ends))


@dataclass(frozen=True, slots=True)
class ChainSpool:
    """The spool directory of one chain."""

    chain_id: bytes
    directory: Path

    @property
    def is_live(self) -> bool:
        """True while the writer holds its lock; the kernel lets go of it however the process ends."""
        try:
            descriptor = os.open(self.directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    @property
    def is_withheld(self) -> bool:
        """True where this user may not read it: a chain is open to the user alone who wrote it."""
        return not os.access(self.directory, os.R_OK | os.X_OK) and self.directory.exists()

    def files(self) -> list[int]:
        """Return the numbers of the files that are there, in order; the first ones may have been cleaned up."""
        names = (entry.name for entry in os.scandir(self.directory) if entry.name.endswith(SUFFIX))
        return sorted(int(name.removesuffix(SUFFIX)) for name in names if name.removesuffix(SUFFIX).isdigit())

    def path(self, file: int) -> Path:
        """Return where file number `file` lies."""
        return self.directory / file_name(file)

    def size_bytes(self) -> int:
        """Return how many bytes the files take."""
        return self.bytes_behind(START)

    def bytes_behind(self, position: Position) -> int:
        """Return how many bytes lie behind `position`. Raises FileNotFoundError while somebody cleans up."""
        sizes = {file: self.path(file).stat().st_size for file in self.files() if file >= position.file}
        return max(0, sum(sizes.values()) - (position.offset if position.file in sizes else 0))

    def last_row(self) -> Row | None:
        """Return the newest intact row that is still in the spool.

        Hops from frame to frame by their lengths, because a starting process asks for it; where that leads nowhere,
        the files are read properly. It never looks for frames from the end: content may contain what looks like one.
        """
        for file in reversed(self.files()):
            row = _FileReader(self, file, may_grow=False).last_row()
            if row is not None:
                return row
        return None

    def read(self, cursor: Position = START) -> Iterator[Frame]:
        """Yield the frames from `cursor` on, up to what is complete now."""
        for reader, offset in self._readers(cursor):
            yield from reader.frames(offset)

    def read_runs(self, cursor: Position = START) -> Iterator[Run]:
        """Yield what `read` does, many at a time and as plain tuples: several times as fast."""
        for reader, offset in self._readers(cursor):
            yield from reader.runs(offset)

    def _readers(self, cursor: Position) -> Iterator[tuple[_FileReader, int]]:
        is_live = self.is_live
        files = self.files()
        for file in files:
            if file >= cursor.file:
                may_grow = is_live and file == files[-1]
                yield _FileReader(self, file, may_grow=may_grow), cursor.offset if file == cursor.file else 0


def readable_chains(spool_directory: Path) -> list[ChainSpool]:
    """Return the chains that this user may read: those of another one are theirs to ship."""
    return [chain for chain in chains(spool_directory) if not chain.is_withheld]


def chains(spool_directory: Path) -> list[ChainSpool]:
    """Return every chain in the spool, in the order of its directory's name."""
    if not spool_directory.is_dir():
        return []
    names = sorted(entry.name for entry in os.scandir(spool_directory) if entry.is_dir())
    return [ChainSpool(bytes.fromhex(name), spool_directory / name) for name in names if _is_chain_name(name)]


def _is_chain_name(name: str) -> bool:
    return len(name) == 32 and all(character in "0123456789abcdef" for character in name)  # 16 bytes


class _FileReader:
    """Walks one file through a buffer; memory is one block or the largest frame."""

    def __init__(self, chain: ChainSpool, file: int, *, may_grow: bool) -> None:
        self.chain = chain
        self.file = file
        self.may_grow = may_grow
        self.buffer = b""
        self.base = 0  # file offset of buffer[0]

    def frames(self, offset: int) -> Iterator[Frame]:
        for found in self._found(offset):
            if isinstance(found, Damage):
                yield Frame(found, found.position, Position(self.file, found.position.offset + found.length))
                continue
            for start, end in found.bounds():
                yield self._frame(found.data[start:end], found.base + start)

    def runs(self, offset: int) -> Iterator[Run]:
        for found in self._found(offset):
            if isinstance(found, Damage):
                yield Run(self.file, [found], [found.position.offset + found.length])
            else:
                yield Run(self.file, self._records(found), [found.base + end for end in found.ends])

    def _frame(self, data: bytes, start: int) -> Frame:
        end = start + len(data)
        try:
            record: Row | Content | Damage = parse_frame(data, chain_id=self.chain.chain_id)
        except SpoolError as error:
            record = self._damage(start, len(data), str(error))
        return Frame(record, Position(self.file, start), Position(self.file, end))

    def _records(self, block: _Block) -> list[RowFields | ContentFields | Damage]:
        records: list[RowFields | ContentFields | Damage] = []
        for start, end in block.bounds():
            try:
                records.append(frame_fields(block.data, start, end))
            except SpoolError as error:
                records.append(self._damage(block.base + start, end - start, str(error)))
        return records

    def last_row(self) -> Row | None:
        with self.chain.path(self.file).open("rb", buffering=0) as stream:
            self.stream = stream
            frame = self._frame_by_lengths()
        if frame is not None and isinstance(frame.record, Row):
            return frame.record
        rows = [frame.record for frame in self.frames(0) if isinstance(frame.record, Row)]
        return rows[-1] if rows else None

    def _frame_by_lengths(self) -> Frame | None:
        """Return the frame that begins where the last complete row frame should."""
        size = os.fstat(self.stream.fileno()).st_size
        offset, last = HEADER_BYTES, -1
        while offset + FRAME_HEAD_BYTES < size:
            head = self._bytes(offset, FRAME_HEAD_BYTES + 1)
            end = offset + frame_length(head, 0)
            if end > size or head[-1] not in FRAME_TYPES:
                break
            if head[-1] == ROW_TYPE:
                last = offset
            offset = end
        data = None if last < 0 else self._intact_frame(last, self._bytes(last, FRAME_HEAD_BYTES))
        return None if data is None else self._frame(data, last)

    def _found(self, offset: int) -> Iterator[_Block | Damage]:
        """Yield what lies in the file from `offset` on, block by block."""
        with self.chain.path(self.file).open("rb", buffering=0) as stream:
            self.stream = stream
            if offset == 0:
                damage = self._header_damage()
                if damage is not None:
                    yield damage
                offset = HEADER_BYTES
            while found := self._block(offset) or self._behind_block(offset):
                yield found
                offset = found.end if isinstance(found, _Block) else offset + found.length

    def _block(self, offset: int) -> _Block | None:
        """Return the intact frames that lie whole in one block, up to the first that does not."""
        block = self._bytes(offset, BLOCK_BYTES)
        view, size = memoryview(block), len(block)
        ends: list[int] = []
        start, body = 0, FRAME_HEAD_BYTES
        while body < size:
            length, checksum = _FRAME_HEAD.unpack_from(block, start)
            end = body + length
            if end > size or block[body] not in FRAME_TYPES:
                break
            if crc32(view[body:end], crc32(block[start : start + 4])) != checksum:
                break
            ends.append(end)
            start, body = end, end + FRAME_HEAD_BYTES
        return _Block(block, offset, ends) if ends else None

    def _behind_block(self, offset: int) -> _Block | Damage | None:
        """Return the one thing at `offset` that is no small intact frame, a large one or damage; nothing at the end."""
        head = self._bytes(offset, FRAME_HEAD_BYTES)
        if not head:
            return None
        data = self._intact_frame(offset, head)
        return self._resynchronise(offset) if data is None else _Block(data, offset, [len(data)])

    def _header_damage(self) -> Damage | None:
        header = self._bytes(0, HEADER_BYTES)
        if len(header) < HEADER_BYTES and self.may_grow:
            return None
        try:
            found = parse_header(header)
        except SpoolError as error:
            return self._damage(0, min(len(header), HEADER_BYTES), str(error))
        if found != (self.chain.chain_id, self.file):
            return self._damage(0, HEADER_BYTES, f"the header is that of chain {found[0].hex()} file {found[1]}")
        return None

    def _intact_frame(self, offset: int, head: bytes) -> bytes | None:
        if len(head) < FRAME_HEAD_BYTES:
            return None
        length = frame_length(head, 0)
        data = self._bytes(offset, length)
        return data if len(data) == length and is_intact(data, 0, length) else None

    def _resynchronise(self, offset: int) -> Damage | None:
        """Find the next intact frame behind damaged bytes; `None` where the bytes may still be on their way."""
        rest = self._rest(offset)
        for start in range(1, len(rest) - FRAME_HEAD_BYTES):
            length = frame_length(rest, start)
            if start + length <= len(rest) and is_intact(rest, start, length):
                return self._damage(offset, start, "checksum does not match")
        if self.may_grow and (len(rest) < FRAME_HEAD_BYTES or frame_length(rest, 0) > len(rest)):
            return None
        is_torn = len(rest) < FRAME_HEAD_BYTES or frame_length(rest, 0) > len(rest)
        return self._damage(offset, len(rest), "torn append" if is_torn else "checksum does not match")

    def _damage(self, offset: int, length: int, reason: str) -> Damage:
        return Damage(Position(self.file, offset), length, reason)

    def _bytes(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes at `offset`; fewer at the end of the file."""
        start = offset - self.base
        if start < 0 or start + count > len(self.buffer):
            self.stream.seek(offset)
            self.buffer, self.base, start = _read_fully(self.stream.fileno(), max(count, BLOCK_BYTES)), offset, 0
        return self.buffer[start : start + count]

    def _rest(self, offset: int) -> bytes:
        size = os.fstat(self.stream.fileno()).st_size
        return self._bytes(offset, max(size - offset, 0))


def _read_fully(descriptor: int, count: int) -> bytes:
    parts: list[bytes] = []
    while count > 0 and (part := os.read(descriptor, count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
