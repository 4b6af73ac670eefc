"""From flat attributes to the envelope's structured fields: actor, context, snapshot, and event bodies.

Rules
- `spanledger.review.*`, `.decision.*`, `.action.*` and `.escalation.*` become the body of that name; dots after the
  prefix become nesting: `spanledger.review.reviewer.id` is `review.reviewer.id`.
- A key that clashes with a shorter one (`a` and `a.b`) keeps its dotted name, so that nothing is lost.
- Every function returns only what is there; the caller leaves out empty fields. `is_consumed` says which
  attributes have found their place here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanledger_semconv import attributes as keys

BODIES: Final[Mapping[str, str]] = {
    "decision": "spanledger.decision.",
    "review": "spanledger.review.",
    "action": "spanledger.action.",
    "escalation": "spanledger.escalation.",
    "artifact": "spanledger.artifact.",
}
"""Envelope field to attribute prefix."""

ACTOR: Final[Mapping[str, str]] = {
    keys.SPANLEDGER_ACTOR_TYPE: "type",
    keys.SPANLEDGER_ACTOR_ID: "id",
    keys.SPANLEDGER_ACTOR_ROLE: "role",
    keys.SPANLEDGER_ACTOR_RUN_ID: "run_id",
}
"""Attribute to field of the envelope's `actor`."""

CONTEXT: Final[Mapping[str, str]] = {
    keys.SPANLEDGER_CASE_ID: "case_id",
    keys.SPANLEDGER_SESSION_ID: "session_id",
    keys.SPANLEDGER_TRIGGER: "trigger",
    keys.SPANLEDGER_USER_ID: "user_id",  # the envelope holds a token instead: the caller tokenises
    keys.GEN_AI_CONVERSATION_ID: "conversation_id",
}
"""Attribute to field of the envelope's `context`."""

CONTEXT_PREFIX: Final = keys.SPANLEDGER_CONTEXT + "."

SNAPSHOT: Final[Mapping[str, tuple[str, str]]] = {
    keys.GEN_AI_PROMPT_NAME: ("prompt", "name"),
    keys.GEN_AI_PROMPT_VERSION: ("prompt", "version"),
    keys.SPANLEDGER_PROMPT_HASH: ("prompt", "hash"),
    keys.SPANLEDGER_PROMPT_MATCH: ("prompt", "match"),
    keys.SPANLEDGER_RETRIEVAL_INDEX_NAME: ("retrieval", "index"),
    keys.SPANLEDGER_RETRIEVAL_INDEX_VERSION: ("retrieval", "version"),
    keys.SPANLEDGER_RETRIEVAL_INDEX_DIGEST: ("retrieval", "digest"),
    keys.SPANLEDGER_POLICY_NAME: ("policy", "name"),
    keys.SPANLEDGER_POLICY_VERSION: ("policy", "version"),
    keys.SPANLEDGER_DATASET_NAME: ("dataset", "name"),
    keys.SPANLEDGER_DATASET_VERSION: ("dataset", "version"),
    keys.SPANLEDGER_WORKFLOW_ID: ("workflow", "id"),
    keys.SPANLEDGER_WORKFLOW_VERSION: ("workflow", "version"),
    keys.GEN_AI_AGENT_NAME: ("agent", "name"),
    keys.GEN_AI_AGENT_VERSION: ("agent", "version"),
    keys.SPANLEDGER_CODE_VERSION: ("code", "version"),
    keys.SPANLEDGER_CALL_SITE_MODULE: ("code", "module"),
    keys.SPANLEDGER_CALL_SITE_FUNCTION: ("code", "function"),
    keys.SPANLEDGER_CALL_SITE_LINE: ("code", "line"),
}
"""Attribute to place in the envelope's `snapshot`."""


def body(attributes: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Return the envelope's `field` (a key of `BODIES`) from its attributes, nested."""
    prefix = BODIES[field]
    result: dict[str, Any] = {}
    for key in sorted(key for key in attributes if key.startswith(prefix)):
        _put(result, key.removeprefix(prefix), attributes[key])
    return result


def _put(result: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    place = result
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            result[path] = value
            return
        place = inner
    place[name] = value


def actor(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the envelope's `actor`."""
    return {name: attributes[key] for key, name in ACTOR.items() if key in attributes}


def business_context(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the envelope's `context`: known identifiers, then free keys of `spanledger.context.*`."""
    known = {name: attributes[key] for key, name in CONTEXT.items() if key in attributes}
    free = {k.removeprefix(CONTEXT_PREFIX): v for k, v in attributes.items() if k.startswith(CONTEXT_PREFIX)}
    return free | known


def snapshot(attributes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what `attributes` say about versions in force, as parts of the envelope's `snapshot`."""
    result: dict[str, dict[str, Any]] = {}
    for key, (part, name) in SNAPSHOT.items():
        if key in attributes:
            result.setdefault(part, {})[name] = attributes[key]
    return result


def is_consumed(key: str) -> bool:
    """Say whether `key` has a place in the envelope above, so that it need not be repeated in `attributes`."""
    return (
        key in ACTOR
        or key in CONTEXT
        or key in SNAPSHOT
        or key.startswith(CONTEXT_PREFIX)
        or any(key.startswith(prefix) for prefix in BODIES.values())
    )
