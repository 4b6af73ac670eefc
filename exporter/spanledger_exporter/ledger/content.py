r"""Content outside the row: what a reference commits to (ledger.md section 5).

    artifact           SHA256("spanledger/content/v1\0" || media || "\0" || bytes)
    payload, withheld  HMAC-SHA256(salt, "spanledger/content/v1\0" || media || "\0" || bytes)

The commitment is to the plaintext. Without an auditor key there is no salt, and every class takes the plain form.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

CONTENT_LABEL = b"spanledger/content/v1\0"

ContentClass = Literal["artifact", "payload", "withheld"]


@dataclass(frozen=True, slots=True)
class Content:
    """One stored payload: `ref` is 32 raw bytes, `size` counts plaintext bytes, `data` is `None` when withheld."""

    ref: bytes
    content_class: ContentClass
    media: str
    size: int
    data: bytes | None
    key_id: str = ""


def content_ref(media: str, data: bytes, *, salt: bytes | None = None) -> bytes:
    """Return the 32-byte reference of `data` with media type `media`."""
    message = CONTENT_LABEL + media.encode() + b"\0" + data
    return sha256(message).digest() if salt is None else hmac.digest(salt, message, "sha256")
