"""Keeps bytes that no reader understood: what was damaged may still be evidence after its spool file is cleaned up.

`$SPANLEDGER_DIR/quarantine/<chain>-<file>-<offset>.bytes` holds them as they were found.
"""

from __future__ import annotations

import os
from pathlib import Path

from spanledger_exporter.directories import make_directory
from spanledger_exporter.spool.reader import ChainSpool, Damage

BLOCK_BYTES = 1 << 20


def quarantine(chain: ChainSpool, damage: Damage, directory: Path) -> Path:
    """Copy damaged bytes into `directory` and return the copy's path; done again, it changes nothing. Raises OSError.

    The copy gets its name when it is whole, so that a half-made one is never taken for it.
    """
    position = damage.position
    path = directory / f"{chain.chain_id.hex()}-{position.file:06d}-{position.offset}.bytes"
    if path.exists():
        return path
    make_directory(directory)
    draft = path.with_suffix(f".{os.getpid()}")
    with chain.path(position.file).open("rb") as source, draft.open("wb") as copy:
        source.seek(position.offset)
        left = damage.length
        while left > 0 and (block := source.read(min(left, BLOCK_BYTES))):
            copy.write(block)
            left -= len(block)
    draft.rename(path)
    return path
