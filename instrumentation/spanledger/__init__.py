"""What an application imports or is patched by: instrumentors, and the small public API.

    from spanledger import actor, case, decision, external_action, review, tool

The API makes OpenTelemetry spans and context only; it works, and costs next to nothing, without the exporter.
Names are loaded when they are first used: `import spanledger` imports nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spanledger.business_context import BusinessContext as BusinessContext
    from spanledger.business_context import actor as actor
    from spanledger.business_context import case as case
    from spanledger.business_context import context as context
    from spanledger.business_context import dataset as dataset
    from spanledger.business_context import policy as policy
    from spanledger.business_context import retrieval_index as retrieval_index
    from spanledger.business_context import session as session
    from spanledger.business_context import trigger as trigger
    from spanledger.records import ExternalAction as ExternalAction
    from spanledger.records import Reviewing as Reviewing
    from spanledger.records import current_event_id as current_event_id
    from spanledger.records import decision as decision
    from spanledger.records import escalation as escalation
    from spanledger.records import external_action as external_action
    from spanledger.records import review as review
    from spanledger.records import reviewing as reviewing
    from spanledger.steps import Step as Step
    from spanledger.steps import agent as agent
    from spanledger.steps import prompt as prompt
    from spanledger.steps import retrieval as retrieval
    from spanledger.steps import tool as tool
    from spanledger.steps import workflow as workflow
    from spanledger_semconv.invocation import CallRefusedError as CallRefusedError

__all__ = [
    "BusinessContext",
    "CallRefusedError",
    "ExternalAction",
    "Reviewing",
    "Step",
    "actor",
    "agent",
    "case",
    "context",
    "current_event_id",
    "dataset",
    "decision",
    "escalation",
    "external_action",
    "policy",
    "prompt",
    "retrieval",
    "retrieval_index",
    "review",
    "reviewing",
    "session",
    "tool",
    "trigger",
    "workflow",
]

_HOMES = {
    "spanledger.business_context": (
        "BusinessContext",
        "actor",
        "case",
        "context",
        "dataset",
        "policy",
        "retrieval_index",
        "session",
        "trigger",
    ),
    "spanledger.records": (
        "ExternalAction",
        "Reviewing",
        "current_event_id",
        "decision",
        "escalation",
        "external_action",
        "review",
        "reviewing",
    ),
    "spanledger.steps": ("Step", "agent", "prompt", "retrieval", "tool", "workflow"),
    "spanledger_semconv.invocation": ("CallRefusedError",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'spanledger' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value  # found without us from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
