"""A prompt file: front matter between two lines of three dashes, then the template.

    ---
    name: triage
    version: 1.2.0
    owner: team-risk
    ---
    Sort this alert: {alert}

Rules
- Front matter is one `key: value` per line; `name` and `version` (semantic version 2.0.0) are needed, others are kept.
- The template is everything after the second line of dashes, without one final line break; its bytes are its identity.
- Prompt files are those with a suffix in `SUFFIXES`; other files are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from spanledger_exporter.errors import DataError
from spanledger_semconv.digests import text_digest

SUFFIXES: Final = frozenset({".md", ".txt", ".prompt", ".j2", ".jinja", ".jinja2"})

_FENCE: Final = "---"
_VERSION: Final = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][\w-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][\w-]*))*))?(?:\+[0-9A-Za-z.-]+)?"
)


class PromptFileError(DataError):
    """A prompt file's front matter is missing or wrong."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One version of one prompt. `other` holds further front matter."""

    name: str
    version: str
    template: str
    owner: str = ""
    other: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def digest(self) -> str:
        """Lower-case hex SHA-256 of the template."""
        return text_digest(self.template)


def find_prompt_files(directory: Path) -> Iterator[Path]:
    """Yield the prompt files under `directory` in the order of their names; hidden ones are left alone."""
    for path in sorted(directory.rglob("*")):
        is_hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not is_hidden:
            yield path


def read_prompt_file(path: Path) -> Prompt:
    """Read one file. Raises PromptFileError with the file's name and what to do."""
    try:
        return parse_prompt(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, DataError) as error:
        raise PromptFileError(f"{path}: {error}") from error


def parse_prompt(text: str) -> Prompt:
    """Parse the text of a prompt file. Raises PromptFileError."""
    fields, template = _split(text)
    name, version = fields.pop("name", ""), fields.pop("version", "")
    if not name:
        raise PromptFileError("expected a line `name: …` in the front matter, got none")
    if not _VERSION.fullmatch(version):
        raise PromptFileError(f"expected a semantic version such as `version: 1.2.0`, got {version!r}")
    if not template.strip():
        raise PromptFileError("expected a template after the front matter, got nothing")
    return Prompt(name, version, template, owner=fields.pop("owner", ""), other=fields)


def _split(text: str) -> tuple[dict[str, str], str]:
    lines = text.removeprefix("\ufeff").split("\n")
    ends = [number for number, line in enumerate(lines) if line.strip() == _FENCE]
    if len(ends) < 2 or ends[0] != 0:
        raise PromptFileError("expected front matter between two lines `---` at the top, got none")
    fields: dict[str, str] = {}
    for line in lines[1 : ends[1]]:
        key, separator, value = line.partition(":")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not separator or not key.strip():
            raise PromptFileError(f"expected `key: value` in the front matter, got {line.strip()!r}")
        fields[key.strip()] = value.strip().strip("\"'")
    return fields, "\n".join(lines[ends[1] + 1 :]).removesuffix("\n")


def version_key(version: str) -> tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]:
    """Return what sorts versions by precedence (semver.org section 11); a pre-release comes before its release."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return (0, 0, 0, False, ())
    release = tuple(int(number) for number in found.group(1, 2, 3))
    words = (found.group(4) or "").split(".") if found.group(4) else []
    labels = tuple((not word.isdecimal(), int(word) if word.isdecimal() else 0, word) for word in words)
    return (release[0], release[1], release[2], not words, labels)
