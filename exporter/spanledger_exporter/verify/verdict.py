"""What a verification found (ledger.md section 7).

Rules
- Never one boolean: eight checks, each `ok`, `failed` or `unknown`, with counts and with the places that failed.
- A finding is one of four kinds, and the worst one decides the exit status:
      tampered      something recorded was changed, removed, added or contradicted           exit 1
      unverifiable  a version, an algorithm or a key that this verifier does not know        exit 3
      incomplete    intact so far, but not shipped, sealed or anchored yet                    exit 2
      skipped       the input has nothing to check here (an export has no typed columns)      no effect
- Unknown fails closed: `verified` needs at least one row and at least one checkpoint that an anchor holds.
- The residuals are part of the verdict, so that nobody can show the one without the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from spanledger_exporter.ledger.checkpoint import Checkpoint

Status = Literal["ok", "failed", "unknown"]
Kind = Literal["tampered", "unverifiable", "incomplete", "skipped"]
Check = Literal["integrity", "authenticity", "completeness", "anchoring", "time", "content", "columns", "coverage"]

CHECKS: tuple[Check, ...] = (
    "integrity",
    "authenticity",
    "completeness",
    "anchoring",
    "time",
    "content",
    "columns",
    "coverage",
)

EXIT_STATUS = {"verified": 0, "tampered": 1, "incomplete": 2, "unknown": 3}

MAX_FAILURES = 1000
"""Places listed per check; `counts` has all of them. A swapped table would otherwise print a line per row."""

MAX_REASON = 2_000
"""Characters: names and values in the store may be as long as somebody likes."""

RESIDUALS = (
    "rows younger than the last anchored checkpoint (10 s by default) can be changed by who writes to the store",
    "events that never reached the instrumentation are not in the ledger, and nothing here can show that",
    "an operator who controls the signing key and every anchor can write another history",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact that speaks against the ledger. `chain` is full hex, or None when the place is not in a chain."""

    kind: Kind
    reason: str
    chain: str | None = None
    seq: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that scripts rely on."""
        return {"chain": self.chain, "seq": self.seq, "reason": self.reason}


@dataclass(slots=True)
class CheckResult:
    """One of the eight answers, while it is being found and after."""

    counts: dict[str, int] = field(default_factory=dict[str, int])
    findings: list[Finding] = field(default_factory=list[Finding])
    kinds: set[Kind] = field(default_factory=set[Kind])
    notes: list[str] = field(default_factory=list[str])

    @property
    def status(self) -> Status:
        """Failed when something is wrong or missing, unknown when something could not be checked."""
        if self.kinds & {"tampered", "incomplete"}:
            return "failed"
        return "unknown" if self.kinds else "ok"

    def as_json(self) -> dict[str, Any]:
        """Return the shape that scripts rely on."""
        document: dict[str, Any] = {
            "status": self.status,
            "counts": dict(sorted(self.counts.items())),
            "failures": [finding.as_json() for finding in self.findings if finding.kind != "skipped"],
        }
        notes = [finding.reason for finding in self.findings if finding.kind == "skipped"] + self.notes
        return {**document, "notes": notes} if notes else document


class Findings:
    """Collects while the steps run; `verdict()` is what they amount to."""

    def __init__(self) -> None:
        self.checks: dict[Check, CheckResult] = {name: CheckResult() for name in CHECKS}
        self.newest: Checkpoint | None = None

    def tampered(self, check: Check, reason: str, *, chain: bytes | None = None, seq: int | None = None) -> None:
        """Report that something recorded was changed, removed, added or contradicted."""
        self._add(check, Finding("tampered", reason, chain.hex() if chain else None, seq))

    def incomplete(self, check: Check, reason: str, *, chain: bytes | None = None, seq: int | None = None) -> None:
        """Report what is intact as far as it goes, and does not go far enough yet."""
        self._add(check, Finding("incomplete", reason, chain.hex() if chain else None, seq))

    def unverifiable(self, check: Check, reason: str, *, chain: bytes | None = None, seq: int | None = None) -> None:
        """Report a version, an algorithm or a key that this verifier does not know."""
        self._add(check, Finding("unverifiable", reason, chain.hex() if chain else None, seq))

    def skipped(self, check: Check, reason: str) -> None:
        """Say that the input has nothing to check here, and without effect on the verdict."""
        self._add(check, Finding("skipped", reason))

    def note(self, check: Check, text: str) -> None:
        """Say how a check was made, where a reader could take it for more or for less. It has no effect."""
        self.checks[check].notes.append(_bounded(text))

    def skip_rest(self, reason: str) -> None:
        """Say of every check without a finding that it was not made: what nobody looked at is not `ok`."""
        for check, result in self.checks.items():
            if not result.kinds:
                self.skipped(check, reason)

    def count(self, check: Check, **counts: int) -> None:
        """Add to the counts of a check."""
        for name, number in counts.items():
            self.checks[check].counts[name] = self.checks[check].counts.get(name, 0) + number

    def chains_accused(self) -> set[bytes]:
        """Return the chains with a place that was tampered with."""
        found = (finding for result in self.checks.values() for finding in result.findings)
        return {bytes.fromhex(finding.chain) for finding in found if finding.kind == "tampered" and finding.chain}

    def _add(self, check: Check, finding: Finding) -> None:
        result = self.checks[check]
        result.kinds.add(finding.kind)
        result.counts[finding.kind] = result.counts.get(finding.kind, 0) + 1
        if len(result.findings) < MAX_FAILURES:
            result.findings.append(replace(finding, reason=_bounded(finding.reason)))

    def verdict(self) -> Verdict:
        """Return what the findings amount to."""
        return Verdict(checks=self.checks, newest=self.newest)


def _bounded(text: str) -> str:
    """Return a text of at most MAX_REASON characters, and how many there were: some of it is the store's own."""
    return text if len(text) <= MAX_REASON else f"{text[:MAX_REASON]}… ({len(text):,} characters)"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The eight answers and what they amount to."""

    checks: Mapping[Check, CheckResult]
    residuals: Sequence[str] = RESIDUALS
    newest: Checkpoint | None = None
    """The newest checkpoint that is signed and a prefix of the log."""

    @property
    def word(self) -> str:
        """`verified`, `tampered`, `incomplete` or `unknown`: the worst finding decides."""
        kinds = {kind for result in self.checks.values() for kind in result.kinds}
        if "tampered" in kinds:
            return "tampered"
        if "unverifiable" in kinds:
            return "unknown"
        return "incomplete" if "incomplete" in kinds else "verified"

    @property
    def exit_status(self) -> int:
        """0 verified, 1 tampered, 2 incomplete or not anchored, 3 cannot verify."""
        return EXIT_STATUS[self.word]

    def as_json(self) -> dict[str, Any]:
        """Return the document that `verify --json` prints."""
        newest = self.newest
        return {
            "verdict": self.word,
            "checks": {name: result.as_json() for name, result in self.checks.items()},
            "checkpoint": None
            if newest is None
            else {"origin": newest.origin, "size": newest.size, "root": newest.root.hex()},
            "residuals": list(self.residuals),
        }
