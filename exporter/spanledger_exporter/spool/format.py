r"""Bytes of a spool file (README.md, "Spool file"): a header, then frames. Pure: bytes in, values out.

    header  = "spanledger/spool/v1\0" || chain_id[16] || file u32 || crc32 u32                      44 bytes
    frame   = length u32 || crc32 u32 || type u8 || payload                `length` counts type and payload
    row     = seq u64 || time_ns u64 || prev_hash[32] || env_hash[32] || row_hash[32] || len u16 || tenant || env
    content = ref[32] || class u8 || stored u8 || size u64 || len u16 || media || len u16 || key_id || data

Integers are big-endian, CRC-32 is zlib's. A frame's checksum covers its length, type and payload, so that a damaged
length is found too. The header's covers the bytes before it. Checksums find accidents; the hashes find attackers.
"""

from __future__ import annotations

import struct
from typing import Final, get_args
from zlib import crc32

from spanledger_exporter.errors import SpoolError
from spanledger_exporter.ledger.content import Content, ContentClass
from spanledger_exporter.ledger.row import Row

FILE_LABEL: Final = b"spanledger/spool/v1\0"
HEADER_BYTES: Final = len(FILE_LABEL) + 16 + 4 + 4
FRAME_HEAD_BYTES: Final = 8
ROW_TYPE: Final = 0x52  # "R"
CONTENT_TYPE: Final = 0x43  # "C"
FRAME_TYPES: Final = frozenset({ROW_TYPE, CONTENT_TYPE})
MAX_FRAME_BYTES: Final = 2**31 - 1

_LENGTH = struct.Struct(">I")
_FRAME_HEAD = struct.Struct(">II")
_HEADER_TAIL = struct.Struct(">16sI")
_ROW = struct.Struct(">BQQ32s32s32sH")
_CONTENT = struct.Struct(">B32sBBQ")
_SHORT = struct.Struct(">H")
_CLASSES: Final[tuple[ContentClass, ...]] = get_args(ContentClass)


def format_header(chain_id: bytes, file: int) -> bytes:
    """Return the 44 bytes that a spool file of `chain_id` (16 bytes) starts with."""
    head = FILE_LABEL + _HEADER_TAIL.pack(chain_id, file)
    return head + _LENGTH.pack(crc32(head))


def parse_header(header: bytes) -> tuple[bytes, int]:
    """Return chain id and file number. Raises SpoolError for anything but an intact header."""
    if len(header) < HEADER_BYTES or not header.startswith(FILE_LABEL):
        raise SpoolError(f"expected a spool file header that starts with {FILE_LABEL!r}, got {header[:20]!r}")
    head, (checksum,) = header[: HEADER_BYTES - 4], _LENGTH.unpack_from(header, HEADER_BYTES - 4)
    if crc32(head) != checksum:
        raise SpoolError(f"expected checksum {crc32(head):08x} in the spool file header, got {checksum:08x}")
    chain_id, file = _HEADER_TAIL.unpack_from(head, len(FILE_LABEL))
    return chain_id, file


def format_row(row: Row) -> bytes:
    """Return the frame of one row."""
    tenant = row.tenant.encode()
    return b"".join(row_frame(row.seq, row.time_ns, row.prev_hash, row.env_hash, row.row_hash, tenant, row.env))


def format_content(content: Content) -> bytes:
    """Return the frame of one content part; withheld content has no data, only its reference."""
    return b"".join(content_frame(content))


Pieces = tuple[bytes, ...]
"""A frame before it is joined: an append joins all its frames at once, so that nothing long is copied twice."""


def row_frame(  # noqa: PLR0917 - the fields of the payload, in their order; keywords cost a tenth of the write path
    seq: int, time_ns: int, prev_hash: bytes, env_hash: bytes, row_hash: bytes, tenant: bytes, env: bytes, /
) -> Pieces:
    """Return the frame of a row from its fields."""
    return _frame(_ROW.pack(ROW_TYPE, seq, time_ns, prev_hash, env_hash, row_hash, len(tenant)) + tenant, env)


def content_frame(content: Content) -> Pieces:
    """Return the frame of one content part."""
    ref, content_class, media, size, data, key_id = content
    head = _CONTENT.pack(CONTENT_TYPE, ref, _CLASSES.index(content_class), data is not None, size)
    return _frame(head + _short(media) + _short(key_id), data or b"")


def _short(text: str) -> bytes:
    data = text.encode()
    return _SHORT.pack(len(data)) + data


def _frame(head: bytes, body: bytes) -> Pieces:
    size = len(head) + len(body)
    if size > MAX_FRAME_BYTES:
        raise _too_large(size)
    length = _LENGTH.pack(size)
    return length, _LENGTH.pack(crc32(body, crc32(head, crc32(length)))), head, body


def _too_large(size: int) -> SpoolError:
    return SpoolError(f"expected at most {MAX_FRAME_BYTES} bytes in one frame, got {size}")


def frame_length(buffer: bytes, offset: int) -> int:
    """Return the whole length of the frame at `offset`, from its first four bytes alone."""
    (length,) = _LENGTH.unpack_from(buffer, offset)
    return FRAME_HEAD_BYTES + int(length)


def is_intact(buffer: bytes, offset: int, length: int) -> bool:
    """Say whether `length` bytes at `offset` are one frame whose checksum holds."""
    if length <= FRAME_HEAD_BYTES or buffer[offset + FRAME_HEAD_BYTES] not in FRAME_TYPES:
        return False
    _, checksum = _FRAME_HEAD.unpack_from(buffer, offset)
    body = memoryview(buffer)[offset + FRAME_HEAD_BYTES : offset + length]
    return bool(crc32(body, crc32(buffer[offset : offset + 4])) == checksum)


def parse_frame(frame: bytes, *, chain_id: bytes) -> Row | Content:
    """Return what an intact frame holds. Raises SpoolError when its payload does not parse."""
    try:
        return _parse_row(frame, chain_id) if frame[FRAME_HEAD_BYTES] == ROW_TYPE else _parse_content(frame)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise SpoolError(f"expected a row or content payload, got one that does not parse: {error}") from error


def _parse_row(frame: bytes, chain_id: bytes) -> Row:
    _, seq, time_ns, prev_hash, env_hash, row_hash, tenant_length = _ROW.unpack_from(frame, FRAME_HEAD_BYTES)
    start = FRAME_HEAD_BYTES + _ROW.size
    env_start = start + tenant_length
    return Row(
        chain_id, seq, prev_hash, time_ns, frame[env_start:], env_hash, row_hash, frame[start:env_start].decode()
    )


def _parse_content(frame: bytes) -> Content:
    _, ref, kind, stored, size = _CONTENT.unpack_from(frame, FRAME_HEAD_BYTES)
    media, rest = _short_text(frame, FRAME_HEAD_BYTES + _CONTENT.size)
    key_id, start = _short_text(frame, rest)
    return Content(ref, _CLASSES[kind], media, size, frame[start:] if stored else None, key_id)


def _short_text(frame: bytes, offset: int) -> tuple[str, int]:
    (length,) = _SHORT.unpack_from(frame, offset)
    start = offset + _SHORT.size
    return frame[start : start + length].decode(), start + length
