"""What a verifier reads: plain bytes and numbers, wherever they lie.

A store, an export and a ledger in memory are three sources; the steps of `verifier` see no difference. Sources read
and never judge: what they cannot read they raise (StoreError, DataError), what they read they pass on unchanged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from spanledger_exporter.ledger.chain_registry import ChainOpening
from spanledger_exporter.ledger.row import ENV_LABEL

RowTuple = tuple[bytes, int, bytes, int, bytes, bytes, bytes, str]
"""chain_id, seq, prev_hash, time_ns, env, env_hash, row_hash, tenant."""

_NUMBER = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class RowColumns:
    """A batch of rows, column by column: there are millions of rows, and whole columns are compared at once.

    Columns of fixed width are one value behind the other; numbers are 8 bytes big-endian, as they are hashed. Envelopes
    stand behind ENV_LABEL, as they are hashed, too.
    """

    chains: bytes
    seqs: bytes
    prev_hashes: bytes
    times: bytes
    env_hashes: bytes
    row_hashes: bytes
    labelled_envs: Sequence[bytes | memoryview]
    tenants: Sequence[str]

    @classmethod
    def of(cls, rows: Sequence[RowTuple]) -> RowColumns:
        """Return rows as columns."""

        def joined(at: int) -> bytes:
            return b"".join(row[at] for row in rows)  # type: ignore[misc]  # only for columns of bytes

        def numbers(at: int) -> bytes:
            return b"".join(_NUMBER.pack(row[at]) for row in rows)

        envs, tenants = [ENV_LABEL + row[4] for row in rows], [row[7] for row in rows]
        return cls(joined(0), numbers(1), joined(2), numbers(3), joined(5), joined(6), envs, tenants)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.tenants)

    def chain(self, at: int) -> bytes:
        """Return the chain of one row."""
        return self.chains[16 * at : 16 * at + 16]

    def row(self, at: int) -> RowTuple:
        """Return one row."""
        number, digest = slice(8 * at, 8 * at + 8), slice(32 * at, 32 * at + 32)
        (seq,), (time_ns,) = _NUMBER.unpack(self.seqs[number]), _NUMBER.unpack(self.times[number])
        hashes = self.env_hashes[digest], self.row_hashes[digest]
        env = bytes(self.labelled_envs[at][len(ENV_LABEL) :])
        return self.chain(at), seq, self.prev_hashes[digest], time_ns, env, *hashes, self.tenants[at]


@dataclass(frozen=True, slots=True)
class LogRow:
    """One row of the `log` table."""

    index: int
    entry: bytes
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """One row of the `checkpoints` table. `note` is the signed note, as text."""

    size: int
    root: bytes
    note: str


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """One row of the `anchors` table: what an anchor gave back for the checkpoint of `size`."""

    size: int
    kind: str
    target: str
    receipt: bytes


@dataclass(frozen=True, slots=True)
class ContentRow:
    """One row of the `content` table. `ref` is 32 raw bytes."""

    ref: bytes
    content_class: str
    media: str
    size: int
    data: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class AnchoredState:
    """What anchors hold, read from the anchors themselves and not from the store.

    `notes` are the checkpoints' signed notes by place; `chains` is the chain registry by chain id.
    `held` has the sizes that each directory holds, by what receipts call it; `broken` is what does not parse,
    `conflicts` what an anchor says of somebody's hands on it, `unreachable` who could not be asked.
    """

    notes: Mapping[str, str] = field(default_factory=dict[str, str])
    chains: Mapping[bytes, ChainOpening] = field(default_factory=dict[bytes, ChainOpening])
    held: Mapping[str, frozenset[int]] = field(default_factory=dict[str, frozenset[int]])
    broken: Sequence[str] = ()
    conflicts: Sequence[str] = ()
    unreachable: Sequence[str] = ()
    has_registry: bool = False
    named: frozenset[tuple[str, str]] | None = None
    """Kind and target of every configured anchor, whether it can be read back or not; None when nobody said."""


@dataclass(frozen=True, slots=True)
class EnvelopeRow:
    """What is compared with an envelope: where it stands, and the columns beside it. `columns` is None without any."""

    chain: bytes
    seq: int
    time_ns: int
    env: bytes
    tenant: str
    columns: Mapping[str, Any] | None = None
    answers_references: bool = True
    """Whether the source holds contents at all, so that a reference without one is a loss."""


Place = tuple[bytes, int]
"""A chain and a sequence number in it."""


class LedgerSource(Protocol):
    """A ledger to be judged."""

    def row_count(self) -> int:
        """Count the stored rows, duplicates included."""
        ...

    def rows(self) -> Iterator[RowColumns]:
        """Yield every row in batches, ordered by chain and sequence number."""
        ...

    def envelopes(self) -> Iterator[EnvelopeRow]:
        """Yield the rows whose envelopes are to be read: all, or those that another check could not clear."""
        ...

    def row_hashes(self, places: Sequence[Place]) -> Mapping[Place, bytes]:
        """Return the stored row hash at each place that exists."""
        ...

    def tail(self, chain: bytes, after: int) -> Iterator[tuple[int, bytes]]:
        """Yield seq and env of the rows of `chain` behind `after`, in order."""
        ...

    def log(self) -> Iterator[LogRow]:
        """Yield the log in order of its index."""
        ...

    def checkpoints(self) -> Sequence[CheckpointRow]:
        """Return every stored checkpoint, smallest first."""
        ...

    def receipts(self) -> Sequence[ReceiptRow]:
        """Return every stored anchor receipt, smallest first."""
        ...

    def contents(self) -> Iterator[ContentRow]:
        """Yield every stored content."""
        ...
