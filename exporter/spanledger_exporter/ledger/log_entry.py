"""Entries of the log (ledger.md section 6): canonical JSON, one object per entry, hashed as a leaf of the log's tree.

    {"chain":"…","class":"events","first":0,"head":"…","last":41,"max_time":"…","min_time":"…","root":"…",
     "tenant":"default","type":"segment"}

Rules
- The bytes are canonical (ledger/canonical.py): parsing and formatting again must give the same bytes, or the entry is
  refused; so two spellings can never stand for one act.
- `segment.root` is the RFC 6962 root over the `row_hash` values of rows `first` to `last` as leaf data; `head` is the
  `row_hash` of row `last`; times are the smallest and largest `time_ns` in it; `class` is `events`, or `housekeeping`
  when every row in it is about the ledger itself.
- A type this version does not know fails closed. Fields it does not know are kept: a later version may add some.
- `time` is when the sealer wrote the entry, in Unix nanoseconds; like all nanosecond times it is a decimal string.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from spanledger_exporter.errors import CanonicalError, ProofError
from spanledger_exporter.ledger.canonical import MAX_SAFE_INTEGER, canonical_json

SEGMENT = "segment"
EVENTS = "events"
HOUSEKEEPING = "housekeeping"


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows `first` to `last` of one chain, of one tenant and one UTC day. Hashes are raw bytes, times nanoseconds."""

    chain: bytes
    first: int
    last: int
    head: bytes
    root: bytes
    min_time: int
    max_time: int
    tenant: str
    segment_class: str = EVENTS


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One parsed entry: its type and all its fields, `type` included, as JSON values."""

    type: str
    fields: Mapping[str, Any]


def _is_hex(size: int) -> Callable[[Any], bool]:
    pattern = re.compile(f"[0-9a-f]{{{2 * size}}}")
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_SAFE_INTEGER


_TIME = re.compile(r"0|[1-9][0-9]{0,19}")


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and _TIME.fullmatch(value) is not None and int(value) < 2**64


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_class(value: Any) -> bool:
    return value in (EVENTS, HOUSEKEEPING)


_CHAIN, _HASH = _is_hex(16), _is_hex(32)
_PLACE = {"chain": _CHAIN, "seq": _is_count, "row_hash": _HASH, "time": _is_time}
"""An act that stands as a row: the entry points at it."""

REQUIRED: Mapping[str, Mapping[str, Callable[[Any], bool]]] = {
    SEGMENT: {
        "chain": _CHAIN,
        "first": _is_count,
        "last": _is_count,
        "head": _HASH,
        "root": _HASH,
        "min_time": _is_time,
        "max_time": _is_time,
        "tenant": _is_text,
        "class": _is_class,
    },
    "chain-open": _PLACE,
    "chain-close": _PLACE,
    "chain-abandoned": {**_PLACE, "reason": _is_text},
    "heartbeat": {"time": _is_time},
    "key-rotate": {"old": _is_text, "new": _is_text, "time": _is_time},
    "prune": _PLACE,
    "legal-hold": _PLACE,
    "erasure": _PLACE,
    "loss": _PLACE,
    "restore": {"reason": _is_text, "time": _is_time},
    "schema": {"fingerprint": _HASH, "time": _is_time},
}
"""Every entry type, with the fields it must have."""


def format_segment(segment: Segment) -> bytes:
    """Return the canonical bytes of a segment entry."""
    return format_entry(
        SEGMENT,
        {
            "chain": segment.chain.hex(),
            "first": segment.first,
            "last": segment.last,
            "head": segment.head.hex(),
            "root": segment.root.hex(),
            "min_time": str(segment.min_time),
            "max_time": str(segment.max_time),
            "tenant": segment.tenant,
            "class": segment.segment_class,
        },
    )


def format_entry(entry_type: str, fields: Mapping[str, Any]) -> bytes:
    """Return the canonical bytes of an entry; raise ProofError if a required field is missing or wrong."""
    _check(entry_type, fields)
    return canonical_json({**fields, "type": entry_type})


def parse_entry(data: bytes) -> LogEntry:
    """Parse the bytes of an entry; the inverse of `format_entry`. Raises ProofError."""
    try:
        value = orjson.loads(data)
        canonical = canonical_json(value)
    except (orjson.JSONDecodeError, CanonicalError, RecursionError) as error:
        raise ProofError(f"expected a log entry in JSON, got {data[:60]!r}") from error
    if not isinstance(value, dict) or canonical != bytes(data):
        raise ProofError(f"expected a log entry in canonical JSON, got {data[:60]!r}")
    entry_type = value.get("type")
    if not isinstance(entry_type, str):
        raise ProofError("expected a type in the log entry, got none")
    _check(entry_type, value)
    return LogEntry(entry_type, value)


def as_segment(entry: LogEntry) -> Segment:
    """Return a `segment` entry as a record; raise ProofError for any other type."""
    if entry.type != SEGMENT:
        raise ProofError(f"expected a segment, got an entry of type {entry.type!r}")
    fields = entry.fields
    return Segment(
        chain=bytes.fromhex(fields["chain"]),
        first=fields["first"],
        last=fields["last"],
        head=bytes.fromhex(fields["head"]),
        root=bytes.fromhex(fields["root"]),
        min_time=int(fields["min_time"]),
        max_time=int(fields["max_time"]),
        tenant=fields["tenant"],
        segment_class=fields["class"],
    )


def _check(entry_type: str, fields: Mapping[str, Any]) -> None:
    required = REQUIRED.get(entry_type)
    if required is None:
        raise ProofError(f"expected a known entry type ({', '.join(REQUIRED)}), got {entry_type[:40]!r}")
    for name, is_valid in required.items():
        if not is_valid(fields.get(name)):
            raise ProofError(f"expected a valid {name!r} in a {entry_type} entry, got {str(fields.get(name))[:60]!r}")
    if entry_type == SEGMENT and fields["first"] > fields["last"]:
        raise ProofError(f"expected first <= last in a segment, got {fields['first']} and {fields['last']}")
