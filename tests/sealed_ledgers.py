"""A whole ledger in memory: rows, contents, log, checkpoints, anchors, registry; all of it plain lists to be damaged.

    ledger = SealedLedger.tell(chains=2, rows=5)      # sealed and anchored, judged `verified`
    ledger.rows[3] = edited(ledger.rows[3], env=b"…")
    assert ledger.verdict().word == "tampered"

The sealer here is a few lines written from ledger.md section 6, so that the verifier is not judged by our own sealer.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ledgers import Ledger, part
from spanledger_exporter.keys.key_file import FileSigner
from spanledger_exporter.ledger.chain_registry import ChainOpening
from spanledger_exporter.ledger.checkpoint import Checkpoint, sign_checkpoint
from spanledger_exporter.ledger.log_entry import Segment, format_entry, format_segment
from spanledger_exporter.ledger.merkle import leaf_hash, root_of, root_of_leaves
from spanledger_exporter.ledger.note import format_note
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.verify.source import (
    AnchoredState,
    CheckpointRow,
    ContentRow,
    EnvelopeRow,
    LogRow,
    Place,
    ReceiptRow,
    RowColumns,
    RowTuple,
)
from spanledger_exporter.verify.spooled import SpooledChain
from spanledger_exporter.verify.trust import KeyRange, Trust
from spanledger_exporter.verify.verdict import Verdict
from spanledger_exporter.verify.verifier import Surroundings, verify_ledger

ORIGIN = "spanledger/test"
SIGNER = FileSigner(b"\x01" * 32, name=ORIGIN)
STRANGER = FileSigner(b"\x02" * 32, name=ORIGIN)


@dataclass(slots=True)
class SealedLedger:
    """A ledger source that keeps everything in lists, with the anchors beside it."""

    rows_: list[RowTuple] = field(default_factory=list[RowTuple])
    contents_: list[ContentRow] = field(default_factory=list[ContentRow])
    log_: list[LogRow] = field(default_factory=list[LogRow])
    checkpoints_: list[CheckpointRow] = field(default_factory=list[CheckpointRow])
    receipts_: list[ReceiptRow] = field(default_factory=list[ReceiptRow])
    anchored: dict[str, str] = field(default_factory=dict[str, str])
    registry: dict[bytes, ChainOpening] = field(default_factory=dict[bytes, ChainOpening])
    spooled: list[SpooledChain] = field(default_factory=list[SpooledChain])
    trust: Trust = field(default_factory=lambda: Trust((KeyRange(SIGNER.verifier_key),), origin=ORIGIN))

    @classmethod
    def tell(cls, *, chains: int = 1, rows: int = 5, seals: int = 2, seed: int = 0) -> SealedLedger:
        """Return a sealed ledger: `chains` chains of `rows` rows after `chain.open`, sealed in `seals` steps."""
        press = Ledger()
        chance = random.Random(seed)
        writers = [press.open_chain(service=f"service-{number}") for number in range(chains)]
        ledger = cls()
        for step in range(seals):
            for writer in writers:
                for number in range(step * rows // seals, (step + 1) * rows // seals):
                    question = press.text(f"question {number} {chance.random()}")
                    writer.append({"event_type": "model_call", "input": [part(question, role="user")]})
            ledger.take(press)
            ledger.seal()
        return ledger

    def take(self, press: Ledger) -> None:
        """Store what `press` has written, as a shipper would, and register its chains."""
        self.rows_ = sorted(map(row_tuple, press.rows))
        self.contents_ = [
            ContentRow(c.ref, c.content_class, c.media, c.size, c.data or b"", c.key_id)
            for c in press.contents.values()
        ]
        self.registry.clear()
        for row in press.rows:
            if row.seq == 0:
                self.register(row)

    def register(self, row: Row) -> None:
        """Put a row 0 into the chain registry."""
        self.registry[row.chain_id] = ChainOpening(row.chain_id, row.row_hash, row.time_ns)

    def seal(self, signer: FileSigner = SIGNER, *, anchor: bool = True) -> None:
        """Seal every row behind the last sealed one, sign a checkpoint, anchor it."""
        sealed: dict[bytes, int] = {}
        for row in self.log_:
            entry = json.loads(row.entry)
            if entry["type"] == "segment":
                sealed[bytes.fromhex(entry["chain"])] = entry["last"]
        entries = [
            format_segment(_segment([row for row in self.rows_ if row[0] == chain and row[1] > sealed.get(chain, -1)]))
            for chain in sorted({row[0] for row in self.rows_ if row[1] > sealed.get(row[0], -1)})
        ]
        self.add_entries(entries or [format_entry("heartbeat", {"time": "1793606400000000000"})])
        self.sign(signer, anchor=anchor)

    def add_entries(self, entries: Sequence[bytes]) -> None:
        """Append entries to the log."""
        for entry in entries:
            self.log_.append(LogRow(len(self.log_), entry, leaf_hash(entry)))

    def sign(self, signer: FileSigner = SIGNER, *, anchor: bool = True) -> None:
        """Sign a checkpoint over the log as it is."""
        checkpoint = Checkpoint(ORIGIN, len(self.log_), root_of([row.leaf_hash for row in self.log_]))
        note = format_note(sign_checkpoint(checkpoint, [signer]))
        self.checkpoints_.append(CheckpointRow(checkpoint.size, checkpoint.root, note))
        if anchor:
            self.anchored[f"{checkpoint.size:020}"] = note
            self.receipts_.append(ReceiptRow(checkpoint.size, "directory", "anchors", b""))

    def verdict(self, **changes: Any) -> Verdict:
        """Judge this ledger with everything that is known beside it."""
        known: dict[str, Any] = {
            "trust": self.trust,
            "anchored": AnchoredState(
                notes=self.anchored,
                chains=self.registry,
                held={"anchors": frozenset(map(int, self.anchored))},
                has_registry=True,
            ),
            "spooled": self.spooled,
            **changes,
        }
        return verify_ledger(self, Surroundings(**known))

    def export(self) -> bytes:
        """Return the rows as a JSON Lines export."""
        return b"".join(export_line(row) + b"\n" for row in self.rows_)

    # The ledger source.

    def row_count(self) -> int:
        return len(self.rows_)

    def rows(self) -> Iterator[RowColumns]:
        ordered = sorted(self.rows_, key=lambda row: (row[0], row[1]))
        for start in range(0, len(ordered), 7):  # an odd size, so that batches end everywhere
            yield RowColumns.of(ordered[start : start + 7])

    def envelopes(self) -> Iterator[EnvelopeRow]:
        for chain, seq, _, time_ns, env, _, _, tenant in self.rows_:
            yield EnvelopeRow(chain, seq, time_ns, env, tenant)

    def row_hashes(self, places: Sequence[Place]) -> Mapping[Place, bytes]:
        wanted = set(places)
        return {(row[0], row[1]): row[6] for row in self.rows_ if (row[0], row[1]) in wanted}

    def tail(self, chain: bytes, after: int) -> Iterator[tuple[int, bytes]]:
        return iter(sorted((row[1], row[4]) for row in self.rows_ if row[0] == chain and row[1] > after))

    def log(self) -> Iterator[LogRow]:
        return iter(sorted(self.log_, key=lambda row: row.index))

    def checkpoints(self) -> Sequence[CheckpointRow]:
        return sorted(self.checkpoints_, key=lambda row: row.size)

    def receipts(self) -> Sequence[ReceiptRow]:
        return self.receipts_

    def contents(self) -> Iterator[ContentRow]:
        return iter(self.contents_)


def copied(ledger: SealedLedger) -> SealedLedger:
    """Return a copy of everything on one machine, directory anchor included, to be damaged or put back later."""
    return replace(
        ledger,
        rows_=list(ledger.rows_),
        contents_=list(ledger.contents_),
        log_=list(ledger.log_),
        checkpoints_=list(ledger.checkpoints_),
        receipts_=list(ledger.receipts_),
        anchored=dict(ledger.anchored),
        registry=dict(ledger.registry),
    )


def row_tuple(row: Row) -> RowTuple:
    """Return a row as the verifier reads it."""
    return row.chain_id, row.seq, row.prev_hash, row.time_ns, row.env, row.env_hash, row.row_hash, row.tenant


FIELDS = {"chain_id": 0, "seq": 1, "prev_hash": 2, "time_ns": 3, "env": 4, "env_hash": 5, "row_hash": 6, "tenant": 7}


def edited(row: RowTuple, **changes: Any) -> RowTuple:
    """Return `row` with other values."""
    values: list[Any] = list(row)
    for name, value in changes.items():
        values[FIELDS[name]] = value
    return tuple(values)


def export_line(row: RowTuple) -> bytes:
    """Return one row as the export writes it."""
    chain, seq, prev_hash, time_ns, env, env_hash, row_hash, _ = row
    document = {
        "chain": chain.hex(),
        "seq": seq,
        "prev_hash": prev_hash.hex(),
        "time_ns": str(time_ns),
        "env": env.decode("utf-8", "surrogateescape"),
        "env_hash": env_hash.hex(),
        "row_hash": row_hash.hex(),
    }
    return json.dumps(document).encode()


def _segment(rows: Sequence[RowTuple]) -> Segment:
    hashes = [row[6] for row in rows]
    return Segment(
        chain=rows[0][0],
        first=rows[0][1],
        last=rows[-1][1],
        head=hashes[-1],
        root=root_of_leaves(hashes),
        min_time=min(row[3] for row in rows),
        max_time=max(row[3] for row in rows),
        tenant=rows[0][7],
    )
