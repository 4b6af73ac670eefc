"""Bodies of structured events (ledger.md section 4), from the attributes that the public API sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanledger_semconv import attributes as keys

_Paths = tuple[tuple[tuple[str, ...], str], ...]

_DECISION: Final[_Paths] = (
    (("name",), keys.SPANLEDGER_DECISION_NAME),
    (("condition",), keys.SPANLEDGER_DECISION_CONDITION),
    (("result",), keys.SPANLEDGER_DECISION_RESULT),
    (("branches_skipped",), keys.SPANLEDGER_DECISION_BRANCHES_SKIPPED),
    (("is_default",), keys.SPANLEDGER_DECISION_IS_DEFAULT),
    (("confidence",), keys.SPANLEDGER_DECISION_CONFIDENCE),
    (("policy", "name"), keys.SPANLEDGER_DECISION_POLICY_NAME),
    (("policy", "version"), keys.SPANLEDGER_DECISION_POLICY_VERSION),
)
_REVIEW: Final[_Paths] = (
    (("reviewer", "id"), keys.SPANLEDGER_REVIEW_REVIEWER_ID),
    (("reviewer", "role"), keys.SPANLEDGER_REVIEW_REVIEWER_ROLE),
    (("author", "id"), keys.SPANLEDGER_REVIEW_AUTHOR_ID),
    (("action",), keys.SPANLEDGER_REVIEW_ACTION),
    (("seconds_spent",), keys.SPANLEDGER_REVIEW_SECONDS_SPENT),
    (("is_self_review",), keys.SPANLEDGER_REVIEW_IS_SELF_REVIEW),
    (("seen", "event_ids"), keys.SPANLEDGER_REVIEW_SEEN_EVENT_IDS),
    (("seen", "hashes"), keys.SPANLEDGER_REVIEW_SEEN_HASHES),
    (("draft", "hash"), keys.SPANLEDGER_REVIEW_DRAFT_HASH),
    (("final", "hash"), keys.SPANLEDGER_REVIEW_FINAL_HASH),
    (("changes", "inserted"), keys.SPANLEDGER_REVIEW_CHANGES_INSERTED),
    (("changes", "deleted"), keys.SPANLEDGER_REVIEW_CHANGES_DELETED),
)
_ACTION: Final[_Paths] = (
    (("name",), keys.SPANLEDGER_ACTION_NAME),
    (("target",), keys.SPANLEDGER_ACTION_TARGET),
    (("status",), keys.SPANLEDGER_ACTION_STATUS),
    (("reference",), keys.SPANLEDGER_ACTION_REFERENCE),
    (("idempotency_key",), keys.SPANLEDGER_ACTION_IDEMPOTENCY_KEY),
    (("is_reversible",), keys.SPANLEDGER_ACTION_IS_REVERSIBLE),
)
_ESCALATION: Final[_Paths] = (
    (("to",), keys.SPANLEDGER_ESCALATION_TO),
    (("reason",), keys.SPANLEDGER_ESCALATION_REASON),
    (("severity",), keys.SPANLEDGER_ESCALATION_SEVERITY),
    (("due",), keys.SPANLEDGER_ESCALATION_DUE),
)
_ARTIFACT: Final[_Paths] = (
    (("kind",), keys.SPANLEDGER_ARTIFACT_KIND),
    (("name",), keys.SPANLEDGER_ARTIFACT_NAME),
    (("version",), keys.SPANLEDGER_ARTIFACT_VERSION),
    (("digest",), keys.SPANLEDGER_ARTIFACT_DIGEST),
    (("owner",), keys.SPANLEDGER_ARTIFACT_OWNER),
)

BODIES: Final[Mapping[str, tuple[str, _Paths]]] = {
    "decision": ("decision", _DECISION),
    "human_review": ("review", _REVIEW),
    "external_action": ("action", _ACTION),
    "escalation": ("escalation", _ESCALATION),
    "artifact": ("artifact", _ARTIFACT),
}
"""Event type to the envelope's field and what it is made of."""

BODY_KEYS: Final = frozenset(key for _, paths in BODIES.values() for _, key in paths)


def body_of(event_type: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return `{field: body}` for a structured event type, and an empty mapping for any other."""
    if event_type not in BODIES:
        return {}
    name, paths = BODIES[event_type]
    body: dict[str, Any] = {}
    for path, key in paths:
        if facts.get(key) is not None:
            _put(body, path, facts[key])
    return {name: body} if body else {}


def _put(body: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *parents, leaf = path
    for parent in parents:
        body = body.setdefault(parent, {})
    body[leaf] = value


