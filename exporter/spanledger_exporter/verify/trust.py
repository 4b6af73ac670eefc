"""Which keys may sign which checkpoints: what a verifier is told from outside, never by the suspect store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spanledger_exporter.ledger.note import VerifierKey


@dataclass(frozen=True, slots=True)
class KeyRange:
    """A key, valid for checkpoints of `first` to `last` entries (both included; None for no end)."""

    key: VerifierKey
    first: int = 0
    last: int | None = None

    def covers(self, size: int) -> bool:
        """Tell whether a checkpoint of `size` may be signed by this key."""
        return self.first <= size and (self.last is None or size <= self.last)


@dataclass(frozen=True, slots=True)
class Trust:
    """The log's keys and the witnesses' keys; `origin` is the log that is expected, None for any."""

    log_keys: Sequence[KeyRange] = ()
    witnesses: Sequence[VerifierKey] = ()
    origin: str | None = None

    @property
    def origins(self) -> frozenset[str]:
        """The logs that these keys speak for: a log's key is named after it."""
        return frozenset({self.origin} if self.origin else {range_.key.name for range_ in self.log_keys})

    def at(self, size: int) -> list[VerifierKey]:
        """Return the keys that may sign a checkpoint of `size`."""
        return [range_.key for range_ in self.log_keys if range_.covers(size)]
