"""Files that are there as a whole or not at all: written aside, synced, then put in place.

A crash, a full disk or a second writer leaves no half-written file under the name. What is returned from is durable,
the name in its directory included. Raises OSError; whoever calls knows what the file was for, and says so.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def create_whole(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Make the file. Raises FileExistsError where there is one: it stays as it is."""
    with _draft(path, data, mode) as draft:
        os.link(draft, path)
    _sync_directory(path.parent)


def replace_whole(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Put the file in place of the one that may be there; after a crash it holds the old bytes or the new ones."""
    with _draft(path, data, mode) as draft:
        draft.replace(path)
    _sync_directory(path.parent)


@contextmanager
def _draft(path: Path, data: bytes, mode: int) -> Generator[Path]:
    """Write `data` beside `path`, in a file that is gone afterwards unless it was renamed."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    draft.unlink(missing_ok=True)  # of a process with this number that died; its mode may be another
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
