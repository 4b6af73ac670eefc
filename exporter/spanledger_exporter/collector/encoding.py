"""What an OTLP/HTTP body is wrapped in: content type, compression, and the size that is accepted. Pure."""

from __future__ import annotations

import zlib
from typing import Literal

from spanledger_exporter.errors import DataError

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Limit after decompression (OTLP 1.11)."""

Encoding = Literal["protobuf", "json"]

_TYPES: dict[str, Encoding] = {"application/x-protobuf": "protobuf", "application/json": "json"}

_GZIP_WINDOW = zlib.MAX_WBITS | 16
_ANY_DEFLATE_WINDOW = zlib.MAX_WBITS | 32


class TooLargeError(DataError):
    """The body is larger than `MAX_BODY_BYTES` after decompression."""


def parse_content_type(header: str) -> Encoding | None:
    """Return the encoding that a Content-Type names, or `None` for one that OTLP does not know."""
    return _TYPES.get(header.partition(";")[0].strip().lower())


def decompress(body: bytes, content_encoding: str, *, limit: int = MAX_BODY_BYTES) -> bytes:
    """Return the plain body, reading no more than `limit` bytes out of a compressed one.

    Raises TooLargeError past the limit and DataError for an unknown or broken compression.
    """
    name = content_encoding.strip().lower()
    if name in {"", "identity"}:
        plain = body
    elif name in {"gzip", "deflate"}:
        plain = _inflate(body, _GZIP_WINDOW if name == "gzip" else _ANY_DEFLATE_WINDOW, limit)
    else:
        raise DataError(f"expected Content-Encoding gzip, deflate or identity, got {content_encoding!r}")
    if len(plain) > limit:
        raise TooLargeError(f"expected at most {limit} bytes after decompression, got more: send smaller batches")
    return plain


def _inflate(body: bytes, window: int, limit: int) -> bytes:
    inflater = zlib.decompressobj(window)
    try:
        plain = inflater.decompress(body, limit + 1)  # one byte more shows that there is more: no bomb is unpacked
    except zlib.error as error:
        raise DataError(f"expected a body in the compression it declares, got: {error}") from error
    if len(plain) <= limit and not inflater.eof:
        raise DataError("expected a whole compressed body, got one that ends early")
    return plain
