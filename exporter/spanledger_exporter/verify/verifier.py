"""The judgement of a whole ledger, in eleven steps.

 1  The checkpoints of the store: every signature by a pinned key, valid at that size.
 2  The checkpoints of the anchors, read from the anchors, by the same keys; receipts, and what witnesses remember.
 3  The log: indexes, leaf hashes, entries, segments that follow one another; its root at every size of interest.
 4  Every checkpoint, stored, anchored, quoted or remembered, is a prefix of that log.
 5  Anchors against the store: nothing anchored is missing, nothing promised is lost.
 6  The rows: hashes, links, gaps, genesis, equivocation, time; every segment's root over them.
 7  The envelopes: schema, row 0, tenant and typed columns against `env`.
 8  The contents: every blob hashed, every reference answered.
 9  The spool: what is recorded and not stored, what disagrees.
10  The registry, and what chains claim about each other and about the log.
11  Coverage: how far each chain stands under an anchored checkpoint.

Every step runs whatever the ones before found: one edit should not hide another. Nothing is written anywhere.
Steps report to `Findings` and never raise for a bad ledger; a source that cannot be read raises StoreError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime

from spanledger_exporter.anchors.anchor import Notary
from spanledger_exporter.ledger.log_entry import LogEntry
from spanledger_exporter.verify.anchored import compare_with_store, review_anchors, review_registry
from spanledger_exporter.verify.chains import ChainFacts, ChainWalk
from spanledger_exporter.verify.checkpoints import (
    KnownCheckpoint,
    compare_with_log,
    review_stored,
    signed_size,
    tell_unsigned,
)
from spanledger_exporter.verify.claims import review_claims
from spanledger_exporter.verify.column_hashes import column_hashes
from spanledger_exporter.verify.contents import review_contents
from spanledger_exporter.verify.coverage import find_breaks, review_coverage
from spanledger_exporter.verify.envelopes import EnvelopeReview
from spanledger_exporter.verify.log_review import LogView, review_log
from spanledger_exporter.verify.notaries import CLOCKS_AGREE, ask_witnesses, confirm_receipts, tell_unasked
from spanledger_exporter.verify.source import AnchoredState, LedgerSource
from spanledger_exporter.verify.spooled import SpooledChain, SpoolView, review_spool
from spanledger_exporter.verify.trust import Trust
from spanledger_exporter.verify.verdict import Findings, Verdict

Progress = Callable[[str, int], None]
Walk = Callable[[LogView, Findings], dict[bytes, ChainFacts]]
"""Step 6 done elsewhere: given the log and where to report, returns what it learnt of each chain."""

Review = Callable[[list[LogEntry], Findings], None]
"""A judgement that only one kind of source allows, such as that of the tables' definitions; given the log's acts."""


def _silent(_step: str, _rows: int) -> None:
    """Take progress and show none."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known besides the ledger: keys, anchors, the spool, and what an earlier verification remembered."""

    trust: Trust = field(default_factory=Trust)
    anchored: AnchoredState = field(default_factory=AnchoredState)
    spooled: Iterable[SpooledChain] = ()
    remembered: Sequence[KnownCheckpoint] = ()
    notaries: Sequence[Notary] = ()
    subject_keys: AbstractSet[str] = frozenset()
    is_local: bool = True
    """Every writer shares this machine's registry; with a server store other hosts keep their own until sealing."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    """The verifier's clock: a receipt from the future contradicts it."""

    has_log: bool = True
    """False for an export of rows: what rows say about the log cannot be held against it."""


def verify_ledger(
    source: LedgerSource,
    surroundings: Surroundings,
    findings: Findings | None = None,
    *,
    progress: Progress = _silent,
    walk: Walk | None = None,
    review: Review | None = None,
) -> Verdict:
    """Judge a ledger. `findings` may hold what was found before; `progress` is told the step and the rows done.

    `walk` takes the place of step 6, `review` is run after step 4.
    """
    return _Verification(source, surroundings, findings or Findings(), progress, walk, review).run()


class _Verification:
    def __init__(  # noqa: PLR0917 - private, called once
        self,
        source: LedgerSource,
        surroundings: Surroundings,
        findings: Findings,
        progress: Progress,
        walk: Walk | None,
        review: Review | None,
    ) -> None:
        self.source = source
        self.known = surroundings
        self.findings = findings
        self.progress = progress
        self.walk = walk
        self.review = review

    def run(self) -> Verdict:
        findings, known = self.findings, self.known
        self.progress("checkpoints", 0)
        rows = self.source.checkpoints()
        stored = review_stored(rows, known.trust, findings)  # step 1
        anchored = review_anchors(known.anchored, known.trust, findings)  # step 2
        view = self._review_log()  # step 3
        findings.newest = compare_with_log(stored, view, findings)  # step 4
        tell_unsigned(view, self.source.checkpoints, known.trust, findings)
        if self.review is not None:
            self.review(view.acts_below(signed_size(findings.newest, known.trust)), findings)
        compare_with_log(known.remembered, view, findings)
        receipts = self.source.receipts()
        confirmed = confirm_receipts(known.notaries, receipts, stored, findings, now=known.now)
        tell_unasked(known.anchored.named, receipts, findings)
        ask_witnesses(known.notaries, self.source.checkpoints, receipts, known.trust, findings)
        newest_anchored = compare_with_log((*anchored, *confirmed), view, findings)
        anchored_size = newest_anchored.size if newest_anchored else 0
        self._compare_forks(stored, anchored)
        compare_with_store(  # step 5
            anchored,
            stored_sizes={row.size for row in rows},
            held=known.anchored.held,
            receipts=receipts,
            findings=findings,
        )
        sizes = {row.size for row in rows} | {found.checkpoint.size for found in anchored}
        is_log_whole = max(sizes, default=0) <= view.size
        chains = self._walk(view)  # step 6
        self._tell_future(chains)
        breaks = find_breaks(self.findings)
        envelopes = self._review_envelopes()  # step 7
        self.progress("contents", 0)
        contents = review_contents(self.source.contents(), envelopes, known.subject_keys, findings)  # step 8
        spool = review_spool(self.source, known.spooled, chains, contents, findings)  # step 9
        self._review_registry(chains, spool, view)  # step 10
        review_claims(self.source, chains, spool.first_hashes, view if known.has_log else None, findings)
        self.progress("coverage", 0)
        if known.has_log:
            review_coverage(  # step 11
                self.source,
                chains,
                view,
                findings,
                anchored_size=anchored_size,
                breaks=breaks,
                is_sure=not findings.checks["anchoring"].kinds - {"skipped"},
                is_log_whole=is_log_whole,
            )
        self._judge_whole(chains, anchored_size, has_checkpoints=bool(sizes), is_log_whole=is_log_whole)
        if chains and not rows:
            once = bool(known.anchored.notes or receipts)
            findings.skipped("authenticity", f"no signed checkpoint {'is left in the store' if once else 'exists yet'}")
        return findings.verdict()

    def _review_log(self) -> LogView:
        # Chains quote the newest checkpoint they knew, and that may be of any size: so every root is kept.
        return review_log(self.source.log(), self.findings)

    def _compare_forks(self, stored: Sequence[KnownCheckpoint], anchored: Sequence[KnownCheckpoint]) -> None:
        roots = {known.checkpoint.size: known for known in stored}
        for known in anchored:
            other = roots.get(known.checkpoint.size)
            if other is not None and other.checkpoint.root != known.checkpoint.root:
                reason = f"{known.place} and {other.place} have different roots: the log was forked"
                self.findings.tampered("integrity", reason)

    def _walk(self, view: LogView) -> dict[bytes, ChainFacts]:
        if self.walk is not None:
            return self.walk(view, self.findings)
        walk = ChainWalk(self.findings, view.segments, column_hashes(self.source.row_count()))
        done = 0
        for batch in self.source.rows():
            walk.feed(batch)
            done += len(batch)
            self.progress("rows", done)
        walk.finish()
        return walk.chains

    def _tell_future(self, chains: dict[bytes, ChainFacts]) -> None:
        """Say that rows claim times still to come: whose clock was wrong cannot be told from here."""
        limit_ns = int((self.known.now + CLOCKS_AGREE).timestamp() * 1e9)
        ahead = [facts for facts in chains.values() if facts.last_time > limit_ns]
        if ahead:
            newest = max(ahead, key=lambda facts: facts.last_time)
            self.findings.note(
                "time",
                f"rows of {len(ahead)} of {len(chains)} chains claim times that are still to come by this machine's "
                f"clock, as chain {newest.chain.hex()} row {newest.last} does: its writer's clock was ahead, or "
                "this one is behind",
            )

    def _review_envelopes(self) -> EnvelopeReview:
        review = EnvelopeReview(self.findings)
        self.progress("envelopes", 0)
        review.feed(self.source.envelopes())
        return review

    def _review_registry(self, chains: dict[bytes, ChainFacts], spool: SpoolView, view: LogView) -> None:
        must = {chain for chain in chains if self.known.is_local or chain in view.segments}
        review_registry(
            self.known.anchored,
            chains,
            in_spool=spool.first_hashes,
            must_be_registered=must,
            findings=self.findings,
        )

    def _judge_whole(
        self, chains: dict[bytes, ChainFacts], anchored_size: int, *, has_checkpoints: bool, is_log_whole: bool
    ) -> None:
        if not chains:
            self.findings.unverifiable("completeness", "the store has no rows: nothing can be proved from it")
            self.findings.skip_rest("there are no rows to check")
        elif not anchored_size:
            reason = self._why_not_anchored(has_checkpoints=has_checkpoints, is_log_whole=is_log_whole)
            self.findings.incomplete("anchoring", reason)

    def _why_not_anchored(self, *, has_checkpoints: bool, is_log_whole: bool) -> str:
        if not self.known.has_log:
            return "rows alone: nothing in this file is signed or anchored"
        if has_checkpoints and not self.known.trust.log_keys:
            return "no checkpoint is anchored as far as can be told without a key to believe"
        if not is_log_whole:
            return "no checkpoint is over the log that is left (see completeness), so no row counts as anchored"
        if self.findings.checks["anchoring"].kinds - {"skipped"}:
            return "no checkpoint is anchored as far as could be asked and checked"
        return "no checkpoint is anchored: run `spanledger seal`"
