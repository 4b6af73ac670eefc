"""A limit on the bytes of all chains in one spool directory, and what happens when it is reached.

`SPANLEDGER_SPOOL_QUOTA_BYTES` (0: none) and `SPANLEDGER_SPOOL_QUOTA_POLICY`:
- `block`   the call waits until the shipper has made room
- `closed`  the row is refused, and the call that it announces too
- `loss`    the row is refused, the call proceeds

A refused row is counted into the `loss` row that follows once there is room: no policy is silent.
Room comes from files whose rows are stored and sealed, and that nobody writes to any more: at the limit a writer leaves
its file for the next one, and with a quota a file is at most one `FILES_PER_QUOTA`th of it.
The directory is measured at most every `MEASURE_EVERY_S`, so the limit may be passed by what is written in between.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from spanledger_exporter.config import Settings

MEASURE_EVERY_S = 0.5
FILES_PER_QUOTA = 16
"""So many idle writers, or ended chains kept for their successor, can hold a file without using the quota up."""
_REMEDY = "keep `spanledger ship --follow` running (a file goes when its rows are stored and sealed), or raise it"
_log = logging.getLogger(__name__)


class SpoolFullError(Exception):
    """The quota is used up and the policy is not to wait; the recorder translates this."""


class SpoolQuota:
    """Admits appends while the spool is below its limit. Called under the recorder's lock."""

    def __init__(
        self,
        spool_directory: Path,
        limit_bytes: int,
        policy: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._directory = spool_directory
        self._limit_bytes = limit_bytes
        self._policy = policy
        self._clock = clock
        self._wait = wait
        self._used_bytes = 0
        self._measure_at_s = 0.0

    @classmethod
    def of(cls, settings: Settings) -> SpoolQuota:
        """Return the quota that the settings ask for."""
        return cls(settings.spool_directory, settings.spool_quota_bytes, settings.spool_quota_policy)

    def admit(self) -> None:
        """Return when a row may be appended. Raises SpoolFullError when it may not."""
        if self._limit_bytes == 0 or self.is_below():
            return
        if self._policy != "block":
            raise SpoolFullError(
                f"the spool holds {self._used_bytes} bytes of at most {self._limit_bytes} "
                f"(SPANLEDGER_SPOOL_QUOTA_BYTES): {_REMEDY}"
            )
        _log.warning(
            "spanledger: calls wait, the spool is at its quota of %d bytes (SPANLEDGER_SPOOL_QUOTA_BYTES): %s",
            self._limit_bytes, _REMEDY,
        )  # fmt: skip
        while not self.is_below():
            self._wait(MEASURE_EVERY_S)

    def file_bytes(self, at_most: int) -> int:
        """Return how large a file may get, given what it may without a quota."""
        return min(at_most, self._limit_bytes // FILES_PER_QUOTA) if self._limit_bytes else at_most

    def is_below(self) -> bool:
        """Say whether there is room, measuring now and then."""
        now = self._clock()
        if now >= self._measure_at_s:
            self._used_bytes = directory_bytes(self._directory)
            self._measure_at_s = now + MEASURE_EVERY_S
        return self._used_bytes < self._limit_bytes


def directory_bytes(directory: Path) -> int:
    """Return the bytes of all files below `directory`; a file that vanishes meanwhile counts nothing."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                total += (Path(parent) / name).stat().st_size
            except OSError:
                continue
    return total
