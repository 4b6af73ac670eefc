"""What the provider answers, what can go wrong on the way, and what it received.

Rules
- A `Reply` holds the complete answer as the real API gives it without streaming; the streamed form is derived from it,
  so that one transcript serves both.
- Faults are fields of the reply, so that a test reads as the list of what the network did.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `name` is absent in OpenAI's chat stream, `data` may be the bare text `[DONE]`."""

    data: Json | str
    name: str | None = None

    def encode(self) -> bytes:
        """Return the bytes on the wire, blank line included."""
        text = self.data if isinstance(self.data, str) else json.dumps(self.data, ensure_ascii=False)
        head = f"event: {self.name}\n" if self.name else ""
        return f"{head}data: {text}\n\n".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer and its faults.

    `path` restricts the reply to requests for that path. `events` replaces the derived stream by an exact one.
    `delay_s` waits before the first byte. `hang` sends nothing until the provider closes. `hold_after_events`
    pauses a stream until `LocalProvider.release()`. `reset_after_events` drops the connection with a TCP reset after
    so many events of a stream; 0 does it before the first byte, streamed or not. `malformed` cuts the JSON in half.
    """

    body: Json | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    path: str | None = None
    events: Sequence[Event] | None = None
    delay_s: float = 0.0
    hang: bool = False
    hold_after_events: int | None = None
    reset_after_events: int | None = None
    malformed: bool = False


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request as it arrived; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Json
