"""How far the proof reaches: which rows stand under an anchored checkpoint, and which do not yet.

Rules
- A row counts as anchored when its segment stands in the log below a checkpoint that an anchor holds.
- Rows behind that are `incomplete`: intact as far as their own chain shows, and still open to whoever can write to
  spool and store. Housekeeping rows never count, so that reading and sealing do not spoil the next verdict;
  `chain.*` rows count only in a chain that holds events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from spanledger_exporter.ledger.log_entry import EVENTS
from spanledger_exporter.verify.chains import ChainFacts
from spanledger_exporter.verify.envelopes import parse_envelope
from spanledger_exporter.verify.log_review import LogView
from spanledger_exporter.verify.source import LedgerSource
from spanledger_exporter.verify.verdict import Findings
from spanledger_semconv.events import HOUSEKEEPING


def holds_events(envs: Iterable[bytes], *, is_event_chain: bool) -> bool:
    """Tell whether one of these envelopes is more than housekeeping."""
    for env in envs:
        envelope = parse_envelope(env) or {}
        event_type = str(envelope.get("event_type"))
        if event_type not in HOUSEKEEPING or (is_event_chain and event_type.startswith("chain.")):
            return True
    return False


def review_coverage(
    source: LedgerSource, chains: Mapping[bytes, ChainFacts], view: LogView, anchored_size: int, findings: Findings
) -> None:
    """Count the rows by how far they got, and name the first one of each chain that is not anchored."""
    for chain, facts in chains.items():
        anchored = min(view.covered_through(chain, anchored_size), facts.last)
        sealed = min(view.covered_through(chain, view.size), facts.last)
        findings.count("coverage", stored=facts.last + 1, sealed=sealed + 1, anchored=anchored + 1)
        if facts.last <= anchored:
            continue
        has_events = any(s.segment_class == EVENTS for s in view.segments.get(chain, ()))
        tail = (env for _, env in source.tail(chain, anchored))
        if holds_events(tail, is_event_chain=has_events):
            what = "sealed and not anchored" if sealed > anchored else "stored and not sealed: run `spanledger seal`"
            reason = f"rows {anchored + 1} to {facts.last} are {what}"
            findings.incomplete("coverage", reason, chain=chain, seq=anchored + 1)
