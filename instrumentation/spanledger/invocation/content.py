"""Message content on spans (JSON strings) and events (structured values), where the user asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spanledger.invocation.deferred import resolved
from spanledger.invocation.digests import compact_json
from spanledger_semconv import attributes as names
from spanledger_semconv.invocation import InvocationRequest, InvocationResult


def content_values(request: InvocationRequest, result: InvocationResult) -> dict[str, Any]:
    """Give the four content attributes as structured values; an empty one is left out."""
    values = {
        names.GEN_AI_SYSTEM_INSTRUCTIONS: resolved(request.system_instructions) or resolved(result.system_instructions),
        names.GEN_AI_INPUT_MESSAGES: resolved(request.input_messages),
        names.GEN_AI_OUTPUT_MESSAGES: resolved(result.output_messages),
        names.GEN_AI_TOOL_DEFINITIONS: resolved(request.tool_definitions),
    }
    return {name: value for name, value in values.items() if value}


def content_attributes(values: Mapping[str, Any]) -> dict[str, str]:
    """Content values as span attributes: one compact JSON string each."""
    return {name: compact_json(value) for name, value in values.items()}
