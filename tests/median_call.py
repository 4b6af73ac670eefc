"""How long one call of something takes when warm: the median of `ROUNDS` rounds, by the wall clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

ROUNDS = 7


def report(name: str, count: int, work: Callable[[], object]) -> None:
    """Call `work` `count` times a round, and print the median per call."""
    seconds: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(count):
            work()
        seconds.append((time.perf_counter() - began) / count)
    print(f"{name:45s}{statistics.median(seconds) * 1e6:9.2f} µs")
