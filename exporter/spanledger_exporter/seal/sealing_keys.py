"""The keys to seal with: found, or made at the first need, but never made anew over a log that already has some.

A key directory that is gone while checkpoints are there was lost or taken. New keys would start a second log under
another name in the same store, and stand in the way of the old ones when their backup comes back.
"""

from __future__ import annotations

from collections.abc import Sequence

from spanledger_exporter.anchors.anchor import Anchor, AnchorError, Archive
from spanledger_exporter.config import Settings
from spanledger_exporter.keys.key_ring import KeyRing, open_key_ring
from spanledger_exporter.seal.errors import SealRefusedError
from spanledger_exporter.store.connection import Store


def open_sealing_keys(settings: Settings, store: Store | None, anchors: Sequence[Anchor]) -> KeyRing:
    """Return the key ring, made now if this is the first need. Without a `store`, only the archives are asked.

    Raises SealRefusedError when the keys are gone though the store or an archive holds checkpoints.
    """
    if not KeyRing(settings).exists:
        note = _newest_note(store, anchors)
        if note:
            raise SealRefusedError(
                f"expected the keys of log {note.partition(chr(10))[0]} in {settings.keys_directory}, got none: "
                "restore the directory from its backup. New keys would begin another log in the same store"
            )
    return open_key_ring(settings)


def _newest_note(store: Store | None, anchors: Sequence[Anchor]) -> str:
    found = store.query("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1") if store is not None else []
    if found:
        return str(found[0][0])
    for anchor in anchors:
        try:
            note = anchor.newest() if isinstance(anchor, Archive) else None
        except AnchorError:
            continue  # the sealer reports it when it compares
        if note:
            return note
    return ""
