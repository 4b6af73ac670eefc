"""Which anchors this installation has: `SPANLEDGER_ANCHORS`, separated by commas.

directory                                  the append-only directory $SPANLEDGER_DIR/anchors (default, weakest)
directory:/mnt/worm/spanledger             one somewhere else
"""

from __future__ import annotations

from pathlib import Path

from spanledger_exporter.anchors.anchor import Anchor
from spanledger_exporter.anchors.directory import DirectoryAnchor
from spanledger_exporter.config import Settings
from spanledger_exporter.errors import ConfigurationError


def open_anchors(settings: Settings) -> list[Anchor]:
    """Return the configured anchors; none of them is contacted yet. Raises ConfigurationError."""
    return [_open(text.strip(), settings) for text in settings.anchors.split(",") if text.strip()]


def _open(text: str, settings: Settings) -> Anchor:
    kind, _, place = text.partition(":")
    if kind == "directory":
        if not place:  # called by its name in the data directory, which may be moved as a whole
            return DirectoryAnchor(settings.anchors_directory, target=settings.anchors_directory.name)
        return DirectoryAnchor(Path(place).expanduser().resolve())
    raise ConfigurationError(
        f"expected an anchor directory, s3, rfc3161 or witness in SPANLEDGER_ANCHORS, got {text!r}"
    )


def weakness(anchors: list[Anchor], settings: Settings) -> str:
    """Return a warning when nothing outside the data directory anchors this log, else an empty text."""
    if not anchors:
        return "no anchor is configured: whoever holds the key can rewrite everything; set SPANLEDGER_ANCHORS"
    inside = [
        isinstance(anchor, DirectoryAnchor) and anchor.directory.is_relative_to(settings.directory)
        for anchor in anchors
    ]
    if all(inside):
        return (
            "the only anchor is a directory inside the data directory, which falls with it: add one elsewhere in "
            "SPANLEDGER_ANCHORS (s3, rfc3161, witness, or a directory on another machine)"
        )
    return ""
