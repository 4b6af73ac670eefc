"""Which texts a template can have made: its fixed pieces, in order, with anything between them.

Rules
- Placeholders of the usual template languages stand for any text: `{name}`, `${name}`, `{{ name }}`, `{% … %}`,
  `{# … #}`; what stands between `{% if %}`/`{% for %}` and its end as well, since it may be left out or repeated.
- White space at the ends of a fixed piece does not count: template languages trim it in their own ways.
- Matching is a walk with `str.find`, linear in the text: no regular expression sees what a user wrote.
- A template with fewer than `MIN_FIXED_CHARACTERS` fixed characters says too little and matches nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MIN_FIXED_CHARACTERS: Final = 16
PREFIX_LENGTHS: Final = (48, 16, 8)
"""Lengths by which templates are looked up: many begin with the same few words."""

_OPTIONAL: Final = r"\{%-?\s*(?P<block>if|for)\b.*?\{%-?\s*end(?P=block)\s*-?%\}"
_PLACEHOLDER: Final = re.compile(
    _OPTIONAL
    + r"|\{%.*?%\}|\{#.*?#\}|\{\{\s*[A-Za-z_][^{}\"]*\}\}|\$\{\w+\}"
    + r"|(?<!\{)\{[A-Za-z_][\w.\[\]]*(?:![rsa])?(?::[^{}\n]*)?\}(?!\})",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Template:
    """A template taken apart. The text begins (ends) with the first (last) piece when `is_anchored_at_…`."""

    pieces: tuple[str, ...]
    is_anchored_at_start: bool
    is_anchored_at_end: bool

    @property
    def fixed_characters(self) -> int:
        """How much of the template never changes."""
        return sum(map(len, self.pieces))

    @property
    def is_specific(self) -> bool:
        """True when the template has enough fixed text to be recognised by."""
        return self.fixed_characters >= MIN_FIXED_CHARACTERS

    @property
    def prefix(self) -> str:
        """The first characters of every text that it makes, of the longest length that fits; empty: can be any."""
        first = self.pieces[0] if self.pieces and self.is_anchored_at_start else ""
        return next((first[:length] for length in PREFIX_LENGTHS if len(first) >= length), "")

    def matches(self, text: str) -> bool:
        """Say whether the template can have made `text` (normalised, see `normalised`)."""
        if not self.is_specific:
            return False
        first, last = self.pieces[0], self.pieces[-1]
        if self.is_anchored_at_start and not text.startswith(first):
            return False
        if self.is_anchored_at_end and not text.endswith(last):
            return False
        if len(self.pieces) == 1 and self.is_anchored_at_start and self.is_anchored_at_end:
            return len(text) == len(first)
        return self._has_pieces_in_order(text)

    def _has_pieces_in_order(self, text: str) -> bool:
        position = 0
        end = len(text) - len(self.pieces[-1]) if self.is_anchored_at_end else len(text)
        for piece in self.pieces[:-1] if self.is_anchored_at_end else self.pieces:
            found = text.find(piece, position)
            if found < 0:
                return False
            position = found + len(piece)
        return position <= end


def parse_template(text: str) -> Template:
    """Take a template apart."""
    text = text.strip()
    spans = [match.span() for match in _PLACEHOLDER.finditer(text)]
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    pieces = [normalised(text[start:end]) for start, end in zip(edges[::2], edges[1::2], strict=True)]
    return Template(
        pieces=tuple(piece for piece in pieces if piece),
        is_anchored_at_start=not spans or bool(pieces[0]),
        is_anchored_at_end=not spans or bool(pieces[-1]),
    )


def normalised(text: str) -> str:
    """Return a text as it is compared: without white space at its ends, doubled braces as single ones."""
    text = text.strip()
    if "{{" in text or "}}" in text:
        text = text.replace("{{", "{").replace("}}", "}")
    return text.replace("\r\n", "\n") if "\r" in text else text
