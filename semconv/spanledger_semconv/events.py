"""Event types of the ledger (ledger.md section 4), how a span's operation becomes one, and a span's event id.

Rules
- An explicit `spanledger.event.type` wins; then the operation's name; then what the attributes show.
- An operation that this table does not know is a model call when it names a model, else a plain span.
- Reading a stored response again (`fetch_response`), or stopping one that is still made (`cancel_response`), is a plain
  span: counting it as a call would bill it twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanledger_semconv import attributes as keys

EVENT_TYPES: Final = frozenset(
    {
        "model_call",
        "embedding",
        "tool_call",
        "retrieval",
        "agent_run",
        "workflow_run",
        "memory",
        "evaluation",
        "span",
        "human_review",
        "decision",
        "external_action",
        "escalation",
        "artifact",
        "access",
        "retention",
        "legal_hold",
        "erasure",
        "loss",
        "config",
        "heartbeat",
        "chain.open",
        "chain.close",
        "raw",
    }
)
"""Every event type a row may have."""

HOUSEKEEPING: Final = frozenset({"access", "config", "heartbeat", "retention", "chain.open", "chain.close"})
"""Rows about the ledger itself; they never make a verdict `incomplete`."""

WITH_INTENT: Final = frozenset({"model_call", "tool_call", "external_action"})
"""Event types whose `:begin` row is durable before the request leaves the process."""

OPERATIONS: Final[Mapping[str, str]] = {
    "chat": "model_call",
    "text_completion": "model_call",
    "generate_content": "model_call",
    "embeddings": "embedding",
    "retrieval": "retrieval",
    "execute_tool": "tool_call",
    "invoke_agent": "agent_run",
    "invoke_workflow": "workflow_run",
    "create_memory_store": "memory",
    "delete_memory_store": "memory",
    "create_memory": "memory",
    "update_memory": "memory",
    "upsert_memory": "memory",
    "search_memory": "memory",
    "delete_memory": "memory",
    "fetch_response": "span",
    "cancel_response": "span",
    "create_agent": "span",
    "plan": "span",
}
"""`gen_ai.operation.name` to event type."""


def event_type(attributes: Mapping[str, Any]) -> str:
    """Return the event type of a span with these semantic-convention attributes."""
    explicit = attributes.get(keys.SPANLEDGER_EVENT_TYPE)
    if explicit in EVENT_TYPES:
        return str(explicit)
    return OPERATIONS.get(str(attributes.get(keys.GEN_AI_OPERATION_NAME))) or _by_evidence(attributes)


def _by_evidence(attributes: Mapping[str, Any]) -> str:
    if attributes.get(keys.MCP_METHOD_NAME) == "tools/call":
        return "tool_call"
    if keys.GEN_AI_REQUEST_MODEL in attributes or keys.GEN_AI_RESPONSE_MODEL in attributes:
        return "model_call"
    if keys.GEN_AI_TOOL_NAME in attributes:
        return "tool_call"
    if keys.GEN_AI_EVALUATION_NAME in attributes:
        return "evaluation"
    return "span"


def span_event_id(trace_id: int, span_id: int) -> str:
    """Return the id of a span's event, `TRACE:SPAN` in lower-case hex: what its completing row is called by."""
    both = (trace_id << 64 | span_id).to_bytes(24).hex()  # formatting large integers takes twice as long
    return f"{both[:32]}:{both[32:]}"
