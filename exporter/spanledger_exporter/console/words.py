"""Words for people who are not engineers: kinds of events, states, parts of a conversation, and a glossary.

Rules
- A word here explains, it never replaces what was recorded: the event's own page shows the envelope as it is.
- What nobody foresaw is shown as it was recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from spanledger_exporter.read.event import Event

STATES: Final = {
    "recorded": "written down on the host where it happened, not in the store yet",
    "stored": "in the store, not under a signature yet",
    "sealed": "under a signed checkpoint",
    "anchored": "under a signed checkpoint that an anchor outside the store holds",
    "altered": "not what was recorded: its bytes do not hash to its row hash; `verify` says more",
}

KINDS: Final = {
    "model_call": "Model call",
    "embedding": "Embedding",
    "tool_call": "Tool call",
    "retrieval": "Retrieval",
    "agent_run": "Agent run",
    "workflow_run": "Workflow run",
    "human_review": "Human review",
    "decision": "Decision",
    "external_action": "External action",
    "escalation": "Escalation",
    "evaluation": "Evaluation",
    "access": "Access",
    "memory": "Memory",
}

GLOSSARY: Final = {
    "Model call": "a question to a language model and its answer, with the exact model and version of its instructions",
    "Tool call": "the AI used a program, for example looked something up",
    "Retrieval": "documents that were searched for and given to the model",
    "External action": "something was done outside, for example an address was blocked",
    "incomplete": "it began and its end was never recorded: the program was stopped, or it is still running",
    "cancelled": "whoever asked did not wait for the whole answer",
    "default branch": "no rule applied, so the fallback was taken",
    "confidence": "how sure the AI said it was, from 0 to 1",
    "tokens": "pieces of words, the unit in which models read, write and are paid for",
    "version 3fa4b1c2": "eight letters and digits stand for a fingerprint: nobody gave this a version of its own",
    **STATES,
}
"""What the words of a timeline mean."""

_ROLES: Final = {
    "system": "instructions to the model",
    "user": "input",
    "assistant": "answer of the model",
    "tool": "result of a tool",
}
_TYPES: Final = {
    "tool_call": "the model asks for a tool",
    "tool_call_response": "result of a tool",
    "server_tool_call": "the provider used a tool",
    "server_tool_call_response": "result of the provider's tool",
    "tool_definition": "tool that the model may use",
    "arguments": "given to the tool",
    "result": "result of the tool",
    "template": "template of the instructions",
    "query": "searched for",
    "document": "document found",
    "documents": "documents found",
    "rationale": "reason",
    "draft": "draft that was reviewed",
    "final": "version that may pass",
    "diff": "changes from draft to final",
}
_OPERATIONS: Final = {
    "model_call": ("chat ", "text_completion ", "generate_content "),
    "embedding": ("embeddings ",),
    "tool_call": ("execute_tool ",),
    "retrieval": ("retrieval ",),
    "agent_run": ("invoke_agent ", "create_agent "),
    "workflow_run": ("invoke_workflow ",),
    "decision": ("decision ",),
    "human_review": ("review ",),
    "escalation": ("escalation ",),
    "external_action": ("external_action ",),
}
"""First words of span names that the kind of the event says already."""

_MAX_FIELDS: Final = 12
_MAX_DEPTH: Final = 3
_MAX_LENGTH: Final = 4_000


def format_kind(event_type: str) -> str:
    """Return an event type in plain words."""
    return KINDS.get(event_type, event_type.replace("_", " ").replace(".", " ").capitalize())


def heading(event: Event) -> str:
    """Return the event's name without what its kind says already: `whois` for `execute_tool whois`."""
    name = event.text("name")
    for prefix in _OPERATIONS.get(event.event_type, ()):
        name = name.removeprefix(prefix) or name
    return name or format_kind(event.event_type)


def part_label(item: Mapping[str, Any], event_type: str) -> str:
    """Return what a part of a conversation is: `instructions to the model`, `searched for`."""
    kind, role = str(item.get("type") or "text"), str(item.get("role", ""))
    if kind == "reasoning":
        return "reason given by the reviewer" if event_type == "human_review" else "reasoning of the model"
    if kind == "tool_call" and event_type == "tool_call":
        return _TYPES["arguments"]
    if kind in {"text", "json"}:
        roles = _ROLES if event_type == "model_call" else _ROLES | {"assistant": "result"}
        return roles.get(role, role or "content")
    return _TYPES.get(kind, kind.replace("_", " "))


def fields(text: str) -> list[tuple[str, str]]:
    """Return the members of a small JSON document as names and values; empty for one that is better left whole."""
    if len(text) > _MAX_LENGTH:
        return []
    try:
        found = list(_members(json.loads(text, parse_int=str, parse_float=str), ()))
    except (json.JSONDecodeError, RecursionError):
        return []
    if len(found) > _MAX_FIELDS or any(len(path) > _MAX_DEPTH or not path for path, _ in found):
        return []
    return [(" · ".join(path).replace("_", " "), value) for path, value in found if path != ("type",)]


def _members(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from _members(member, (*path, str(name)))
    elif isinstance(value, list) and any(isinstance(member, (dict, list)) for member in value):
        for number, member in enumerate(value, 1):
            yield from _members(member, path if len(value) == 1 else (*path, str(number)))
    else:
        yield path, _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, list) and value:
        return ", ".join(map(_scalar, value))
    return value if isinstance(value, str) else json.dumps(value)
