"""A progress line on stderr for what takes longer than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

PROGRESS_AFTER_S: Final = 1.0


class Progress:
    """A line on stderr for what takes longer than a second; silent when stderr is no terminal."""

    def __init__(self, label: str, *, total: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.label, self.total, self._clock = label, total, clock
        self._started = self._shown = clock()
        self.done = 0

    def advance(self, count: int) -> None:
        """Count `count` more, and redraw ten times a second."""
        self.done += count
        now = self._clock()
        if now - self._started < PROGRESS_AFTER_S or now - self._shown < 0.1 or not sys.stderr.isatty():
            return
        self._shown = now
        sys.stderr.write(f"\r\x1b[K{self.label}: {self._amount(now)}")
        sys.stderr.flush()

    def _amount(self, now: float) -> str:
        rate = self.done / max(now - self._started, 1e-9)
        if not self.total:
            return f"{self.done:,} ({rate:,.0f}/s)"
        filled = min(20, 20 * self.done // self.total)
        return f"[{'█' * filled}{'·' * (20 - filled)}] {self.done:,} of {self.total:,} ({rate:,.0f}/s)"

    def finish(self) -> None:
        """Remove the line."""
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
