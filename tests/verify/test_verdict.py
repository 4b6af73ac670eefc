"""A verdict: the worst finding decides, skipped checks decide nothing, and counts are whole where lists are cut."""

from __future__ import annotations

import pytest

from spanledger_exporter.verify import standalone
from spanledger_exporter.verify.verdict import CHECKS, MAX_FAILURES, Findings


@pytest.mark.parametrize(
    ("kinds", "word", "status"),
    [
        ((), "verified", 0),
        (("skipped",), "verified", 0),
        (("incomplete", "skipped"), "incomplete", 2),
        (("unverifiable", "incomplete"), "unknown", 3),
        (("tampered", "unverifiable", "incomplete"), "tampered", 1),
    ],
)
def test_the_worst_finding_decides(kinds: tuple[str, ...], word: str, status: int) -> None:
    """Tampering outweighs what cannot be judged, and that outweighs what is only unfinished."""
    findings = Findings()
    for kind in kinds:
        getattr(findings, kind)("integrity", "a reason")
    verdict = findings.verdict()
    assert (verdict.word, verdict.exit_status) == (word, status)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("tampered", "failed"), ("incomplete", "failed"), ("unverifiable", "unknown"), ("skipped", "unknown")],
)
def test_a_check_is_ok_failed_or_unknown(kind: str, status: str) -> None:
    """What was skipped is said as a note, and is no failure."""
    findings = Findings()
    getattr(findings, kind)("content", "a reason")
    document = findings.verdict().as_json()["checks"]["content"]
    assert document["status"] == status
    assert bool(document["failures"]) == (kind != "skipped")


def test_a_disaster_is_counted_whole_and_listed_in_part() -> None:
    """A swapped table must not print a line for each of a million rows."""
    findings = Findings()
    for seq in range(MAX_FAILURES + 5):
        findings.tampered("integrity", "a reason", chain=b"\1" * 16, seq=seq)
    document = findings.verdict().as_json()["checks"]["integrity"]
    assert (len(document["failures"]), document["counts"]["tampered"]) == (MAX_FAILURES, MAX_FAILURES + 5)


def test_a_place_is_a_chain_in_full_hex_and_a_number() -> None:
    """Scripts compare these with what they recorded."""
    findings = Findings()
    findings.tampered("time", "a reason", chain=bytes(range(16)), seq=7)
    (failure,) = findings.verdict().as_json()["checks"]["time"]["failures"]
    assert failure == {"chain": "000102030405060708090a0b0c0d0e0f", "seq": 7, "reason": "a reason"}


def test_the_single_file_speaks_the_same_language() -> None:
    """The same checks and the same exit statuses, written down twice because it shares no code."""
    assert standalone.CHECKS == CHECKS
    assert standalone.EXIT_STATUS == {"verified": 0, "tampered": 1, "incomplete": 2, "unknown": 3}
