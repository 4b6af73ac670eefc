"""How long to wait before the next try: exponential, with full jitter, for ever."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

FIRST_S = 0.2
LONGEST_S = 30.0


@dataclass(slots=True)
class Backoff:
    """Counts failures in a row. Jitter keeps a fleet of shippers from coming back to a server all at once."""

    first_s: float = FIRST_S
    longest_s: float = LONGEST_S
    failures: int = 0
    random: Callable[[], float] = random.random

    def failed(self) -> float:
        """Count a failure and return how many seconds to wait: between half of the limit and the limit."""
        limit = min(self.first_s * 2.0 ** min(self.failures, 16), self.longest_s)
        self.failures += 1
        return limit * (0.5 + self.random() / 2)

    def succeeded(self) -> None:
        """Start over."""
        self.failures = 0
