"""Scratch directories of readers, below the system's temporary directory.

    $TMPDIR/spanledger-reader-x7k2/reader.lock     held (flock) as long as its process lives
    $TMPDIR/spanledger-reader-x7k2/engine/         the scratch engine's files

Rules
- Whoever makes one removes it. What a killed process left is removed by the next reader of the same user.
- The kernel's lock says whether a process lives. The file gets its name when it is locked, so that nobody finds it
  unlocked while its maker is still busy; a directory without it is left alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PREFIX: Final = "spanledger-reader-"
LOCK_NAME: Final = "reader.lock"
ENGINE_NAME: Final = "engine"


@dataclass(frozen=True, slots=True)
class Scratch:
    """A scratch directory of this process; `descriptor` holds its lock, or is -1 where the file system has none."""

    directory: Path
    descriptor: int

    @classmethod
    def make(cls) -> Scratch:
        """Make a directory that nobody else has, and remove what dead processes left. Raises OSError."""
        directory = Path(tempfile.gettempdir(), PREFIX + secrets.token_hex(8))  # `mkdtemp` tells the name too late
        try:
            directory.mkdir(mode=0o700)
            scratch = cls(directory, _locked(directory))
        except FileExistsError:
            raise
        except BaseException:  # told to end meanwhile: without its lock nobody would remove it
            shutil.rmtree(directory, ignore_errors=True)
            raise
        remove_abandoned(directory.parent)
        return scratch

    @property
    def engine(self) -> Path:
        """Where the scratch engine has its files."""
        return self.directory / ENGINE_NAME

    def remove(self) -> None:
        """Remove the directory, then let go of its lock."""
        _remove(self.directory)
        if self.descriptor >= 0:
            os.close(self.descriptor)


def _locked(directory: Path) -> int:
    unnamed = directory / "unlocked"
    descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # no locks on this file system: nobody will take the directory for abandoned
        os.close(descriptor)
        return -1
    unnamed.rename(directory / LOCK_NAME)
    return descriptor


def _remove(directory: Path) -> None:
    """Remove the lock last, and only when the rest is gone: without it a removal that was cut off is left alone.

    A query that goes on while its process ends may still make files.
    """
    shutil.rmtree(directory / ENGINE_NAME, ignore_errors=True)
    if not (directory / ENGINE_NAME).exists():
        shutil.rmtree(directory, ignore_errors=True)


def remove_abandoned(parent: Path) -> None:
    """Remove the directories in `parent` that are ours to remove and whose process is dead."""
    for directory in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if directory.lstat().st_uid == os.geteuid():
                _remove_if_abandoned(directory)


def _remove_if_abandoned(directory: Path) -> None:
    descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(directory)
    finally:
        os.close(descriptor)
