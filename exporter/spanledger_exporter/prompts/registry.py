"""The prompt registry: `$SPANLEDGER_DIR/prompts.json`, and which registered prompt a request was made from.

Rules
- One name and version has one text for ever: registering another text under it is refused. Its owner and labels may
  change: that is an `artifact` row of its own, and the newest stands in the file.
- The file is replaced as a whole (write, fsync, rename); a reader sees the old one or the new one.
- A request is matched by what it says: its system instructions, its system and developer messages, then its first user
  message. The template with the most fixed text wins, then the newest version. A name that the application said itself
  is never replaced.
- A running application looks for a newer file at most once a second, and keeps the old one when it cannot be read.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from spanledger_exporter.directories import SHARED, make_directory
from spanledger_exporter.errors import DataError, UsageError
from spanledger_exporter.prompts.prompt_file import Prompt, version_key
from spanledger_exporter.prompts.template import PREFIX_LENGTHS, Template, normalised, parse_template
from spanledger_exporter.whole_file import replace_whole
from spanledger_semconv import attributes as keys
from spanledger_semconv.invocation import InvocationRequest

FILE_NAME: Final = "prompts.json"
SCHEMA: Final = "spanledger.prompts/1"
LOOK_AGAIN_AFTER_S: Final = 1.0
MAX_REMEMBERED: Final = 256
MAX_REMEMBERED_CHARACTERS: Final = 8_192

_log = logging.getLogger(__name__)


class PromptConflictError(UsageError):
    """A name and version is registered with another text."""


def load_prompts(path: Path) -> list[Prompt]:
    """Read the registry; one that does not exist is empty. Raises DataError when it is damaged."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise DataError(f"expected schema {SCHEMA} in {path}, got {document['schema']!r}")
        return [Prompt(**entry) for entry in document["prompts"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"expected a prompt registry in {path}, got: {error}; register the prompts again") from error


def save_prompts(path: Path, prompts: Sequence[Prompt]) -> None:
    """Replace the registry as a whole."""
    ordered = sorted(prompts, key=lambda prompt: (prompt.name, version_key(prompt.version)))
    document = {"schema": SCHEMA, "prompts": [asdict(prompt) for prompt in ordered]}
    make_directory(path.parent, mode=SHARED)
    replace_whole(path, json.dumps(document, ensure_ascii=False, indent=1).encode())


def new_prompts(registered: Sequence[Prompt], found: Sequence[Prompt]) -> list[Prompt]:
    """Return those of `found` that are not registered yet, or whose owner or labels changed.

    Raises PromptConflictError when a name and version would get a second text.
    """
    if clashing := conflicts(registered, found):
        raise PromptConflictError("\n".join(map(format_conflict, clashing)))
    known = {(prompt.name, prompt.version): (prompt.owner, prompt.other) for prompt in registered}
    fresh = {(prompt.name, prompt.version): prompt for prompt in found}
    return [prompt for key, prompt in fresh.items() if known.get(key) != (prompt.owner, prompt.other)]


def conflicts(registered: Sequence[Prompt], found: Sequence[Prompt]) -> list[Prompt]:
    """Return those of `found` whose name and version has another text, in the registry or earlier in `found`."""
    known = {(prompt.name, prompt.version): prompt.digest for prompt in reversed([*registered, *found])}
    return [prompt for prompt in found if known[prompt.name, prompt.version] != prompt.digest]


def format_conflict(prompt: Prompt) -> str:
    """Return what is wrong with a prompt that conflicts, and what to do."""
    return f"expected {prompt.name} {prompt.version} to keep its text, got another one: give it a new version"


@dataclass(frozen=True, slots=True)
class _Entry:
    prompt: Prompt
    template: Template


class PromptIndex:
    """Templates by the first characters of what they make; those that can begin with anything are tried last."""

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        entries = [_Entry(prompt, parse_template(prompt.template)) for prompt in prompts]
        entries.sort(key=_preference, reverse=True)
        self._by_prefix: dict[str, list[_Entry]] = {}
        self._loose: list[_Entry] = []
        self._known: dict[str, Prompt | None] = {}
        for entry in entries:
            place = self._by_prefix.setdefault(entry.template.prefix, []) if entry.template.prefix else self._loose
            place.append(entry)

    def __bool__(self) -> bool:
        return bool(self._by_prefix or self._loose)

    def find(self, request: InvocationRequest) -> Prompt | None:
        """Return the prompt that the request was made from."""
        for text in _texts(request):
            found = self.find_text(text)
            if found is not None:
                return found
        return None

    def find_text(self, text: str) -> Prompt | None:
        """Return the prompt that can have made this text."""
        if text in self._known:
            return self._known[text]
        found = self._look_up(normalised(text))
        if len(text) <= MAX_REMEMBERED_CHARACTERS:  # system prompts come again and again
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[text] = found
        return found

    def _look_up(self, text: str) -> Prompt | None:
        candidates = list(self._loose)
        for length in PREFIX_LENGTHS:
            candidates += self._by_prefix.get(text[:length], ())
        matching = [entry for entry in candidates if entry.template.matches(text)]
        return max(matching, key=_preference).prompt if matching else None


def _preference(entry: _Entry) -> tuple[int, Any]:
    return (entry.template.fixed_characters, version_key(entry.prompt.version))


def _texts(request: InvocationRequest) -> Iterator[str]:
    yield from _text_parts(request.system_instructions)
    first_user: list[str] = []
    messages: Sequence[Any] = request.input_messages
    for message in messages:
        if not isinstance(message, Mapping):  # whatever an instrumentation made of it
            continue
        role = message.get("role")
        if role in ("system", "developer"):
            yield from _text_parts(message.get("parts"))
        elif role == "user" and not first_user:
            first_user = list(_text_parts(message.get("parts")))
    yield from first_user


def _text_parts(parts: Any) -> Iterator[str]:
    for part in parts if isinstance(parts, (list, tuple)) else ():
        if isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("content"), str):
            yield part["content"]


class PromptMatcher:
    """Says for each request which registered prompt it was made from, as attributes; made for the write path."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._look_at = float("-inf")
        self._seen: tuple[int, int] | None = None
        self._index = PromptIndex([])
        self._is_empty = True

    def knows_prompts(self) -> bool:
        """Say whether any prompt is registered; looks at the file again once in a while."""
        if self._clock() >= self._look_at:
            self._refresh()
        return not self._is_empty

    def attributes_of(self, request: InvocationRequest) -> dict[str, str]:
        """Return name, version and how they are known; nothing when no prompt is registered at all. Never raises."""
        if not self.knows_prompts():
            return {}
        found = self._index.find(request)
        if found is None:
            return {keys.SPANLEDGER_PROMPT_MATCH: "unmatched"}
        return {
            keys.GEN_AI_PROMPT_NAME: found.name,
            keys.GEN_AI_PROMPT_VERSION: found.version,
            keys.SPANLEDGER_PROMPT_MATCH: "content",
        }

    def _refresh(self) -> None:
        self._look_at = self._clock() + LOOK_AGAIN_AFTER_S
        try:
            self._look()
        finally:
            self._is_empty = not self._index

    def _look(self) -> None:
        try:
            status = self._path.stat()
        except OSError:
            self._index, self._seen = PromptIndex([]), None
            return
        seen = (status.st_mtime_ns, status.st_ino)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._index = PromptIndex(load_prompts(self._path))
        except DataError as error:
            _log.warning("spanledger: prompts are matched by the registry read before: %s", error)
