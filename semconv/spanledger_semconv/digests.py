"""Digests that give a version to what has none: tool definitions and prompts.

    digest = lower-case hex SHA-256 of JSON with sorted keys, no white space, UTF-8

Two definitions with the same content have the same digest, whatever the order of their keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any


def json_digest(value: Any) -> str:
    """Return the digest of any JSON value; what JSON cannot hold counts by its text."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def text_digest(text: str) -> str:
    """Return the lower-case hex SHA-256 of a text's UTF-8 bytes."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def tool_digests(definitions: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the digest of every tool definition that has a name, by name (a provider's own tool counts by its type)."""
    named = ((definition.get("name") or definition.get("type"), definition) for definition in definitions)
    return {str(name): json_digest(definition) for name, definition in named if name}


def prompt_digest(system_instructions: Sequence[Mapping[str, Any]], stable_parts: Sequence[Mapping[str, Any]]) -> str:
    """Return the digest of a request's system instructions and of its parts that do not change from call to call."""
    return json_digest([list(system_instructions), list(stable_parts)])
