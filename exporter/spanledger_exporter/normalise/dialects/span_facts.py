"""What goes into a dialect and what comes out; and the few moves that every dialect makes on attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from spanledger_semconv.invocation import InvocationRequest, InvocationResult


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """An event of a span; `time_ns` is Unix nanoseconds."""

    name: str
    attributes: Mapping[str, Any]
    time_ns: int | None = None


@dataclass(frozen=True, slots=True)
class SpanFacts:
    """The parts of an ended span that say what it was; `scope` is the name of its instrumentation scope."""

    name: str
    attributes: Mapping[str, Any]
    scope: str = ""
    events: Sequence[SpanEvent] = ()
    status: Literal["unset", "ok", "error"] = "unset"
    status_message: str | None = None


class Reading(NamedTuple):
    """A span understood.

    `attributes` is what the span would carry had we made it: semantic-convention keys without content and usage,
    and everything that the dialect did not understand. `events` are those that were not understood.
    """

    dialect: str
    request: InvocationRequest
    result: InvocationResult
    attributes: Mapping[str, Any]
    events: Sequence[SpanEvent]


def rename(attributes: dict[str, Any], names: Mapping[str, str]) -> None:
    """Move values to their current names; a value that already has its current name stays as it is."""
    for old, new in names.items():
        if old in attributes and new not in attributes:
            attributes[new] = attributes.pop(old)


def parsed(value: Any) -> Any:
    """Return what a JSON text says, or the value itself when it is no JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # no JSON, or nested deeper than any message
        return value


def object_at(attributes: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the JSON object under `key`, or an empty one; takes nothing away."""
    value = parsed(attributes.get(key))
    return dict(value) if isinstance(value, Mapping) else {}


def take_tree(attributes: dict[str, Any], prefix: str) -> Any:
    """Take every attribute under `prefix` (without its dot) and return them nested: numbers become list positions.

    `{"m.0.role": "user", "m.1.role": "tool"}` under `m` is `[{"role": "user"}, {"role": "tool"}]`. Nothing there: None.
    """
    start = prefix + "."
    taken = {key.removeprefix(start): attributes.pop(key) for key in [k for k in attributes if k.startswith(start)]}
    if not taken:
        return None
    tree: dict[str, Any] = {}
    for path, value in sorted(taken.items()):
        place = tree
        *parents, name = path.split(".")
        for parent in parents:
            inner = place.get(parent)
            if not isinstance(inner, dict):  # a value and a nesting of the same name: the value moves inside
                inner = {} if inner is None else {"": inner}
                place[parent] = inner
            place = inner
        place[name] = value
    return _listed(tree)


def _listed(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    if tree and all(key.isdecimal() for key in tree):
        return [_listed(tree[key]) for key in sorted(tree, key=int)]
    return {key: _listed(value) for key, value in tree.items()}


def part_of(block: Mapping[str, Any], kind: str, **renamed: str) -> dict[str, Any]:
    """Return `block` as a part of type `kind`, with fields renamed: `part_of(block, "text", text="content")`."""
    return {"type": kind} | {renamed.get(key, key): value for key, value in block.items() if key != "type"}


def media_part(url: str, modality: str) -> dict[str, Any]:
    """Return a `blob` for a data URL, a `uri` for any other."""
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        mime_type = head.removeprefix("data:").removesuffix(";base64")
        return {"type": "blob", "modality": modality, "mime_type": mime_type, "content": data}
    return {"type": "uri", "modality": modality, "uri": url}


def as_list(value: Any) -> list[Any]:
    """Return a list's items, nothing for None, and any other value as the only item."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def mapping(value: Any) -> dict[str, Any]:
    """Return a mapping as a dict of its own, and anything else as an empty one."""
    return dict(value) if isinstance(value, Mapping) else {}
