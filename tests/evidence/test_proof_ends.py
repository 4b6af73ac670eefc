"""Which checkpoint a proof leads to: the one that most anchors vouch for."""

from __future__ import annotations

from spanledger_exporter.evidence.collect import proof_ends
from spanledger_exporter.verify.source import ReceiptRow


def receipts(**sizes: tuple[int, ...]) -> list[ReceiptRow]:
    """Return receipts by anchor."""
    return [ReceiptRow(size, "witness", target, b"") for target, found in sizes.items() for size in found]


def test_proofs_lead_to_the_newest_checkpoint_when_every_anchor_has_it() -> None:
    """One checkpoint for the whole bundle."""
    assert proof_ends([4, 7, 20], receipts(directory=(4, 7, 20), tsa=(4, 20))) == [20]


def test_an_anchor_that_was_away_still_vouches_for_what_it_had_seen() -> None:
    """Rows under size 17 keep its stamp; younger ones have the directory alone."""
    assert proof_ends([4, 17, 20], receipts(directory=(4, 17, 20), tsa=(4, 17))) == [17, 20]


def test_a_former_anchor_does_not_take_the_place_of_the_present_ones() -> None:
    """It was given up at size 4, before the witness came."""
    assert proof_ends([4, 20], receipts(directory=(4, 20), former=(4,), witness=(20,))) == [20, 4]


def test_without_receipts_a_proof_leads_to_the_newest_checkpoint() -> None:
    """It proves what the key signed; receipts of checkpoints that are gone count for nothing."""
    assert proof_ends([4, 7], receipts(directory=(9,))) == [7]
    assert proof_ends([], []) == []
