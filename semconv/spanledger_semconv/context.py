"""Business context: how case, actor, session and versions in force reach the row of every span inside a block.

Rules
- The public API keeps a plain dict `{attribute id: value}` in the OpenTelemetry context under `BUSINESS_CONTEXT_KEY`;
  it is replaced, never changed, so that a task or thread that copied the context keeps what it saw.
- The keys in `PROPAGATED` also travel as baggage under the same names, so that another service's rows carry them.
  Baggage leaves the process in request headers, to third parties too: nothing that names a person is in that list,
  and `spanledger.context.*` stays in the process.
- What the process itself set wins over what came with a request; a span's own attribute wins over both.
- Baggage is text from outside: a value longer than `MAX_BAGGAGE_CHARACTERS` is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanledger_semconv import attributes as keys

BUSINESS_CONTEXT_KEY: Final = "spanledger-business-context"
"""Key in the OpenTelemetry context under which the dict is found."""

MAX_BAGGAGE_CHARACTERS: Final = 512

PROPAGATED: Final = frozenset(
    {
        keys.SPANLEDGER_CASE_ID,
        keys.SPANLEDGER_SESSION_ID,
        keys.SPANLEDGER_TRIGGER,
        keys.SPANLEDGER_ACTOR_TYPE,
        keys.SPANLEDGER_ACTOR_ID,
        keys.SPANLEDGER_ACTOR_ROLE,
        keys.SPANLEDGER_ACTOR_RUN_ID,
        keys.GEN_AI_PROMPT_NAME,
        keys.GEN_AI_PROMPT_VERSION,
        keys.SPANLEDGER_RETRIEVAL_INDEX_NAME,
        keys.SPANLEDGER_RETRIEVAL_INDEX_VERSION,
        keys.SPANLEDGER_POLICY_NAME,
        keys.SPANLEDGER_POLICY_VERSION,
        keys.SPANLEDGER_DATASET_NAME,
        keys.SPANLEDGER_DATASET_VERSION,
        keys.SPANLEDGER_WORKFLOW_ID,
        keys.SPANLEDGER_WORKFLOW_VERSION,
    }
)
"""Attributes that travel to other services as baggage."""

_NOTHING: Final[Mapping[str, Any]] = {}


def read_business_context(context: Mapping[str, Any], baggage: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `{attribute id: value}` for a span that starts in `context`; read-only, possibly shared.

    `context` is the OpenTelemetry context (a mapping), `baggage` is what its baggage holds.
    """
    local: Mapping[str, Any] = context.get(BUSINESS_CONTEXT_KEY) or _NOTHING
    if not baggage:
        return local
    remote = {key: value for key, value in baggage.items() if _is_accepted(key, value)}
    return {**remote, **local} if remote else local


def _is_accepted(key: str, value: Any) -> bool:
    return key in PROPAGATED and isinstance(value, str) and 0 < len(value) <= MAX_BAGGAGE_CHARACTERS
