"""Digests that say *which* prompt and tools were used, without a registry and without a code change.

- Tool definition: SHA-256 of the canonical JSON (sorted keys, no white space) of the definition as it was sent:
  name, description, schema and whatever else it carries. No client library has a version for a tool; this is it.
- Prompt: SHA-256 of the canonical JSON object `{"instructions": […], "template": …}`. `instructions` is the text of
  the system and developer messages in order; `template` holds what else stays the same from call to call: the output
  schema, the reusable prompt's id. User input and history are no part of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import orjson

_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
_MOST_PROMPTS = 512

_prompt_digests: dict[tuple[str, ...], str] = {}


def canonical_json(value: object) -> bytes:
    """`value` as JSON with sorted keys and no white space; models of a client library are dumped first."""
    try:
        return orjson.dumps(value, default=_plain, option=_CANONICAL)
    except TypeError:  # a lone surrogate or an integer beyond 64 bits, which orjson refuses
        return json.dumps(value, default=_plain, sort_keys=True, separators=(",", ":")).encode()


def compact_json(value: object) -> str:
    """`value` as compact JSON text in the order given."""
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # see canonical_json
        return json.dumps(value, default=_plain, separators=(",", ":"))


def tool_digest(definition: Mapping[str, Any]) -> str:
    """Lower-case hex SHA-256 of one tool definition."""
    return sha256(canonical_json(definition)).hexdigest()


def tool_digests(definitions: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Give the digest of each definition by tool name; a tool without a name goes by its type."""
    return {
        str(definition.get("name") or definition.get("type") or "tool"): tool_digest(definition)
        for definition in definitions
    }


def prompt_digest(instructions: Sequence[str], template: object = None) -> str:
    """Lower-case hex SHA-256 over the instructions and the other template-stable parts of a request.

    Instructions repeat from call to call, so the digest of plain ones is remembered (at most 512 of them).
    """
    if template is not None:
        return _digest_of(instructions, template)
    key = tuple(instructions)
    known = _prompt_digests.get(key)
    if known is None:
        known = _digest_of(instructions, template)
        if len(_prompt_digests) >= _MOST_PROMPTS:
            _prompt_digests.clear()  # an application that renders every prompt anew gains nothing from memory
        _prompt_digests[key] = known
    return known


def _digest_of(instructions: Sequence[str], template: object) -> str:
    identity: dict[str, object] = {"instructions": list(instructions)}
    if template is not None:
        identity["template"] = template
    return sha256(canonical_json(identity)).hexdigest()


def _plain(value: Any) -> Any:
    """Give what orjson cannot write itself: models of the client library, types, bytes, anything."""
    if isinstance(value, type):
        schema = getattr(value, "model_json_schema", None)
        return schema() if callable(schema) else value.__qualname__
    for dump in ("model_dump", "to_dict", "dict"):
        method = getattr(value, dump, None)
        if callable(method):
            return method()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | set | frozenset):
        return list(value)
    return str(value)
