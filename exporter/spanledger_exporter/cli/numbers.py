"""Numbers as arguments: argparse's own types name our functions in their complaint, and take ports that are none."""

from __future__ import annotations

import argparse
import math
from typing import Final

HIGHEST_PORT: Final = 65_535


def positive(text: str) -> int:
    """Return a whole number from 1. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text)):
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text!r}")
    return int(text)


def port(text: str) -> int:
    """Return a port to listen on, 0 for any free one. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= HIGHEST_PORT):
        raise argparse.ArgumentTypeError(f"expected a port from 0 to {HIGHEST_PORT}, got {text!r}")
    return int(text)


def size(text: str) -> int:
    """Return a whole number from 0. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise argparse.ArgumentTypeError(f"expected a number from 0, got {text!r}")
    return int(text)


def interval_s(text: str) -> float:
    """Return the seconds between two of something, more than 0. Raises ArgumentTypeError."""
    value = _finite(text)
    if value is None or value <= 0:  # an interval of 0 would keep a core busy, one below it too
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text!r}")
    return value


def duration_s(text: str) -> float:
    """Return seconds that something took, from 0. Raises ArgumentTypeError."""
    value = _finite(text)
    if value is None or value < 0:
        raise argparse.ArgumentTypeError(f"expected seconds from 0, got {text!r}")
    return value


def fraction(text: str) -> float:
    """Return a number from 0 to 1. Raises ArgumentTypeError."""
    value = _finite(text)
    if value is None or not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return value


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
