"""Collects what a bundle holds: rows by scope, their contents, proofs, checkpoints, receipts, trust root.

Rules
- A case is its rows, what its traces did without naming it, and what people recorded about any of these. With every
  chain comes its row 0, which says who wrote it, with what, under which settings.
- Proofs lead to the newest checkpoint that has a receipt, and for rows sealed after it to the newest checkpoint. A row
  that is not sealed gets no proof; the verdict on the bundle is then `incomplete`.
- Nothing is judged here: a damaged row goes into the bundle as it is stored, and the verifier says so.
- What somebody put beside the good one (a content under its reference, a note under its size, a row in its place) is
  not taken instead of it: one junk row would spoil the evidence of every case.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from spanledger_exporter.errors import ProofError
from spanledger_exporter.evidence.bundle import proof_name
from spanledger_exporter.evidence.proofs import SegmentTree
from spanledger_exporter.ledger.canonical import canonical_json
from spanledger_exporter.ledger.log_entry import Segment, as_segment, parse_entry
from spanledger_exporter.ledger.merkle import leaf_hashes
from spanledger_exporter.ledger.row import row_hash
from spanledger_exporter.ledger.sparse_tree import SparseTree
from spanledger_exporter.read.log_entries import log_leaves, segments_over, whole_log_size
from spanledger_exporter.store.connection import Store
from spanledger_exporter.verify.checkpoints import is_signed
from spanledger_exporter.verify.envelopes import parse_envelope, references
from spanledger_exporter.verify.source import CheckpointRow, ContentRow, Place, ReceiptRow, RowTuple
from spanledger_exporter.verify.store_source import IS_COMMITTED_TO, SETTINGS, StoreSource
from spanledger_exporter.verify.trust import Trust

CHUNK = 500


@dataclass(frozen=True, slots=True)
class Scope:
    """What the bundle is about; empty values do not limit. Times are Unix nanoseconds, `until_ns` is exclusive."""

    case_id: str = ""
    trace_id: str = ""
    since_ns: int | None = None
    until_ns: int | None = None
    tenant: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the scope as the manifest states it."""
        told = {"case_id": self.case_id, "trace_id": self.trace_id, "tenant": self.tenant}
        times = {"since_ns": self.since_ns, "until_ns": self.until_ns}
        return {name: value for name, value in told.items() if value} | {
            name: str(value) for name, value in times.items() if value is not None
        }


@dataclass(slots=True)
class Collected:
    """What was found in the store."""

    rows: list[RowTuple]
    contents: dict[bytes, ContentRow]
    files: dict[str, bytes]
    proved: Mapping[Place, int] = field(default_factory=dict[Place, int])
    """Size of the checkpoint that each row's proof leads to; rows without a proof are absent."""

    receipts: Sequence[ReceiptRow] = ()
    """Of the checkpoints in the bundle."""


def collect(store: Store, scope: Scope, *, trust: Trust | None = None) -> Collected:
    """Read everything that `scope` names, and make the proofs; `trust` tells forged checkpoints from signed ones."""
    rows = _read_rows(store, scope)
    contents = _read_contents(store, rows)
    source = StoreSource(store)
    all_receipts = source.receipts()
    ends = _ends(source.checkpoints(), all_receipts, trust or Trust(), log_size=whole_log_size(store))
    proved, proofs = _prove(store, rows, ends)
    sizes = set(proved.values())
    receipts = [row for row in all_receipts if row.size in sizes]
    files = {
        "rows.jsonl": b"".join(export_line(row) + b"\n" for row in rows),
        **_content_files(contents),
        **proofs,
        **{f"checkpoints/{size:020}": ends[size].encode() for size in sorted(sizes)},
        "anchors.json": canonical_json([_receipt(row) for row in receipts]),
    }
    return Collected(rows, contents, files, proved, receipts)


def _read_rows(store: Store, scope: Scope) -> list[RowTuple]:
    condition, parameters = _condition(scope)
    wanted = f"SELECT chain_id, seq FROM rows WHERE {condition}"
    sql = (
        "SELECT chain_id, seq, prev_hash, time_ns, env, env_hash, row_hash, toString(tenant) FROM rows "
        f"WHERE (chain_id, seq) IN ({wanted}) OR (seq = 0 AND chain_id IN (SELECT chain_id FROM ({wanted}))) "
        f"ORDER BY chain_id, seq LIMIT 1 BY chain_id, seq, row_hash {SETTINGS}"
    )
    return [tuple(row) for row in store.query(sql, parameters, binary=("env",))]


def _condition(scope: Scope) -> tuple[str, dict[str, Any]]:
    """Return the SQL condition on `rows`, and its parameters."""
    named: list[str] = []
    if scope.case_id:
        traces = "SELECT trace_id FROM rows WHERE case_id = {case:String} AND trace_id != ''"
        named.append(f"(case_id = {{case:String}} OR (case_id = '' AND trace_id IN ({traces})))")
    if scope.trace_id:
        named.append("trace_id = {trace:String}")
    if scope.since_ns is not None:
        named.append("time >= fromUnixTimestamp64Nano({since:Int64})")
    if scope.until_ns is not None:
        named.append("time < fromUnixTimestamp64Nano({until:Int64})")
    condition = " AND ".join(named) or "1"
    events = f"SELECT event_id FROM rows WHERE {condition}"
    condition = f"(({condition}) OR (parent_event_id != '' AND parent_event_id IN ({events})))"
    parameters = {
        "case": scope.case_id,
        "trace": scope.trace_id.lower(),
        "since": scope.since_ns or 0,
        "until": scope.until_ns or 0,
        "tenant": scope.tenant,
    }
    return (f"{condition} AND tenant = {{tenant:String}}" if scope.tenant else condition), parameters


def _read_contents(store: Store, rows: Iterable[RowTuple]) -> dict[bytes, ContentRow]:
    wanted = sorted({bytes.fromhex(ref) for row in rows for ref, _ in references(parse_envelope(row[4]))})
    found: dict[bytes, ContentRow] = {}
    for start in range(0, len(wanted), CHUNK):
        refs = ", ".join(f"toFixedString(unhex('{ref.hex()}'), 32)" for ref in wanted[start : start + CHUNK])
        sql = (
            "SELECT ref, toString(class), toString(media), size, data, toString(key_id) FROM content "
            f"WHERE ref IN ({refs}) ORDER BY {IS_COMMITTED_TO} DESC LIMIT 1 BY ref {SETTINGS}"
        )
        for ref, content_class, media, size, data, key_id in store.query(sql, binary=("data",)):
            found[ref] = ContentRow(ref, content_class, media, int(size), data, key_id)
    return found


def _content_files(contents: Mapping[bytes, ContentRow]) -> dict[str, bytes]:
    index = {
        ref.hex(): {"media": row.media, "class": row.content_class, "size": row.size}
        | ({"state": "encrypted"} if row.key_id else {})
        for ref, row in contents.items()
        if row.content_class != "withheld"
    }
    plain = [row for row in contents.values() if not row.key_id and row.content_class != "withheld"]
    return {"content.json": canonical_json(index), **{f"content/{row.ref.hex()}": row.data for row in plain}}


def _ends(
    checkpoints: Iterable[CheckpointRow], receipts: Sequence[ReceiptRow], trust: Trust, *, log_size: int
) -> dict[int, str]:
    """Return size and note of the checkpoints that proofs may lead to, best first.

    Only those that proofs would lead to are verified: a ledger of years has millions. Where no signature holds, any
    will do: whoever verifies the bundle says so.
    """
    rows: dict[int, list[CheckpointRow]] = {}
    for row in checkpoints:
        if row.size <= log_size:
            rows.setdefault(row.size, []).append(row)
    unsigned = {size: rows[size][0].note for size in proof_ends(rows, receipts)}
    while sizes := proof_ends(rows, receipts):
        signed = {size: next((row.note for row in rows[size] if is_signed(row, trust)), "") for size in sizes}
        if all(signed.values()):
            return signed
        rows = {size: found for size, found in rows.items() if signed.get(size, "unasked")}
    return unsigned


def _prove(
    store: Store, rows: Sequence[RowTuple], ends: Mapping[int, str]
) -> tuple[dict[Place, int], dict[str, bytes]]:
    """Return the size of the checkpoint that proves each row, and the proof files; `ends` are notes by size."""
    trees = _SegmentTrees(store, rows)
    tree = SparseTree(log_leaves(store, max(ends, default=0)), wanted=trees.indexes, sizes=ends)
    proofs: dict[str, bytes] = {}
    proved: dict[Place, int] = {}
    for row in rows:
        segment = trees.of(row[0], row[1])
        size = next((end for end in ends if segment is not None and segment.index < end), None)
        if segment is None or size is None:
            continue
        proved[row[0], row[1]] = size
        proofs[proof_name(row[0], row[1])] = segment.prove(row[1], log=tree, size=size, note=ends[size])
    return proved, proofs


def proof_ends(sizes: Collection[int], receipts: Iterable[ReceiptRow]) -> list[int]:
    """Return the checkpoints that proofs may lead to, best first: where most anchors vouch, and then the newest.

    An authority that was away for an hour has not seen the newest checkpoint; rows that it has vouched for keep that.
    """
    anchors: dict[int, set[tuple[str, str]]] = {}
    newest: dict[tuple[str, str], int] = {}
    for row in receipts:
        if row.size in sizes:
            anchors.setdefault(row.size, set()).add((row.kind, row.target))
            newest[row.kind, row.target] = max(row.size, newest.get((row.kind, row.target), 0))
    ends = {*newest.values(), max(sizes, default=0)} - {0}
    return sorted(ends, key=lambda size: (len(anchors.get(size, ())), size), reverse=True)


class _SegmentTrees:
    """Finds the sealed segment of a row, and reads its row hashes once."""

    def __init__(self, store: Store, rows: Iterable[RowTuple]) -> None:
        self._store = store
        self._segments: dict[bytes, list[tuple[Segment, int, bytes]]] = {}
        self._trees: dict[int, SegmentTree | None] = {}
        places: dict[str, list[int]] = {}
        for row in rows:
            places.setdefault(row[0].hex(), []).append(row[1])
        for index, text in segments_over(store, {chain: (min(seqs), max(seqs)) for chain, seqs in places.items()}):
            entry = text.encode()
            segment = _segment(entry)
            if segment is not None:
                self._segments.setdefault(segment.chain, []).append((segment, index, entry))

    @property
    def indexes(self) -> list[int]:
        """Return where the segments' entries are in the log."""
        return [index for segments in self._segments.values() for _, index, _ in segments]

    def of(self, chain: bytes, seq: int) -> SegmentTree | None:
        """Return the segment that seals a row; None when none does, or when its rows are not all there."""
        for segment, index, entry in self._segments.get(chain, ()):
            if segment.first <= seq <= segment.last:
                if index not in self._trees:
                    self._trees[index] = self._read(segment, index, entry)
                return self._trees[index]
        return None

    def _read(self, segment: Segment, index: int, entry: bytes) -> SegmentTree | None:
        sql = (
            "SELECT DISTINCT seq, row_hash FROM rows WHERE "
            f"chain_id = toFixedString(unhex('{segment.chain.hex()}'), 16)"
            f" AND seq BETWEEN {segment.first} AND {segment.last} ORDER BY seq {SETTINGS}"
        )
        stored = [(int(seq), link) for seq, link in self._store.query(sql)]
        length = segment.last - segment.first + 1
        if len({seq for seq, _ in stored}) != length:
            return None
        hashes = [link for _, link in stored] if len(stored) == length else self._linked(segment)
        return SegmentTree(segment, index=index, entry=entry, leaf_hashes=leaf_hashes(hashes)) if hashes else None

    def _linked(self, segment: Segment) -> Sequence[bytes]:
        """Return the row hashes of a segment along the links, back from its head: of two rows in one place, one.

        Empty where the links do not reach the segment's first row.
        """
        sql = (
            "SELECT DISTINCT seq, prev_hash, time_ns, env_hash, row_hash FROM rows WHERE "
            f"chain_id = toFixedString(unhex('{segment.chain.hex()}'), 16)"
            f" AND seq BETWEEN {segment.first} AND {segment.last} {SETTINGS}"
        )
        links = {
            (int(seq), link): prev_hash
            for seq, prev_hash, time_ns, env_hash, link in self._store.query(sql)
            if link
            == row_hash(
                chain_id=segment.chain, seq=int(seq), prev_hash=prev_hash, time_ns=int(time_ns), env_hash=env_hash
            )
        }
        hashes = [segment.head]
        for seq in range(segment.last, segment.first, -1):
            before = links.get((seq, hashes[-1]))
            if before is None:
                return ()
            hashes.append(before)
        return hashes[::-1]


def _segment(entry: bytes) -> Segment | None:
    try:
        parsed = parse_entry(entry)
        return as_segment(parsed) if parsed.type == "segment" else None
    except ProofError:
        return None


def _receipt(row: ReceiptRow) -> dict[str, Any]:
    return {"size": row.size, "kind": row.kind, "target": row.target, "receipt": b64encode(row.receipt).decode()}


def export_line(row: RowTuple) -> bytes:
    """Return a row as the JSON Lines export writes it (ledger.md section 8)."""
    chain, seq, prev_hash, time_ns, env, env_hash, link, _ = row
    document = {
        "chain": chain.hex(),
        "seq": seq,
        "prev_hash": prev_hash.hex(),
        "time_ns": str(time_ns),
        "env": env.decode("utf-8", "replace"),
        "env_hash": env_hash.hex(),
        "row_hash": link.hex(),
    }
    return orjson.dumps(document)
