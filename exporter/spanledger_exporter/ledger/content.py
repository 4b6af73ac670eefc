r"""Content outside the row: what a reference commits to (ledger.md section 5).

    artifact           SHA256("spanledger/content/v1\0" || media || "\0" || bytes)
    payload, withheld  HMAC-SHA256(salt, "spanledger/content/v1\0" || media || "\0" || bytes)

The commitment is to the plaintext. Without an auditor key there is no salt, and every class takes the plain form.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from hashlib import _Hash

CONTENT_LABEL = b"spanledger/content/v1\0"

ContentClass = Literal["artifact", "payload", "withheld"]


class Content(NamedTuple):
    """One stored payload: `ref` is 32 raw bytes, `size` counts plaintext bytes, `data` is `None` when withheld."""

    ref: bytes
    content_class: ContentClass
    media: str
    size: int
    data: bytes | None
    key_id: str = ""


def content_ref(media: str, data: bytes, *, salt: bytes | None = None) -> bytes:
    """Return the 32-byte reference of `data` with media type `media`."""
    if salt is not None:
        return hmac.digest(salt, CONTENT_LABEL + media.encode() + b"\0" + data, "sha256")
    digest = _begin(media).copy()  # nothing is copied to stand behind its label
    digest.update(data)
    return digest.digest()


@lru_cache(maxsize=64)
def _begin(media: str) -> _Hash:
    return sha256(CONTENT_LABEL + media.encode() + b"\0")
