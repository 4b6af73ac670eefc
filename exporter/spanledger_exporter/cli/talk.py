"""What commands say to whoever runs them: on stderr, so that stdout holds data alone."""

from __future__ import annotations

import sys


def say(text: object, *, by: str = "spanledger: ") -> None:
    """Say a sentence in the name of the program; `by` is empty for a line of a list."""
    print(f"{by}{text}", file=sys.stderr, flush=True)  # noqa: T201
