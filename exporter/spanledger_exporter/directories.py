"""Directories of ours: nobody but their owner may write in them, whatever the umask.

A process that makes a daemon of itself sets its umask to 0. What it makes then is open to every user of the machine,
who could move a chain away or put another in its place. A directory that is there already stays as somebody made it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

OTHERS_MAY_READ: Final = 0o755
"""Of the directories above ours: auditors may look for anchors below them."""


def make_directory(path: Path, *, mode: int = 0o700) -> None:
    """Make `path` with `mode`, and what is missing above it. Raises OSError."""
    for missing in [one for one in reversed(path.parents) if not one.exists()]:
        missing.mkdir(mode=OTHERS_MAY_READ, exist_ok=True)
    path.mkdir(mode=mode, exist_ok=True)
