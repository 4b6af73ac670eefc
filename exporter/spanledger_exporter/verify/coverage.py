"""How far the proof reaches: which rows stand under an anchored checkpoint, and which do not yet.

Rules
- A row counts as anchored when its segment stands in the log below a checkpoint that an anchor holds.
- Rows behind that are `incomplete`: intact as far as their own chain shows, and still open to whoever can write to
  spool and store. Housekeeping rows never count, so that reading and sealing do not spoil the next verdict;
  `chain.*` rows count only in a chain that holds events.
- A sealer proves a chain up to its first bad or missing row and seals nothing behind it. Those rows are told apart,
  with what can be done about them: `spanledger seal` cannot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from spanledger_exporter.ledger.log_entry import EVENTS
from spanledger_exporter.verify.chains import ChainFacts
from spanledger_exporter.verify.envelopes import parse_envelope
from spanledger_exporter.verify.log_review import LogView
from spanledger_exporter.verify.source import LedgerSource
from spanledger_exporter.verify.verdict import Check, Findings
from spanledger_semconv.events import HOUSEKEEPING

BREAKING: tuple[Check, ...] = ("integrity", "completeness", "time")
"""Checks whose findings on a row stop a sealer there; it looks neither at contents nor at typed columns."""

NEVER = 1 << 64
"""Beyond the last row that a chain can have."""


def holds_events(envs: Iterable[bytes], *, is_event_chain: bool) -> bool:
    """Tell whether one of these envelopes is more than housekeeping."""
    for env in envs:
        envelope = parse_envelope(env) or {}
        event_type = str(envelope.get("event_type"))
        if event_type not in HOUSEKEEPING or (is_event_chain and event_type.startswith("chain.")):
            return True
    return False


def review_coverage(
    source: LedgerSource,
    chains: Mapping[bytes, ChainFacts],
    view: LogView,
    findings: Findings,
    *,
    anchored_size: int,
    breaks: Mapping[bytes, Sequence[int]],
    is_sure: bool = True,
    is_log_whole: bool = True,
) -> None:
    """Count the rows by how far they got, and name the first one of each chain that is not anchored.

    `is_sure` is False when an anchor could not be asked, or did not convince: then sealing may not be what is missing.
    `is_log_whole` is False when a checkpoint covers more than is left of the log: then these rows may have been sealed.
    """
    for chain, facts in chains.items():
        anchored = min(view.covered_through(chain, anchored_size), facts.last)
        sealed = min(view.covered_through(chain, view.size), facts.last)
        findings.count("coverage", stored=facts.last + 1, sealed=sealed + 1, anchored=anchored + 1)
        if facts.last <= anchored:
            continue
        has_events = any(s.segment_class == EVENTS for s in view.segments.get(chain, ()))
        tail = (env for _, env in source.tail(chain, anchored))
        if holds_events(tail, is_event_chain=has_events):
            broken_at = min((seq for seq in breaks.get(chain, ()) if seq > sealed), default=NEVER)
            stretches = _stretches(anchored, sealed, facts.last, broken_at, is_sure=is_sure, is_log_whole=is_log_whole)
            for first, last, what in stretches:
                places = f"row {first} is" if first == last else f"rows {first} to {last} are"
                findings.incomplete("coverage", f"{places} {what}", chain=chain, seq=first)


def _stretches(
    anchored: int, sealed: int, last: int, broken_at: int, *, is_sure: bool, is_log_whole: bool
) -> Iterator[tuple[int, int, str]]:
    """Yield first row, last row and state of what is not anchored, in order."""
    if sealed > anchored:
        remedy = "run `spanledger seal`" if is_sure else "as far as could be asked and checked (see anchoring)"
        yield anchored + 1, sealed, f"sealed and not anchored{':' if is_sure else ','} {remedy}"
    provable = min(last, broken_at - 1)
    if provable > sealed:
        remedy = "stored and not sealed: run `spanledger seal`"
        yield sealed + 1, provable, remedy if is_log_whole else "stored, and sealed by nothing that is left of the log"
    if last > provable:
        remedy = (
            f"stored and cannot be sealed, because row {broken_at} is missing or does not hold (see above); bring it "
            "back from a backup of the spool or the store, ship and seal. Where there is none, a `loss` row and the "
            "directory `quarantine` say what the disk lost: keep both. A place that two rows claim cannot be mended: a "
            "machine that ran on from an older copy of itself does that, or a forger. Other chains are not affected"
        )
        yield provable + 1, last, remedy


def find_breaks(findings: Findings) -> dict[bytes, list[int]]:
    """Return the rows of each chain that a sealer would stop at, as far as they have been found and listed."""
    breaks: dict[bytes, list[int]] = {}
    for check in BREAKING:
        for found in findings.checks[check].findings:
            if found.kind == "tampered" and found.chain is not None and found.seq is not None:
                breaks.setdefault(bytes.fromhex(found.chain), []).append(found.seq)
    return breaks
