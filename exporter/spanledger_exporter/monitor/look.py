"""One look at a ledger: whether it is still the one that was seen last time, and whether all is on time.

 1  Checkpoints, log and anchors, as `verify` judges them (steps 1 to 5 there), the remembered checkpoint included.
 2  The newest receipt of every timestamp authority and witness, verified again; and what witnesses remember.
 3  Table definitions, mutations and patch parts.
 4  Lateness: rows without a seal, and anchors without the newest checkpoint, for longer than `max_age_s`.

With `is_full`, everything that `verify` does takes the place of 1 and 3.

Rules
- Anchors are read before the store: what the sealer publishes meanwhile then looks new, not missing.
- Nothing is written. The findings have the shape of a verdict, so that scripts read both alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from spanledger_exporter.anchors.anchor import Anchor, Notary
from spanledger_exporter.config import Settings
from spanledger_exporter.store.connection import Store
from spanledger_exporter.verify.anchored import compare_with_store, read_anchors, review_anchors
from spanledger_exporter.verify.checkpoints import (
    KnownCheckpoint,
    compare_with_log,
    review_stored,
    signed_size,
    tell_unsigned,
)
from spanledger_exporter.verify.local import read_spool, sealed_elsewhere
from spanledger_exporter.verify.log_review import LogView, review_log
from spanledger_exporter.verify.notaries import ask_witnesses, confirm_receipts
from spanledger_exporter.verify.source import AnchoredState
from spanledger_exporter.verify.store_source import StoreSource, existing_tables
from spanledger_exporter.verify.table_review import review_tables
from spanledger_exporter.verify.trust import Trust
from spanledger_exporter.verify.verdict import Finding, Findings, Verdict
from spanledger_exporter.verify.verifier import Surroundings, verify_ledger

MAX_AGE_S = 900.0
CHAINS_PER_QUERY = 200
NEEDED_TABLES = frozenset({"rows", "log", "checkpoints", "anchors"})


@dataclass(slots=True)
class Measures:
    """Figures of one look; ages in seconds, None where there is nothing to measure."""

    log_size: int = 0
    unsealed_rows: int = 0
    unsealed_age_s: float | None = None
    checkpoint_age_s: float | None = None
    anchor_age_s: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found."""

    verdict: Verdict
    measures: Measures
    is_full: bool = False
    """Whether the rows were read, as `verify` does."""

    @property
    def complaints(self) -> list[tuple[str, Finding]]:
        """What the verdict complains of, each with its check; empty when it is `verified`."""
        checks = self.verdict.checks.items()
        return [(check, found) for check, result in checks for found in result.findings if found.kind != "skipped"]


def look(
    store: Store,
    *,
    settings: Settings,
    trust: Trust,
    anchors: Sequence[Anchor],
    remembered: Sequence[KnownCheckpoint] = (),
    is_full: bool = False,
    max_age_s: float = MAX_AGE_S,
    clock_s: Callable[[], float] = time.time,
) -> Look:
    """Look at the ledger once. Raises StoreError when it cannot be read."""
    anchored = read_anchors(anchors, sealed_elsewhere=sealed_elsewhere(settings))
    findings, measures = Findings(), Measures()
    if missing := NEEDED_TABLES - existing_tables(store):
        findings.unverifiable("completeness", f"the ledger lacks tables: {', '.join(sorted(missing))}")
        return Look(findings.verdict(), measures)
    source = StoreSource(store)
    notaries = [anchor for anchor in anchors if isinstance(anchor, Notary)]
    if is_full:
        verify_ledger(
            source,
            Surroundings(
                trust=trust,
                anchored=anchored,
                notaries=notaries,
                spooled=read_spool(settings),
                remembered=remembered,
                is_local=settings.is_embedded,
            ),
            findings,
            review=lambda acts, found: review_tables(store, source.tables, acts, found),
        )
        view = review_log(source.log(), Findings())
    else:
        view = _review(store, source, trust, anchored, notaries, remembered, findings, now_s=clock_s())
    _measure(store, view, measures, now_s=clock_s())
    _review_lateness(store, anchors, measures, findings, max_age_s=max_age_s)
    return Look(findings.verdict(), measures, is_full=is_full)


def _review(  # noqa: PLR0917 - private, called once
    store: Store,
    source: StoreSource,
    trust: Trust,
    anchored: AnchoredState,
    notaries: Sequence[Notary],
    remembered: Sequence[KnownCheckpoint],
    findings: Findings,
    *,
    now_s: float,
) -> LogView:
    rows, receipts = source.checkpoints(), source.receipts()
    stored = review_stored(rows, trust, findings)
    held = review_anchors(anchored, trust, findings)
    view = review_log(source.log(), findings)
    findings.newest = compare_with_log(stored, view, findings)
    tell_unsigned(view, source.checkpoints, trust, findings)
    compare_with_log(remembered, view, findings)
    compare_with_log(held, view, findings)
    compare_with_store(
        held,
        stored_sizes={row.size for row in rows},
        held=anchored.held,
        receipts=receipts,
        findings=findings,
    )
    newest = {(row.kind, row.target): row for row in sorted(receipts, key=lambda row: row.size)}
    now = datetime.fromtimestamp(now_s, UTC)
    confirm_receipts(notaries, list(newest.values()), stored, findings, now=now)
    ask_witnesses(notaries, source.checkpoints, receipts, trust, findings)
    review_tables(store, source.tables, view.acts_below(signed_size(findings.newest, trust)), findings)
    return view


def _measure(store: Store, view: LogView, measures: Measures, *, now_s: float) -> None:
    # Counted here: in the engine the number behind the last one that there is would be 0.
    newest_rows = store.query("SELECT chain_id, max(seq) FROM rows GROUP BY chain_id")
    stored = {chain: int(last) + 1 for chain, last in newest_rows}
    sealed = {chain: view.covered_through(chain, view.size) + 1 for chain in stored}
    measures.log_size = view.size
    measures.unsealed_rows = sum(max(count - sealed[chain], 0) for chain, count in stored.items())
    measures.unsealed_age_s = _unsealed_age_s(
        store, {chain: sealed[chain] for chain, count in stored.items() if count > sealed[chain]}, now_s=now_s
    )
    newest = store.query("SELECT max(created_at), count() FROM checkpoints")
    if newest[0][1]:
        measures.checkpoint_age_s = _age_s(newest[0][0], now_s)
    for kind, target, at in store.query("SELECT kind, target, max(created_at) FROM anchors GROUP BY kind, target"):
        measures.anchor_age_s[kind, target] = _age_s(at, now_s)


def _unsealed_age_s(store: Store, firsts: Mapping[bytes, int], *, now_s: float) -> float | None:
    """Return how long the oldest unsealed row has been stored. `firsts` has the first such row of each chain."""
    chains = sorted(firsts)
    ages: list[float] = []
    for start in range(0, len(chains), CHAINS_PER_QUERY):
        page = chains[start : start + CHAINS_PER_QUERY]
        places = " OR ".join(f"(chain_id = unhex('{chain.hex()}') AND seq >= {firsts[chain]})" for chain in page)
        (found,) = store.query(f"SELECT min(stored_at), count() FROM rows WHERE {places}")
        ages += [_age_s(found[0], now_s)] if found[1] else []
    return max(ages, default=None)


def _age_s(moment: datetime, now_s: float) -> float:
    return max(now_s - moment.timestamp(), 0.0)


def _review_lateness(
    store: Store, anchors: Sequence[Anchor], measures: Measures, findings: Findings, *, max_age_s: float
) -> None:
    age_s = measures.checkpoint_age_s
    waits_s = measures.unsealed_age_s
    if measures.unsealed_rows and (age_s is None or age_s > max_age_s):
        since = "ever" if age_s is None else f"{age_s:.0f} s"
        findings.incomplete(
            "coverage", f"{measures.unsealed_rows} rows are not sealed, no checkpoint for {since}: does a sealer run?"
        )
    elif waits_s is not None and waits_s > max_age_s:  # others are sealed meanwhile: the sealer refuses these
        findings.incomplete(
            "coverage",
            f"{measures.unsealed_rows} rows are not sealed, the oldest stored {waits_s:.0f} s ago, though a sealer "
            "runs: `spanledger seal` says what it refuses, and `spanledger verify` why",
        )
    receipts: Mapping[tuple[str, str], int] = {
        (kind, target): size
        for kind, target, size in store.query("SELECT kind, target, max(size) FROM anchors GROUP BY kind, target")
    }
    newest = int(store.query("SELECT max(size) FROM checkpoints")[0][0])
    for anchor in anchors:
        size = receipts.get((anchor.kind, anchor.target), 0)
        if size < newest and age_s is not None and age_s > max_age_s:
            reason = (
                f"anchor {anchor.kind} {anchor.target} has size {size} of {newest}, for {age_s:.0f} s: see `anchor`"
            )
            findings.incomplete("anchoring", reason)
