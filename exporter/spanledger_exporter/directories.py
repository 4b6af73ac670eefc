"""Directories of ours: nobody but their owner and their group may write in them, whatever the umask.

A process that makes a daemon of itself sets its umask to 0. What it makes then is open to every user of the machine,
who could move a chain away or put another in its place. A directory that is there already stays as somebody made it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

SHARED: Final = 0o775
"""Of what several users may have in common, less the umask: a group's spool, anchors that auditors read."""


def make_directory(path: Path, *, mode: int = 0o700) -> None:
    """Make `path` with `mode`, and what is missing above it. Raises OSError."""
    for missing in [one for one in reversed(path.parents) if not one.exists()]:
        missing.mkdir(mode=SHARED, exist_ok=True)
    path.mkdir(mode=mode, exist_ok=True)
