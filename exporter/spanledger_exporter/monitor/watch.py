"""The monitor's loop: look, remember, tell.

Rules
- An alarm is raised only when a second look says the same: the sealer may have been in the middle of its work.
- It is raised when the verdict changes, when something is found that was not part of the last alarm, and every hour
  while it lasts; once more, with the verdict `verified`, when it is over. One that nobody took comes again every round.
- What was seen is remembered outside the data directory, and replaced only after a look that found no tampering.
- The store is opened for each look and closed after it, so that an embedded store's owner is not kept waiting.
- A store that cannot be read is `unknown`, which is an alarm too, told like any other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from spanledger_exporter.errors import SpanledgerError
from spanledger_exporter.monitor.look import Look, Measures
from spanledger_exporter.verify.verdict import Findings

Looking = Callable[[], Look]
Telling = Callable[[Look, bool], None]
"""Told every look, and whether its verdict is another one than before."""
Alarming = Callable[[Look], bool]
"""Raises an alarm, or calls it off; tells whether somebody took it."""

REPEAT_AFTER_S = 3600.0

Trouble = tuple[str, str, str | None]
"""A check, the kind of the finding, and the chain that it is about: without the words, whose figures change."""


@dataclass(slots=True)
class Watch:
    """The state between two rounds."""

    look: Looking
    tell: Telling
    alarm: Alarming
    interval_s: float = 60.0
    has_outlet: bool = True
    """With an outlet (a webhook) the loop goes on after an alarm; without one it ends, for its supervisor to see."""
    _word: str = field(default="", init=False)
    _since_alarm_s: float = field(default=0.0, init=False)
    _raised_word: str = field(default="verified", init=False)
    """The verdict of the last alarm that was taken."""
    _raised: frozenset[Trouble] = field(default=frozenset(), init=False)

    def once(self) -> Look:
        """Look once, twice if the first look is alarming, and tell."""
        seen = self._look()
        if seen.verdict.word != "verified":
            seen = self._look()
        is_news = seen.verdict.word != self._word
        self._word = seen.verdict.word
        self.tell(seen, is_news)
        self._since_alarm_s += self.interval_s
        found = frozenset((check, finding.kind, finding.chain) for check, finding in seen.complaints)
        is_change = self._word != self._raised_word or bool(found - self._raised)
        is_repeat = bool(found) and self._since_alarm_s >= REPEAT_AFTER_S
        if (is_change or is_repeat) and self.alarm(seen):
            self._raised_word, self._raised, self._since_alarm_s = self._word, found, 0.0
        return seen

    def run(self, stop: threading.Event) -> int:
        """Look again and again; return 0 when told to stop, or the exit status of the alarm that ends it."""
        while True:
            seen = self.once()
            if seen.verdict.word != "verified" and not self.has_outlet:
                return seen.verdict.exit_status
            if stop.wait(self.interval_s):
                return 0

    def _look(self) -> Look:
        try:
            return self.look()
        except SpanledgerError as error:
            findings = Findings()
            findings.unverifiable("integrity", f"the ledger cannot be looked at: {error}")
            return Look(findings.verdict(), Measures())
