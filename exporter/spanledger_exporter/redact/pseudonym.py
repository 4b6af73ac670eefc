r"""Stands a token in for a person's id: the same person has the same token, and the token does not give the id away.

    token = "u_" || hex(HMAC-SHA256(key, "spanledger/user/v1\0" || tenant || "\0" || user id))[:32]

The key is 32 random bytes in `$DIR/keys/pseudonym.key`, made on first need. Whoever holds it can test a guess;
deleting it makes every token final.
"""

from __future__ import annotations

import contextlib
import hmac
import os
from pathlib import Path

from spanledger_exporter.directories import make_directory

KEY_NAME = "pseudonym.key"
KEY_BYTES = 32
_LABEL = b"spanledger/user/v1\0"


def pseudonym(key: bytes, user_id: str, *, tenant: str) -> str:
    """Return the token of `user_id` in `tenant`."""
    message = _LABEL + tenant.encode("utf-8", "replace") + b"\0" + user_id.encode("utf-8", "replace")
    return "u_" + hmac.digest(key, message, "sha256").hex()[:32]


def load_key(keys_directory: Path) -> bytes:
    """Return the key, made by whichever process comes first. Raises OSError where the directory cannot be used."""
    path = keys_directory / KEY_NAME
    make_directory(keys_directory)
    if not path.exists():
        _make_key(path)
    return path.read_bytes()


def _make_key(path: Path) -> None:
    """Make the whole file under another name first: a reader sees all of it or none of it."""
    draft = path.with_name(f".{KEY_NAME}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(os.urandom(KEY_BYTES))
    with contextlib.suppress(FileExistsError):  # another process was first: its key is the key
        path.hardlink_to(draft)
    draft.unlink()
