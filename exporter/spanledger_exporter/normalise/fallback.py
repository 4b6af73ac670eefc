"""A row is never lost because canonicalisation failed: what came is kept as a `raw` row (ledger.md section 3)."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import orjson

from spanledger_exporter.ledger.canonical import canonical_envelope

if TYPE_CHECKING:
    from spanledger_exporter.normalise.parts import ContentPolicy

SCHEMA: Final = "spanledger.event/1"

_KEPT = ("schema", "event_id", "trace_id", "span_id", "parent_span_id", "tenant", "environment", "service", "time")


def encode_envelope(envelope: Mapping[str, Any]) -> bytes:
    """Return canonical bytes of `envelope`, or of a `raw` envelope that holds what could not be encoded."""
    try:
        return canonical_envelope(envelope)
    except Exception as error:  # a value of any type may come with code of its own that raises anything
        return canonical_envelope(_raw(envelope, error))


def raw_body(data: bytes, *, encoding: str, reason: str, policy: ContentPolicy) -> dict[str, Any]:
    """Return what a `raw` row keeps of bytes that could not be read, and why.

    There may be content in them, and no rule can find its way in what nobody can read. So where content is not stored
    as it comes only size and digest are kept, and no digest where content is to leave no trace.
    """
    about = {"encoding": encoding, "reason": reason}
    if policy.is_plain:
        return {"data": b64encode(data).decode(), **about}
    withheld = {"withheld": True, "bytes": len(data), **about}
    return withheld if policy.mode == "none" else {"sha256": sha256(data).hexdigest(), **withheld}


def _raw(envelope: Mapping[str, Any], error: Exception) -> dict[str, Any]:
    kept = {key: value for key in _KEPT if _is_encodable(value := envelope.get(key))}
    original = envelope.get("event_type")
    raw = {
        "data": b64encode(_repr_bytes(envelope)).decode(),
        "encoding": "python-repr",
        "reason": f"{type(error).__name__}: {error}",
        "event_type": original if isinstance(original, str) else None,
    }
    return {**kept, "event_type": "raw", "raw": raw}


def _is_encodable(value: Any) -> bool:
    try:
        canonical_envelope({"value": value})
    except Exception:  # as above
        return False
    return True


def _repr_bytes(envelope: Mapping[str, Any]) -> bytes:
    value = {key: _opened(item) for key, item in envelope.items()}
    try:
        return repr(value).encode("utf-8", "backslashreplace")
    except Exception as error:  # a value whose own repr raises: its type is what there is to keep
        return f"<{type(envelope).__name__} whose repr raised {type(error).__name__}>".encode()


def _opened(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value)) if isinstance(value, orjson.Fragment) else value


def default_service() -> dict[str, str]:
    """Return the `service` of rows that nothing else says it of."""
    return {"name": os.environ.get("OTEL_SERVICE_NAME") or "spanledger"}
