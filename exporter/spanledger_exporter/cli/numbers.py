"""Numbers as arguments: argparse's own types name our functions in their complaint, and take ports that are none."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Final

HIGHEST_PORT: Final = 65_535
_DIGITS: Final = 18
"""What the store's whole numbers hold in any case."""

_END: Final = 10**_DIGITS


def positive(text: str) -> int:
    """Return a whole number from 1. Raises ArgumentTypeError."""
    return _whole(text, "a number from 1", range(1, _END))


def port(text: str) -> int:
    """Return a port to listen on, 0 for any free one. Raises ArgumentTypeError."""
    return _whole(text, f"a port from 0 to {HIGHEST_PORT}", range(HIGHEST_PORT + 1))


def size(text: str) -> int:
    """Return a whole number from 0. Raises ArgumentTypeError."""
    return _whole(text, "a number from 0", range(_END))


def interval_s(text: str) -> float:
    """Return the seconds between two of something, more than 0. Raises ArgumentTypeError."""
    # An interval of 0 would keep a core busy, one below it too.
    return _finite(text, "seconds above 0", lambda value: value > 0)


def duration_s(text: str) -> float:
    """Return seconds that something took, from 0. Raises ArgumentTypeError."""
    return _finite(text, "seconds from 0", lambda value: value >= 0)


def fraction(text: str) -> float:
    """Return a number from 0 to 1. Raises ArgumentTypeError."""
    return _finite(text, "a number from 0 to 1", lambda value: 0 <= value <= 1)


def _whole(text: str, expected: str, allowed: range) -> int:
    # `int` alone would take a sign, spaces and underscores too, and raise for thousands of digits.
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) in allowed):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return int(text)


def _finite(text: str, expected: str, fits: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and fits(value)):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value
