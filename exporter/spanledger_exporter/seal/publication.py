"""Step 7 of sealing: the newest checkpoint and new chains go to every anchor, and their receipts into the store.

Rules
- Each anchor is on its own: what one of them does or fails to do keeps no other from its share.
- An anchor is asked when the store has no receipt of it for this size, or when an archive turns out to hold less.
- Anybody who can write to the store can write a receipt there: one for a size that is still to come counts for nothing,
  one that proves itself is verified before it counts, and what an archive holds is asked of the archive.
- Chains are registered before the checkpoint is published, from the size of the last receipt on: so that an archive
  that holds a checkpoint also holds every chain under it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spanledger_exporter.anchors.anchor import (
    Anchor,
    AnchorConflictError,
    AnchorError,
    Archive,
    Notary,
    Submission,
    UncheckedReceiptError,
)
from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.checkpoint import claimed_checkpoint
from spanledger_exporter.seal.log_state import LogState, read_tree
from spanledger_exporter.store.connection import Store


@dataclass(frozen=True, slots=True)
class Publication:
    """What became of one anchor: `anchored`, `failed` (tried again at the next seal) or `conflict` (an alarm)."""

    kind: str
    target: str
    status: str
    detail: str = ""


def publish(store: Store, log: LogState, *, note: str, anchors: Sequence[Anchor]) -> list[Publication]:
    """Publish the newest checkpoint to every anchor and record the receipts."""
    submission = Submission(log.size, note, lambda old_size: read_tree(store, log.size).consistency_proof(old_size))
    return [_publish_to(store, log, submission, anchor) for anchor in anchors]


def _publish_to(store: Store, log: LogState, submission: Submission, anchor: Anchor) -> Publication:
    try:
        anchored_size = _last_receipt(store, anchor, submission)
        if isinstance(anchor, Archive):
            anchored_size = min(anchored_size, _archived_size(anchor))
            for index, opening in log.openings:
                if index >= anchored_size:
                    anchor.register_chain(opening)
        if anchored_size < submission.size:
            receipt = anchor.publish(submission)
            row = (submission.size, anchor.kind, anchor.target, receipt)
            token = f"anchor:{submission.size}:{anchor.kind}:{anchor.target}"
            store.insert("anchors", ["size", "kind", "target", "receipt"], [row], token=token)
    except AnchorConflictError as error:
        return Publication(anchor.kind, anchor.target, "conflict", str(error))
    except AnchorError as error:
        return Publication(anchor.kind, anchor.target, "failed", str(error))
    return Publication(anchor.kind, anchor.target, "anchored")


def _last_receipt(store: Store, anchor: Anchor, submission: Submission) -> int:
    found = store.query(
        "SELECT size, receipt FROM anchors WHERE kind = {kind:String} AND target = {target:String} "
        "AND size <= {size:UInt64} ORDER BY size DESC LIMIT 1 WITH TIES",
        {"kind": anchor.kind, "target": anchor.target, "size": submission.size},
        binary=["receipt"],
    )
    size = int(found[0][0]) if found else 0
    if size < submission.size or not isinstance(anchor, Notary):
        return size
    return size if any(_is_confirmed(anchor, submission.note, receipt) for _, receipt in found) else 0


def _is_confirmed(notary: Notary, note: str, receipt: bytes) -> bool:
    try:
        notary.confirm(note, receipt.decode("utf-8", "replace"))
    except UncheckedReceiptError:
        return True  # nobody said whom to believe: another one would be as good as this one
    except (AnchorError, ProofError):
        return False
    return True


def _archived_size(archive: Archive) -> int:
    note = archive.newest()
    try:
        return 0 if note is None else claimed_checkpoint(note).size
    except ProofError:
        return 0  # damaged since `load` read it: publishing will tell
