"""Recorded conversations: which answer belongs to which request.

A transcript is a JSON file: `{"title": …, "exchanges": [{"request": {"path": …, "contains": […]}, "reply": {…}}]}`.

Rules
- An exchange answers a request for its path whose JSON contains each of its `contains` texts.
- Exchanges that fit the same request are used one after the other, the last of them again and again: an error followed
  by an answer is two exchanges with one request.
- `reply` has the fields of `Reply`: `body`, `status`, `headers`, …
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local_provider.reply import Json, Reply


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded answer and the requests it belongs to."""

    path: str
    contains: tuple[str, ...]
    reply: Reply

    def fits(self, path: str, text: str) -> bool:
        """Say whether this answer belongs to a request for `path` with the JSON `text`."""
        return path == self.path and all(part in text for part in self.contains)


def read_transcript(file: Path) -> list[Exchange]:
    """Read a transcript file."""
    document = json.loads(file.read_text(encoding="utf-8"))
    return [_exchange(entry) for entry in document["exchanges"]]


def _exchange(entry: Json) -> Exchange:
    request = entry["request"]
    return Exchange(request["path"], tuple(request.get("contains", ())), Reply(**entry["reply"]))


class Transcript:
    """Hands out the answers of one or more transcript files; shared by the provider's threads."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self._exchanges = tuple(exchanges)
        self._used: set[int] = set()
        self._lock = threading.Lock()

    def reply_for(self, path: str, body: Json) -> Reply | None:
        """Return the next answer for this request, or None when no exchange fits."""
        text = json.dumps(body, ensure_ascii=False)
        with self._lock:
            fitting = [index for index, exchange in enumerate(self._exchanges) if exchange.fits(path, text)]
            if not fitting:
                return None
            index = next((index for index in fitting if index not in self._used), fitting[-1])
            self._used.add(index)
            return self._exchanges[index].reply
