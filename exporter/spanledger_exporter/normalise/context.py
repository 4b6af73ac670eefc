"""Business context of a row: who acts, for which case, under which tenant and versions.

Sources, later ones win: OpenTelemetry baggage entries whose key starts with `spanledger.` (so that context crosses
services and languages), what the public API put into the OpenTelemetry context, the span's own attributes.
All three speak the same `spanledger.*` attribute names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from opentelemetry import baggage
from opentelemetry.context import Context

from spanledger_semconv import attributes as keys

PREFIX: Final = "spanledger."
_FREE: Final = keys.SPANLEDGER_CONTEXT + "."

_ACTOR: Final = (
    ("type", keys.SPANLEDGER_ACTOR_TYPE),
    ("id", keys.SPANLEDGER_ACTOR_ID),
    ("role", keys.SPANLEDGER_ACTOR_ROLE),
    ("run_id", keys.SPANLEDGER_ACTOR_RUN_ID),
)
ACTOR_KEYS: Final = frozenset(key for _, key in _ACTOR)
CONTEXT_KEYS: Final = frozenset(
    {
        keys.SPANLEDGER_CASE_ID,
        keys.SPANLEDGER_SESSION_ID,
        keys.SPANLEDGER_USER_ID,
        keys.SPANLEDGER_TRIGGER,
        keys.SPANLEDGER_TENANT,
        keys.SPANLEDGER_ENVIRONMENT,
        keys.USER_ID,
        keys.ENDUSER_ID,
        keys.SESSION_ID,
    }
)


def inherited_facts(context: Context | None) -> dict[str, Any]:
    """Return the `spanledger.*` attributes that travel in `context`, or in the current one."""
    found = baggage.get_all(context)
    return {key: value for key, value in found.items() if key.startswith(PREFIX)} if found else {}


def actor_of(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the envelope's `actor`: as said, else the agent that the span names."""
    actor = {name: facts[key] for name, key in _ACTOR if facts.get(key) is not None}
    if not actor and (agent := facts.get(keys.GEN_AI_AGENT_ID) or facts.get(keys.GEN_AI_AGENT_NAME)):
        return {"type": "agent", "id": agent}
    return actor or None


def context_of(facts: Mapping[str, Any], *, tokenise: Callable[[str], str]) -> dict[str, Any] | None:
    """Return the envelope's `context`; a user id goes through `tokenise` first."""
    user = facts.get(keys.SPANLEDGER_USER_ID) or facts.get(keys.USER_ID) or facts.get(keys.ENDUSER_ID)
    session = (
        facts.get(keys.SPANLEDGER_SESSION_ID) or facts.get(keys.SESSION_ID) or facts.get(keys.GEN_AI_CONVERSATION_ID)
    )
    found = {
        "case_id": facts.get(keys.SPANLEDGER_CASE_ID),
        "session_id": session,
        "user_id": tokenise(str(user)) if user else None,
        "trigger": facts.get(keys.SPANLEDGER_TRIGGER),
    }
    free = {key.removeprefix(_FREE): value for key, value in facts.items() if key.startswith(_FREE)}
    context = {**free, **{key: value for key, value in found.items() if value is not None}}
    return context or None
