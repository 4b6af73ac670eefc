"""Anchors that cannot be read, or that report somebody's hands on them: never `verified`, never a traceback."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from attacks.attacked_store import command, make_base
from sealed_ledgers import SealedLedger
from spanledger_exporter.anchors.anchor import Anchor, AnchorConflictError, AnchorError, Submission
from spanledger_exporter.anchors.directory import DirectoryAnchor
from spanledger_exporter.config import load_settings
from spanledger_exporter.keys.key_ring import open_key_ring
from spanledger_exporter.ledger.chain_registry import ChainOpening
from spanledger_exporter.verify.anchored import read_anchors
from spanledger_exporter.verify.local import sealed_elsewhere
from spanledger_exporter.verify.source import AnchoredState
from spanledger_exporter.verify.verdict import Verdict


class Bucket:
    """An archive elsewhere that answers every question with an error."""

    kind = "s3"
    target = "s3://ledger/audit"

    def __init__(self, error: AnchorError) -> None:
        self._error = error

    def publish(self, submission: Submission) -> str:
        raise self._error

    def newest(self) -> str | None:
        raise self._error

    def register_chain(self, opening: ChainOpening) -> None:
        raise self._error

    def chains(self) -> Mapping[bytes, ChainOpening | None]:
        raise self._error


def judged_with(anchor: Anchor) -> Verdict:
    """Judge a good ledger whose directory anchor agrees, with a second anchor."""
    ledger = SealedLedger.tell()
    good = AnchoredState(
        ledger.anchored, ledger.registry, {"anchors": frozenset(map(int, ledger.anchored))}, has_registry=True
    )
    told = read_anchors([anchor])
    return ledger.verdict(anchored=replace(good, conflicts=told.conflicts, unreachable=told.unreachable))


def test_a_bucket_out_of_reach_leaves_the_verdict_incomplete() -> None:
    """It may be the one that remembers another history; the directory's word alone is not `verified`."""
    verdict = judged_with(Bucket(AnchorError("expected s3://ledger/audit to list its checkpoints, got a timeout")))
    assert (verdict.word, verdict.exit_status) == ("incomplete", 2)
    assert "could not be asked" in verdict.checks["anchoring"].findings[0].reason


def test_a_bucket_with_a_delete_marker_is_tampered_with() -> None:
    """Somebody tried to remove a checkpoint: evidence, not an outage."""
    verdict = judged_with(Bucket(AnchorConflictError("expected no delete marker, got one on checkpoints/7")))
    assert (verdict.word, verdict.exit_status) == ("tampered", 1)
    assert "delete marker" in verdict.checks["anchoring"].findings[0].reason


def test_where_another_machine_seals_the_default_directory_is_an_anchor_that_cannot_be_asked(tmp_path: Path) -> None:
    """An application's host has a registry of its own chains and no checkpoint: that is not somebody's hand on it."""
    ledger = SealedLedger.tell(chains=2)
    mine = ledger.rows_[0]
    anchor = DirectoryAnchor(tmp_path / "anchors", target="anchors")
    anchor.register_chain(ChainOpening(mine[0], mine[6], mine[3]))
    elsewhere = read_anchors([anchor], sealed_elsewhere=tmp_path / "anchors")
    verdict = ledger.verdict(anchored=elsewhere, is_local=False)
    assert (verdict.word, verdict.checks["anchoring"].status) == ("incomplete", "failed")
    assert "nothing was ever sealed on this machine" in verdict.checks["anchoring"].findings[0].reason
    told = " ".join(finding.reason for result in verdict.checks.values() for finding in result.findings)
    assert "run `spanledger seal`" not in told
    ledger.rows_ = [row for row in ledger.rows_ if row[0] != mine[0]]
    assert ledger.verdict(anchored=elsewhere, is_local=False).word == "tampered"


def test_the_keys_tell_whether_this_machine_seals_a_servers_ledger(tmp_path: Path) -> None:
    """An embedded store has one machine; a server's ledger is sealed where the trust root lies."""
    server = load_settings({"SPANLEDGER_DIR": str(tmp_path), "SPANLEDGER_STORE": "clickhouse://db/spanledger"})
    assert sealed_elsewhere(server) == tmp_path / "anchors"
    assert sealed_elsewhere(load_settings({"SPANLEDGER_DIR": str(tmp_path)})) is None
    open_key_ring(server)
    assert sealed_elsewhere(server) is None


@pytest.mark.parametrize("name", ["", "checkpoints", "chains"])
def test_a_file_where_an_anchor_directory_should_be_is_said_and_no_traceback(name: str, tmp_path: Path) -> None:
    """A wrong path in SPANLEDGER_ANCHORS."""
    place = tmp_path / "anchor" / name if name else tmp_path / "anchor"
    place.parent.mkdir(exist_ok=True)
    place.write_text("not a directory")
    anchor = DirectoryAnchor(tmp_path / "anchor")
    verdict = judged_with(anchor)
    assert verdict.word == "incomplete"
    assert "Not a directory" in verdict.checks["anchoring"].findings[0].reason
    with pytest.raises(AnchorError, match="expected to write"):
        _fill(anchor)


def _fill(anchor: DirectoryAnchor) -> None:
    anchor.register_chain(ChainOpening(bytes(16), bytes(32), 0))
    anchor.publish(Submission(1, "log\n1\nroot\n\n— log c2ln\n", lambda _: ()))


def test_commands_go_on_with_such_an_anchor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify, monitor and seal each say it with their own status."""
    base = make_base(tmp_path / "base")
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("SPANLEDGER_ANCHORS", f"directory,directory:{tmp_path / 'file'}")
    memory = str(tmp_path / "memory.json")
    assert command(base, "verify")[0] == 2
    assert command(base, "monitor", "--once", "--memory", memory)[0] == 2
    assert command(base, "seal")[0] == 2


def test_an_older_checkpoint_in_a_newer_ones_place_is_no_anchor_of_ours(tmp_path: Path) -> None:
    """Each note is signed, and the directory still holds as many files: only the names give it away."""
    first, second = (row.note.encode() for row in SealedLedger.tell().checkpoints_)
    anchor = DirectoryAnchor(tmp_path)
    for size, note in ((1, first), (2, second)):
        anchor.publish(Submission(size, note.decode(), lambda _: ()))
    assert read_anchors([anchor]).broken == []
    (tmp_path / "checkpoints" / f"{2:020}").write_bytes(first)
    (broken,) = read_anchors([anchor]).broken
    assert broken.endswith(f"{2:020} holds a checkpoint of size 1")


@pytest.mark.parametrize("noise", [b"", b"noise", b"\xff\xfe", b"[" * 100_000, b"\0" * 2_000_000])
def test_noise_in_an_anchor_is_named_and_not_read_without_end(noise: bytes, tmp_path: Path) -> None:
    """A file that no anchor writes is evidence, whatever its bytes are."""
    for place in ("checkpoints", "chains"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "7").write_bytes(noise)
    assert len(read_anchors([DirectoryAnchor(tmp_path)]).broken) == 2


@pytest.mark.parametrize(
    "other", [b'{"chain":"%s","row_hash":"%s","time_ns":"2"}', b'{"chain":"%s","row_hash":"%s","time_ns":1}']
)
def test_a_registry_entry_that_was_edited_is_named(other: bytes, tmp_path: Path) -> None:
    """Against the other registries and the row itself where it parses, against its own form where it does not."""
    opening = ChainOpening(b"\1" * 16, b"\2" * 32, 1)
    anchors = [DirectoryAnchor(tmp_path / name) for name in ("first", "second")]
    for anchor in anchors:
        anchor.register_chain(opening)
    assert read_anchors(anchors).conflicts == []
    path = tmp_path / "first" / "chains" / f"{opening.chain.hex()}.json"
    path.write_bytes(other % (opening.chain.hex().encode(), opening.row_hash.hex().encode()))
    state = read_anchors(anchors)
    assert len([*state.conflicts, *state.broken]) == 1


def test_a_registered_time_that_is_not_row_0s_is_tampering() -> None:
    """The registry says when a chain began; the row's hash proves it."""
    ledger = SealedLedger.tell()
    chain = ledger.rows_[0][0]
    state = AnchoredState(ledger.anchored, ledger.registry, has_registry=True)
    assert ledger.verdict(anchored=state).word == "verified"
    ledger.registry[chain] = replace(ledger.registry[chain], time_ns=1)
    assert ledger.verdict(anchored=state).word == "tampered"
