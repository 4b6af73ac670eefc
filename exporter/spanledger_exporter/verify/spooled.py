"""The local spool against the store: what is recorded and not stored yet, and what disagrees.

Rules
- A row in the spool and not in the store is `incomplete`, not tampering: shipping is still to come. Where the shipper
  noted that the store has it, its absence is tampering.
- Rows that are not stored yet are hashed and linked like stored ones; they continue the stored chain.
- Where a chain is already suspect, every spooled row is compared with the stored one: a chain that was re-hashed as a
  whole shows no wrong hash anywhere, and the spool then tells which row was changed first.
- A content in the spool must hash to its reference; a row that waits must find its contents in spool or store.
- Housekeeping rows alone never make a verdict incomplete: reading the ledger adds some.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from spanledger_exporter.ledger.row import Row, env_hash, genesis_hash, row_hash
from spanledger_exporter.verify.chains import ChainFacts
from spanledger_exporter.verify.coverage import holds_events
from spanledger_exporter.verify.envelopes import parse_envelope, references
from spanledger_exporter.verify.source import LedgerSource
from spanledger_exporter.verify.verdict import Findings

PLACES_PER_QUERY = 500


@dataclass(frozen=True, slots=True)
class SpooledChain:
    """The rows of one chain that its spool still holds, in order, and up to which one the shipper says it is done.

    `contents` tells of every content in it whether its bytes hash to its reference. It and `damages` may be filled
    while `rows` is read.
    """

    chain: bytes
    rows: Iterable[Row]
    confirmed: int = -1
    contents: Mapping[bytes, bool] = field(default_factory=dict[bytes, bool])
    damages: Iterable[str] = ()


@dataclass(slots=True)
class SpoolView:
    """What the spool showed: row 0 of every chain in it."""

    first_hashes: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])


def review_spool(
    source: LedgerSource,
    spooled: Iterable[SpooledChain],
    chains: Mapping[bytes, ChainFacts],
    stored_contents: AbstractSet[bytes],
    findings: Findings,
) -> SpoolView:
    """Compare every chain in the spool with the stored one."""
    view = SpoolView()
    suspects = findings.chains_accused()
    for chain in spooled:
        hashes, waiting = _review_chain(chain, chains.get(chain.chain), view, findings)
        _review_contents(chain, waiting, stored_contents, findings)
        if chain.chain in suspects or chain.chain in findings.chains_accused():
            _find_changes(source, chain.chain, hashes, findings)
        for damage in chain.damages:
            findings.incomplete("coverage", f"the spool is damaged: {damage}", chain=chain.chain)
    return view


def _review_chain(
    spooled: SpooledChain, facts: ChainFacts | None, view: SpoolView, findings: Findings
) -> tuple[dict[int, bytes], list[Row]]:
    """Judge one chain; return the row hashes that its spool has, and the rows that wait for the shipper."""
    chain = spooled.chain
    last, head = (facts.last, facts.head) if facts else (-1, genesis_hash(chain))
    waiting: list[Row] = []
    hashes: dict[int, bytes] = {}
    for row in spooled.rows:
        hashes[row.seq] = row.row_hash
        if row.seq == 0:
            view.first_hashes[chain] = row.row_hash
        if row.seq < last or (row.seq == last and row.row_hash == head):
            continue
        if row.seq == last:
            findings.tampered("integrity", "the spool and the store disagree on this row", chain=chain, seq=row.seq)
            continue
        _review_row(row, last, head, findings)
        last, head = row.seq, row.row_hash
        waiting.append(row)
    _report_waiting(spooled, waiting, findings)
    return hashes, waiting


def _review_contents(
    spooled: SpooledChain, waiting: Iterable[Row], stored: AbstractSet[bytes], findings: Findings
) -> None:
    for ref, holds in spooled.contents.items():
        if not holds:
            reason = f"content {ref.hex()} in the spool does not hash to its reference"
            findings.tampered("content", reason, chain=spooled.chain)
    for row in waiting:
        for reference, content_class in references(parse_envelope(row.env)):
            ref = bytes.fromhex(reference)
            if content_class != "withheld" and ref not in spooled.contents and ref not in stored:
                reason = f"content {reference} is neither stored nor in the spool"
                findings.tampered("content", reason, chain=spooled.chain, seq=row.seq)


def _find_changes(source: LedgerSource, chain: bytes, hashes: Mapping[int, bytes], findings: Findings) -> None:
    """Name the first stored row that is not the spooled one."""
    seqs = sorted(hashes)
    for start in range(0, len(seqs), PLACES_PER_QUERY):
        places = [(chain, seq) for seq in seqs[start : start + PLACES_PER_QUERY]]
        stored = source.row_hashes(places)
        changed = [seq for _, seq in places if stored.get((chain, seq), hashes[seq]) != hashes[seq]]
        if changed:
            reason = "the stored row is not the one that its writer left in the spool"
            findings.tampered("integrity", reason, chain=chain, seq=changed[0])
            return


def _review_row(row: Row, last: int, head: bytes, findings: Findings) -> None:
    chain, seq = row.chain_id, row.seq
    link = row_hash(chain_id=chain, seq=seq, prev_hash=row.prev_hash, time_ns=row.time_ns, env_hash=row.env_hash)
    if env_hash(row.env) != row.env_hash or link != row.row_hash:
        findings.tampered("integrity", "the spooled row does not hash to row_hash", chain=chain, seq=seq)
    if seq != last + 1:
        reason = f"rows {last + 1} to {seq - 1} are neither stored nor in the spool"
        findings.tampered("completeness", reason, chain=chain, seq=last + 1)
    elif row.prev_hash != head:
        findings.tampered("integrity", "prev_hash of the spooled row is not its predecessor's", chain=chain, seq=seq)


def _report_waiting(spooled: SpooledChain, waiting: list[Row], findings: Findings) -> None:
    if not waiting:
        return
    findings.count("coverage", recorded_not_stored=len(waiting))
    first, last = waiting[0].seq, waiting[-1].seq
    if first <= spooled.confirmed:
        reason = f"rows {first} to {min(last, spooled.confirmed)} were stored, by the shipper's note, and are missing"
        findings.tampered("completeness", reason, chain=spooled.chain, seq=first)
    elif holds_events((row.env for row in waiting), is_event_chain=False):
        reason = f"rows {first} to {last} are recorded and not stored: run `spanledger ship`"
        findings.incomplete("coverage", reason, chain=spooled.chain, seq=first)
