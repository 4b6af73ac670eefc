"""Digests that give a version to what has none, for example tool definitions.

    digest = lower-case hex SHA-256 of JSON with sorted keys, no white space, UTF-8

Two definitions with the same content have the same digest, whatever the order of their keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

import orjson

_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


def json_digest(value: Any) -> str:
    """Return the digest of any JSON value; what JSON cannot hold counts by its text."""
    try:
        data = orjson.dumps(value, default=str, option=_CANONICAL)
    except TypeError:  # a lone surrogate, or an integer beyond 64 bits
        data = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()
    return sha256(data).hexdigest()


def text_digest(text: str) -> str:
    """Return the lower-case hex SHA-256 of a text's UTF-8 bytes."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def tool_digests(definitions: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the digest of each definition by the tool's name, or by its type where it has no name."""
    return {
        str(definition.get("name") or definition.get("type") or "tool"): json_digest(definition)
        for definition in definitions
    }
