"""Metric names, units and bucket boundaries (semantic-conventions-genai, 2026-11).

The conventions are changing names: `INFERENCE_*` are the new ones, `LEGACY_*` are what the official instrumentations
still emit and what existing dashboards read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One instrument. `unit` is UCUM; `buckets` are the explicit boundaries of a histogram, in `unit`."""

    name: str
    kind: Literal["histogram", "counter"]
    unit: str
    description: str
    buckets: tuple[float, ...] = ()


DURATION_BUCKETS: Final = (
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
    20.48,
    40.96,
    81.92,
)
"""Seconds; one client call, one tool."""

TOKEN_BUCKETS: Final = tuple(float(4**power) for power in range(14))
"""Tokens; powers of four up to 67,108,864."""

AGENT_BUCKETS: Final = tuple(round(0.1 * 2**power, 1) for power in range(13))
"""Seconds; one agent run, up to 409.6."""

WORKFLOW_BUCKETS: Final = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
"""Seconds; one workflow run."""

MCP_BUCKETS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds; one MCP operation or session."""


def _duration(name: str, description: str, buckets: tuple[float, ...] = DURATION_BUCKETS) -> Metric:
    return Metric(name, "histogram", "s", description, buckets)


def _tokens(kind: str) -> Metric:
    name = f"gen_ai.client.inference.usage.{kind}"
    return Metric(name, "counter", "{token}", f"Tokens reported as {kind}, summed.")


INFERENCE_DURATION: Final = _duration("gen_ai.client.inference.duration", "Time of one model call, retries included.")
INFERENCE_TIME_TO_FIRST_CHUNK: Final = _duration(
    "gen_ai.client.inference.time_to_first_chunk", "Time from the request to the first chunk of a stream."
)
INFERENCE_TIME_PER_OUTPUT_CHUNK: Final = _duration(
    "gen_ai.client.inference.time_per_output_chunk", "Mean time between the chunks of a stream after the first."
)
INFERENCE_INPUT_TOKENS: Final = Metric(
    "gen_ai.client.inference.operation.input_tokens",
    "histogram",
    "{token}",
    "Input tokens of one model call.",
    TOKEN_BUCKETS,
)
INFERENCE_OUTPUT_TOKENS: Final = Metric(
    "gen_ai.client.inference.operation.output_tokens",
    "histogram",
    "{token}",
    "Output tokens of one model call.",
    TOKEN_BUCKETS,
)
USAGE_INPUT_TOKENS: Final = _tokens("input_tokens")
USAGE_OUTPUT_TOKENS: Final = _tokens("output_tokens")
USAGE_CACHE_READ_INPUT_TOKENS: Final = _tokens("cache_read.input_tokens")
USAGE_CACHE_WRITE_INPUT_TOKENS: Final = _tokens("cache_write.input_tokens")
USAGE_REASONING_OUTPUT_TOKENS: Final = _tokens("reasoning.output_tokens")

OPERATION_DURATION: Final = _duration(
    "gen_ai.client.operation.duration", "Time of one client operation that is not inference."
)
LEGACY_TIME_TO_FIRST_CHUNK: Final = _duration(
    "gen_ai.client.operation.time_to_first_chunk", "Time from the request to the first chunk of a stream."
)
LEGACY_TIME_PER_OUTPUT_CHUNK: Final = _duration(
    "gen_ai.client.operation.time_per_output_chunk", "Mean time between the chunks of a stream after the first."
)
LEGACY_TOKEN_USAGE: Final = Metric(
    "gen_ai.client.token.usage", "histogram", "{token}", "Tokens of one call, by token type.", TOKEN_BUCKETS
)

INVOKE_AGENT_DURATION: Final = _duration("gen_ai.invoke_agent.duration", "Time of one agent run.", AGENT_BUCKETS)
INVOKE_WORKFLOW_DURATION: Final = _duration(
    "gen_ai.invoke_workflow.duration", "Time of one workflow run.", WORKFLOW_BUCKETS
)
EXECUTE_TOOL_DURATION: Final = _duration("gen_ai.execute_tool.duration", "Time of one tool call.")
MCP_CLIENT_OPERATION_DURATION: Final = _duration("mcp.client.operation.duration", "One MCP request.", MCP_BUCKETS)
MCP_SERVER_OPERATION_DURATION: Final = _duration("mcp.server.operation.duration", "One MCP request.", MCP_BUCKETS)
