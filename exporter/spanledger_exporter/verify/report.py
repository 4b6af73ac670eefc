"""A verdict for people: what holds, what does not and where, and what no verifier can show."""

from __future__ import annotations

from collections.abc import Iterator

from spanledger_exporter.verify.verdict import CheckResult, Verdict

SHOWN = 20
"""Places listed per check; `--json` has up to a thousand."""

MEANING = {
    "verified": "every row is intact, in its place, and under a signed and anchored checkpoint",
    "tampered": "something that was recorded has been changed, removed, added or contradicted",
    "incomplete": "nothing is wrong, and the proof does not reach everything yet",
    "unknown": "this verifier cannot judge the ledger",
}


def format_verdict(verdict: Verdict) -> str:
    """Return the verdict as text."""
    # No escapes from names in the store: a terminal would obey them.
    return "\n".join(line if line.isprintable() else repr(line) for line in _lines(verdict)) + "\n"


def _lines(verdict: Verdict) -> Iterator[str]:
    yield f"{verdict.word.upper()}: {MEANING[verdict.word]}"
    yield ""
    for name, result in verdict.checks.items():
        yield f"  {name:<13} {result.status:<8} {_counts(result)}".rstrip()
        for finding in result.findings[:SHOWN]:
            place = "" if finding.chain is None else f"chain {finding.chain} "
            place += "" if finding.seq is None else f"row {finding.seq}"
            yield f"      {place.strip()}{': ' if place else ''}{finding.reason}"
        yield from (f"      {note}" for note in result.notes)
        if len(result.findings) > SHOWN:
            yield f"      … and {len(result.findings) - SHOWN} more: see --json"
    yield ""
    yield "what this cannot show:"
    for residual in verdict.residuals:
        yield f"  - {residual}"


def _counts(result: CheckResult) -> str:
    hidden = {"tampered", "incomplete", "skipped", "unverifiable"}
    counts = {name: count for name, count in result.counts.items() if count and name not in hidden}
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in sorted(counts.items()))
