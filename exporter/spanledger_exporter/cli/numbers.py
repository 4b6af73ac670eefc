"""Numbers as arguments: argparse's own types name our functions in their complaint, and take ports that are none."""

from __future__ import annotations

import argparse
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
