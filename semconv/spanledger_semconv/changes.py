"""What a reviewer changed: from draft to final, as operations a program can count and as lines a person can read.

Rules
- Texts are compared line by line; inside a changed stretch, word by word. `at` counts characters from the start of the
  draft. Applying the operations to the draft gives the final text (`apply_changes`).
- Other JSON values are compared member by member; `path` is a JSON pointer (RFC 6901).
- Texts past `MAX_WORDS` words in one changed stretch are not compared word by word: one operation replaces the stretch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final

MAX_WORDS: Final = 2_000

_WORD = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Changes:
    """`inserted` and `deleted` count characters; `lines` has one line per changed line, led by `-` or `+`."""

    operations: tuple[Mapping[str, Any], ...]
    inserted: int
    deleted: int
    lines: str

    def as_part(self) -> dict[str, Any]:
        """Return the operations as a message part."""
        return {"type": "changes", "operations": [dict(operation) for operation in self.operations]}


def text_changes(draft: str, final: str) -> Changes:
    """Return what turns `draft` into `final`."""
    operations = tuple(_text_operations(draft, final))
    return Changes(
        operations=operations,
        inserted=sum(len(operation["new"]) for operation in operations),
        deleted=sum(len(operation["old"]) for operation in operations),
        lines="\n".join(_changed_lines(draft, final)),
    )


def apply_changes(draft: str, operations: Sequence[Mapping[str, Any]]) -> str:
    """Return the text that the operations of `text_changes` make of `draft`."""
    pieces: list[str] = []
    position = 0
    for operation in operations:
        pieces += [draft[position : operation["at"]], operation["new"]]
        position = operation["at"] + len(operation["old"])
    return "".join([*pieces, draft[position:]])


def value_changes(draft: Any, final: Any) -> Changes:
    """Return what turns one JSON value into another; two texts are compared as texts."""
    if isinstance(draft, str) and isinstance(final, str):
        return text_changes(draft, final)
    operations = tuple(_value_operations(draft, final, path=""))
    texts = [(str(o.get("old", "")), str(o.get("new", "")), str(o["path"])) for o in operations]
    return Changes(
        operations=operations,
        inserted=sum(len(new) for _, new, _ in texts),
        deleted=sum(len(old) for old, _, _ in texts),
        lines="\n".join(line for old, new, path in texts for line in (f"-{path}: {old}", f"+{path}: {new}")),
    )


def _text_operations(draft: str, final: str) -> Iterator[dict[str, Any]]:
    """Compare by lines, then by words inside each changed stretch."""
    old, new = draft.splitlines(keepends=True), final.splitlines(keepends=True)
    starts = _starts(old)
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield from _word_operations("".join(old[i1:i2]), "".join(new[j1:j2]), at=starts[i1])


def _word_operations(old: str, new: str, *, at: int) -> Iterator[dict[str, Any]]:
    before, after = _WORD.findall(old), _WORD.findall(new)
    if len(before) > MAX_WORDS or len(after) > MAX_WORDS:
        yield {"at": at, "old": old, "new": new}
        return
    starts = _starts(before)
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            yield {"at": at + starts[i1], "old": "".join(before[i1:i2]), "new": "".join(after[j1:j2])}


def _starts(pieces: Sequence[str]) -> list[int]:
    starts = [0]
    for piece in pieces:
        starts.append(starts[-1] + len(piece))
    return starts


def _changed_lines(draft: str, final: str) -> Iterator[str]:
    old, new = draft.splitlines(), final.splitlines()
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield from (f"-{line}" for line in old[i1:i2])
            yield from (f"+{line}" for line in new[j1:j2])


def _value_operations(old: Any, new: Any, *, path: str) -> Iterator[dict[str, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}, key=str):
            yield from _member_operations(old, new, key, path=f"{path}/{_escaped(str(key))}")
    elif isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)) and len(old) == len(new):
        for position, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _value_operations(before, after, path=f"{path}/{position}")
    elif old != new or type(old) is not type(new):
        yield {"path": path, "old": old, "new": new}


def _member_operations(
    old: Mapping[Any, Any], new: Mapping[Any, Any], key: Any, *, path: str
) -> Iterator[dict[str, Any]]:
    if key not in new:
        yield {"path": path, "old": old[key]}
    elif key not in old:
        yield {"path": path, "new": new[key]}
    else:
        yield from _value_operations(old[key], new[key], path=path)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
