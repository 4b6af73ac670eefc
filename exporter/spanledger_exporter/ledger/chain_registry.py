"""The chain registry: which chains were ever opened, so that one which is missing from a store is noticed. Pure.

One entry per chain (ledger.md section 6): canonical JSON of its id, the hash of its row 0 and the time of that row.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.canonical import canonical_json


@dataclass(frozen=True, slots=True)
class ChainOpening:
    """One entry of the chain registry: a chain began with row 0, whose hash this is."""

    chain: bytes
    row_hash: bytes
    time_ns: int


def format_opening(opening: ChainOpening) -> bytes:
    """Return the canonical JSON of a registry entry."""
    return canonical_json(
        {"chain": opening.chain.hex(), "row_hash": opening.row_hash.hex(), "time_ns": str(opening.time_ns)}
    )


def parse_opening(data: bytes) -> ChainOpening:
    """Parse a registry entry; the inverse of `format_opening`. Raises ProofError."""
    try:
        value = orjson.loads(data)
        opening = ChainOpening(bytes.fromhex(value["chain"]), bytes.fromhex(value["row_hash"]), int(value["time_ns"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ProofError(f"expected a chain registry entry, got {data[:60]!r}") from error
    if len(opening.chain) != 16 or len(opening.row_hash) != 32:
        raise ProofError(f"expected a chain of 16 bytes and a hash of 32 in a registry entry, got {data[:60]!r}")
    if format_opening(opening) != data:  # numbers for texts, a second spelling, words of somebody's own
        raise ProofError(f"expected a chain registry entry as its writer leaves it, got {data[:200]!r}")
    return opening


def parse_opening_or_none(data: bytes) -> ChainOpening | None:
    """Return a registry entry, or None for one torn by a crash of its writer: its name still says the chain exists."""
    try:
        return parse_opening(data)
    except ProofError:
        return None
