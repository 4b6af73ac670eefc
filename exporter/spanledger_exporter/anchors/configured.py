"""Which anchors this installation has: `SPANLEDGER_ANCHORS`, separated by commas.

directory                                           $SPANLEDGER_DIR/anchors (default, and the weakest)
directory:/mnt/worm/spanledger                      one somewhere else
s3://bucket/prefix?region=eu-central-1&days=3650    S3 Object Lock, COMPLIANCE (extra `s3`)
rfc3161:https://tsa.example/tsr?roots=/etc/tsa.pem  timestamps (extra `rfc3161`)
witness:<vkey>@https://witness.example              a C2SP witness
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl

from spanledger_exporter.anchors.anchor import Anchor
from spanledger_exporter.anchors.directory import DirectoryAnchor
from spanledger_exporter.anchors.rfc3161 import Rfc3161Anchor, open_rfc3161
from spanledger_exporter.anchors.s3 import open_s3
from spanledger_exporter.anchors.witness_client import open_witness
from spanledger_exporter.config import Settings
from spanledger_exporter.errors import ConfigurationError


def open_anchors(settings: Settings) -> list[Anchor]:
    """Return the configured anchors; none of them is contacted yet. Raises ConfigurationError."""
    return [_open(text.strip(), settings) for text in settings.anchors.split(",") if text.strip()]


def _open(text: str, settings: Settings) -> Anchor:
    kind, _, rest = text.partition(":")
    if kind == "witness":
        return open_witness(rest)
    place, _, query = rest.partition("?")
    options = dict(parse_qsl(query))
    if kind == "directory":
        if not place:  # called by its name in the data directory, which may be moved as a whole
            return DirectoryAnchor(settings.anchors_directory, target=settings.anchors_directory.name)
        return DirectoryAnchor(Path(place).expanduser().resolve())
    if kind == "s3":
        return open_s3(place.removeprefix("//"), options=options)
    if kind == "rfc3161":
        return open_rfc3161(place, options=options)
    raise ConfigurationError(f"expected directory, s3, rfc3161 or witness in SPANLEDGER_ANCHORS, got {text!r}")


def weakness(anchors: list[Anchor], settings: Settings) -> str:
    """Return a warning when nothing outside the data directory anchors this log, or nobody is checked; else ''."""
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
    rootless = [anchor.target for anchor in anchors if isinstance(anchor, Rfc3161Anchor) and not anchor.has_roots]
    if rootless:
        return (
            f"nobody checks who stamps for rfc3161 {', '.join(rootless)}: add ?roots=FILE.pem, or it counts for nothing"
        )
    return ""
