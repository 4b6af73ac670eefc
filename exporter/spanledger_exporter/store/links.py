"""Keeping the embedded directory free of symbolic links, so that every way of copying it gives a store that opens.

    metadata/spanledger          -> ../store/0ed/0edb…      the database's table definitions
    data/spanledger/rows         -> ../../store/c6d/c6de…   a table's parts

The engine makes these links when it opens and needs none of them to find its data. A copy that follows links
(`cp -rL`, `shutil.copytree`, most archivers) turns them into directories, and the engine then refuses the whole store
without saying why. So the last owner takes them away, and the next one clears up what such a copy of a killed
owner's directory left behind.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

_UUID = re.compile(r"UUID '([0-9a-f-]{36})'")


def remove_links(directory: Path) -> None:
    """Take the engine's convenience links away. Only for a directory that no engine has open."""
    for place in (directory / "metadata", directory / "data"):
        # A store on read-only media keeps its links, and is none the worse for it.
        with contextlib.suppress(OSError):
            for path in place.rglob("*"):
                if path.is_symlink():
                    path.unlink()


def remove_followed_links(directory: Path) -> None:
    """Remove the directories that a copy made out of links, where the data they duplicate is in its place."""
    with contextlib.suppress(OSError):
        for path in (directory / "metadata").iterdir():
            if path.is_dir() and not path.is_symlink() and definitions_directory(directory, path.name) != path:
                shutil.rmtree(path)
                shutil.rmtree(directory / "data" / path.name, ignore_errors=True)


def definitions_directory(directory: Path, database: str) -> Path:
    """Return where the engine keeps the definitions of a database's tables."""
    beside = directory / "metadata" / database
    try:
        found = _UUID.search(beside.with_name(f"{database}.sql").read_text(encoding="utf-8"))
    except OSError:
        return beside
    place = directory / "store" / found[1][:3] / found[1] if found else beside
    return place if place.is_dir() else beside
