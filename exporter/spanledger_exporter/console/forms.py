"""Sessions of people who signed in, and the tokens that make a form ours.

Rules
- A session lives in this process's memory: restarting the console signs everybody out. It ends after `LIFETIME_S`.
- A form token is an HMAC over who asked and when the form was made, under a key of this process. It proves that the
  form is ours, and tells how long somebody had it open.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from spanledger_exporter.console.options import Person

LIFETIME_S: Final = 8 * 3600
FORM_LIFETIME_S: Final = 12 * 3600
MAX_SESSIONS: Final = 10_000


class Sessions:
    """Who is signed in, and the key for their forms."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._open: dict[str, tuple[Person, float]] = {}

    def begin(self, person: Person) -> str:
        """Return a new session id."""
        now = self._clock()
        self._open = {key: value for key, value in self._open.items() if value[1] > now}
        while len(self._open) >= MAX_SESSIONS:
            del self._open[next(iter(self._open))]
        session = secrets.token_urlsafe(32)
        self._open[session] = (person, now + LIFETIME_S)
        return session

    def end(self, session: str) -> None:
        """Forget a session."""
        self._open.pop(session, None)

    def person(self, session: str) -> Person | None:
        """Return who is signed in under this id."""
        person, until = self._open.get(session, (None, 0.0))
        return person if until > self._clock() else None

    def form_token(self, person: Person | None) -> str:
        """Return the token for a form that is shown now."""
        made = f"{self._clock():.3f}"
        return f"{made}.{self._signature(person, made)}"

    def form_age_s(self, person: Person | None, token: str) -> float | None:
        """Return how many seconds ago our form was made, or None when it is not ours."""
        made, _, signature = token.rpartition(".")
        # As bytes: of texts it compares ASCII only, and this one comes from anywhere.
        if not made or not hmac.compare_digest(signature.encode(), self._signature(person, made).encode()):
            return None
        age_s = self._clock() - float(made)
        return age_s if 0 <= age_s <= FORM_LIFETIME_S else None

    def _signature(self, person: Person | None, made: str) -> str:
        who = repr((person.name, person.tenant)) if person else ""
        return hmac.new(self._key, f"{made}\0{who}".encode(), sha256).hexdigest()
