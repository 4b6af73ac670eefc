"""Business context of a row: who acts, for which case, under which tenant.

Sources, later ones win: OpenTelemetry baggage and what the public API put into the OpenTelemetry context (both read by
`spanledger_semconv.context`), then the span's own attributes. All speak the same attribute names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from opentelemetry import baggage
from opentelemetry.baggage import _BAGGAGE_KEY  # pyright: ignore[reportPrivateUsage]  # only to see that there is none
from opentelemetry.context import Context, get_current

from spanledger_semconv import attributes as keys
from spanledger_semconv import bodies
from spanledger_semconv.context import BUSINESS_CONTEXT_KEY, read_business_context

FOREIGN_KEYS: Final = frozenset({keys.USER_ID, keys.ENDUSER_ID, keys.SESSION_ID})
"""Keys of other vocabularies that find their place in the envelope's `context`."""

_NOTHING: Final[Mapping[str, Any]] = {}
IDENTITY_KEYS: Final = frozenset({keys.SPANLEDGER_TENANT, keys.SPANLEDGER_ENVIRONMENT})


def inherited_facts(context: Context | None) -> Mapping[str, Any]:
    """Return the attributes that travel in `context`, or in the current one; read-only."""
    if context is None:
        context = get_current()
    if _BAGGAGE_KEY not in context and BUSINESS_CONTEXT_KEY not in context:  # most contexts: said without four calls
        return _NOTHING
    return read_business_context(context, baggage.get_all(context))


def actor_of(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the envelope's `actor`: as said, else the agent that the span names."""
    actor = bodies.actor(facts)
    if not actor and (agent := facts.get(keys.GEN_AI_AGENT_ID) or facts.get(keys.GEN_AI_AGENT_NAME)):
        return {"type": "agent", "id": agent}
    return actor or None


def context_of(facts: Mapping[str, Any], *, tokenise: Callable[[str], str]) -> dict[str, Any] | None:
    """Return the envelope's `context`; a user id goes through `tokenise` first."""
    context = bodies.business_context(facts)
    user = context.get("user_id") or facts.get(keys.USER_ID) or facts.get(keys.ENDUSER_ID)
    if user:
        context["user_id"] = tokenise(str(user))
    session = facts.get(keys.SESSION_ID) or facts.get(keys.GEN_AI_CONVERSATION_ID)
    if session and "session_id" not in context:
        context["session_id"] = session
    return context or None
