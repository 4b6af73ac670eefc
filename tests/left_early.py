"""Ways to leave a stream after two of its items, whichever SDK it is of."""

from __future__ import annotations

from typing import Any


def close_early(stream: Any) -> None:
    """Close it."""
    next(stream)
    next(stream)
    stream.close()


def leave_the_block(stream: Any) -> None:
    """Leave its `with` block."""
    with stream:
        next(stream)
        next(stream)


def break_and_drop(stream: Any) -> None:
    """Break out of the loop, and drop it."""
    for number, _item in enumerate(stream):
        if number == 1:
            break
