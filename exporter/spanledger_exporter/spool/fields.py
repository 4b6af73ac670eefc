r"""What an intact frame holds, as plain tuples: for whoever handles millions of them and looks at few.

`format.parse_frame` gives the same values as records, at several times the price. Both refuse the same frames.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, get_args

from spanledger_exporter.errors import SpoolError
from spanledger_exporter.ledger.content import Content, ContentClass
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.spool.format import FRAME_HEAD_BYTES, ROW_TYPE

_ROW: Final = struct.Struct(">QQ32s32s32sH")
_CONTENT: Final = struct.Struct(">32sBBQH")
_SHORT: Final = struct.Struct(">H")
_PAYLOAD: Final = FRAME_HEAD_BYTES + 1
_CLASSES: Final[tuple[ContentClass, ...]] = get_args(ContentClass)


class RowFields(NamedTuple):
    """A row, as `Row` without its chain."""

    seq: int
    time_ns: int
    prev_hash: bytes
    env_hash: bytes
    row_hash: bytes
    tenant: str
    env: bytes

    def in_chain(self, chain_id: bytes) -> Row:
        """Return the record of it."""
        return Row(
            chain_id, self.seq, self.prev_hash, self.time_ns, self.env, self.env_hash, self.row_hash, self.tenant
        )


class ContentFields(NamedTuple):
    """A content, as `Content`."""

    ref: bytes
    content_class: ContentClass
    media: str
    size: int
    data: bytes | None
    key_id: str

    def content(self) -> Content:
        """Return the record of it."""
        return Content(*self)


def frame_fields(buffer: bytes, start: int = 0, end: int | None = None) -> RowFields | ContentFields:
    """Return what the intact frame at `start` holds, up to `end`. Raises SpoolError when its payload does not parse."""
    stop = len(buffer) if end is None else end
    try:
        if buffer[start + FRAME_HEAD_BYTES] == ROW_TYPE:
            return _row(buffer, start + _PAYLOAD, stop)
        return _content(buffer, start + _PAYLOAD, stop)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise SpoolError(f"expected a row or content payload, got one that does not parse: {error}") from error


# What a length field announces is cut at the frame's end, as a slice of the frame alone would be: behind it the buffer
# goes on with the next frame. Fixed fields are checked, because `unpack_from` would read on.


def _row(buffer: bytes, start: int, stop: int) -> RowFields:
    tenant_start = start + _ROW.size
    _expect(tenant_start, stop)
    seq, time_ns, prev_hash, env_hash, row_hash, length = _ROW.unpack_from(buffer, start)
    env_start = min(tenant_start + length, stop)
    return RowFields(
        seq, time_ns, prev_hash, env_hash, row_hash, buffer[tenant_start:env_start].decode(), buffer[env_start:stop]
    )


def _content(buffer: bytes, start: int, stop: int) -> ContentFields:
    media_start = start + _CONTENT.size
    _expect(media_start, stop)
    ref, kind, stored, size, media_length = _CONTENT.unpack_from(buffer, start)
    key_start = media_start + media_length + _SHORT.size
    _expect(key_start, stop)
    (key_length,) = _SHORT.unpack_from(buffer, key_start - _SHORT.size)
    data_start = min(key_start + key_length, stop)
    return ContentFields(
        ref,
        _CLASSES[kind],
        buffer[media_start : media_start + media_length].decode(),
        size,
        buffer[data_start:stop] if stored else None,
        buffer[key_start:data_start].decode(),
    )


def _expect(needed: int, stop: int) -> None:
    if needed > stop:
        raise IndexError(f"the frame ends {needed - stop} bytes before its fields do")
