r"""One row of a chain (ledger.md section 2).

    env_hash = SHA256("spanledger/env/v1\0" || env)
    header   = "spanledger/row/v1\0" || chain_id[16] || seq u64 || prev_hash[32] || time_ns u64 || env_hash[32]
    row_hash = SHA256(header)

All integers are big-endian. Row 0 takes `genesis_hash(chain_id)` as its `prev_hash`, never zeros.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import sha256

ENV_LABEL = b"spanledger/env/v1\0"
ROW_LABEL = b"spanledger/row/v1\0"
GENESIS_LABEL = b"spanledger/genesis/v1\0"

_HEADER = struct.Struct(">16sQ32sQ32s")
_begin_env = sha256(ENV_LABEL).copy  # a copy of a hash that has read its label costs half of a new one
_begin_row = sha256(ROW_LABEL).copy


@dataclass(frozen=True, slots=True)
class Row:
    """A chained row. `chain_id` is 16 raw bytes, hashes are 32, `env` is the canonical JSON of the envelope."""

    chain_id: bytes
    seq: int
    prev_hash: bytes
    time_ns: int
    env: bytes
    env_hash: bytes
    row_hash: bytes
    tenant: str


def env_hash(env: bytes) -> bytes:
    """Return the 32-byte hash of an envelope's stored bytes."""
    return sha256(ENV_LABEL + env).digest()


def genesis_hash(chain_id: bytes) -> bytes:
    """Return the `prev_hash` of row 0 of `chain_id` (16 bytes)."""
    return sha256(GENESIS_LABEL + chain_id).digest()


def row_hash(*, chain_id: bytes, seq: int, prev_hash: bytes, time_ns: int, env_hash: bytes) -> bytes:
    """Return the 32-byte hash of a row's header."""
    return sha256(ROW_LABEL + _HEADER.pack(chain_id, seq, prev_hash, time_ns, env_hash)).digest()


def row_hashes(chain_id: bytes, seq: int, prev_hash: bytes, time_ns: int, env: bytes, /) -> tuple[bytes, bytes]:
    """Return `env_hash` and `row_hash` as they follow from what a row says."""
    of_env, of_row = _begin_env(), _begin_row()
    of_env.update(env)
    env_digest = of_env.digest()
    of_row.update(_HEADER.pack(chain_id, seq, prev_hash, time_ns, env_digest))
    return env_digest, of_row.digest()


def make_row(*, chain_id: bytes, seq: int, prev_hash: bytes, time_ns: int, env: bytes, tenant: str) -> Row:
    """Return the row that follows `prev_hash`, hashed."""
    digest, link = row_hashes(chain_id, seq, prev_hash, time_ns, env)
    return Row(chain_id, seq, prev_hash, time_ns, env, digest, link, tenant)
