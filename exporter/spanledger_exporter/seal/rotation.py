"""Rotating the log's key: a new key, an entry in the log, one checkpoint signed by both, a new trust root.

A rotation that was cut off is finished by calling `rotate` again, or by the next seal if its entry is already in the
log; see the steps in `sealer`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from spanledger_exporter.anchors.anchor import Anchor
from spanledger_exporter.config import Settings
from spanledger_exporter.keys.key_ring import KeyRing
from spanledger_exporter.seal.sealer import SealReport, seal
from spanledger_exporter.store.connection import Store


def rotate(
    store: Store,
    *,
    settings: Settings,
    keys: KeyRing,
    anchors: Sequence[Anchor],
    clock: Callable[[], int] = time.time_ns,
) -> SealReport:
    """Rotate to a new key and return the report of the seal that both keys signed."""
    if keys.pending_key() is not None:
        report = seal(store, settings=settings, keys=keys, anchors=anchors, clock=clock)
        if keys.pending_key() is None:
            return report
    old = keys.root.current.key
    new = keys.begin_rotation()
    return seal(
        store,
        settings=settings,
        keys=keys,
        anchors=anchors,
        clock=clock,
        acts=[("key-rotate", {"old": old.vkey, "new": new.vkey})],
    )
