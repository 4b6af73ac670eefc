r"""What an intact frame holds, as plain tuples: for whoever handles millions of them and looks at few.

`format.parse_frame` gives the same values as records, at several times the price. Both refuse the same frames.

Plain they are because Python's garbage collector loses sight of a plain tuple of texts and numbers the first time that
it meets it. Of named ones it walks over the whole backlog again and again, which costs as much as reading it.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias, get_args

from spanledger_exporter.errors import SpoolError
from spanledger_exporter.ledger.content import ContentClass
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.spool.format import FRAME_HEAD_BYTES, ROW_TYPE

RowFields: TypeAlias = tuple[int, int, bytes, bytes, bytes, str, bytes]
"""`seq`, `time_ns`, `prev_hash`, `env_hash`, `row_hash`, tenant, `env`."""

ContentFields: TypeAlias = tuple[bytes, ContentClass, str, int, bytes | None, str]
"""`ref`, class, media, size in bytes, data (None for withheld), key id."""

CONTENT_FIELDS: Final = 6
"""By their number contents are told from rows."""

SEQ: Final = 0
TIME_NS: Final = 1
ROW_HASH: Final = 4
"""Where these stand in `RowFields`."""

REF: Final = 0
SIZE: Final = 3
"""Where these stand in `ContentFields`."""

_ROW: Final = struct.Struct(">QQ32s32s32sH")
_CONTENT: Final = struct.Struct(">32sBBQH")
_SHORT: Final = struct.Struct(">H")
_PAYLOAD: Final = FRAME_HEAD_BYTES + 1
_CLASSES: Final[tuple[ContentClass, ...]] = get_args(ContentClass)


def row_of(fields: RowFields, chain_id: bytes) -> Row:
    """Return the record of a row."""
    seq, time_ns, prev_hash, env_hash, row_hash, tenant, env = fields
    return Row(chain_id, seq, prev_hash, time_ns, env, env_hash, row_hash, tenant)


def frame_fields(buffer: bytes, start: int, stop: int) -> RowFields | ContentFields:
    """Return what the intact frame from `start` to `stop` holds. Raises SpoolError when its payload does not parse.

    Written out, because every frame goes through it. What a length field announces is cut at the frame's end, as a
    slice of the frame alone would be: behind it the buffer goes on with the next frame.
    """
    payload = start + _PAYLOAD
    try:
        if buffer[payload - 1] == ROW_TYPE:
            tenant_start = payload + _ROW.size
            if tenant_start > stop:  # `unpack_from` would read on
                raise _too_short(tenant_start - stop)
            seq, time_ns, prev_hash, env_hash, row_hash, length = _ROW.unpack_from(buffer, payload)
            env_start = min(tenant_start + length, stop)
            tenant = buffer[tenant_start:env_start].decode()
            return seq, time_ns, prev_hash, env_hash, row_hash, tenant, buffer[env_start:stop]
        media_start = payload + _CONTENT.size
        if media_start > stop:
            raise _too_short(media_start - stop)
        ref, kind, stored, size, length = _CONTENT.unpack_from(buffer, payload)
        media_end = media_start + length
        key_start = media_end + _SHORT.size
        if key_start > stop:
            raise _too_short(key_start - stop)
        (length,) = _SHORT.unpack_from(buffer, media_end)
        data_start = min(key_start + length, stop)
        data = buffer[data_start:stop] if stored else None
        media = buffer[media_start:media_end].decode()
        return ref, _CLASSES[kind], media, size, data, buffer[key_start:data_start].decode()
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise SpoolError(f"expected a row or content payload, got one that does not parse: {error}") from error


def _too_short(missing: int) -> IndexError:
    return IndexError(f"the frame ends {missing} bytes before its fields do")
