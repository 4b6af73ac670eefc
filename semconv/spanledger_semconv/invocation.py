"""The neutral hand-over of one call, from whoever makes its span to whoever keeps the audit row.

Content travels beside the span, not only in it: a tracing backend gets prompts only when the user says so, the
ledger needs them always. So the immutable records that fill a span's attributes also travel in-process:

1. The instrumentor makes an `Invocation` with its `request` and puts it under `CONTEXT_KEY` into the OpenTelemetry
   context that it starts the span with; a span processor finds it in `on_start`.
2. Before it ends the span, the instrumentor sets `result`; the same processor reads it in `on_end`.

Rules
- `request` and `result` are immutable and are never changed after they were handed over.
- Messages, parts, tool definitions and documents have the JSON shapes of `spanledger_semconv.messages`.
- Attribute mappings use semantic-convention keys; a value that was not sent or reported is left out, never guessed.
- With `SPANLEDGER_ON_FAILURE=closed` and a spool that refuses the intent row, the audit processor raises
  `CallRefusedError` out of `Tracer.start_span` (the SDK lets it pass). It is the one exception of ours that an
  instrumentor lets through to the caller, before the request leaves.
- Nothing else here raises, imports OpenTelemetry, or knows a database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, dataclass_transform

CONTEXT_KEY = "spanledger-invocation"
"""Key in the OpenTelemetry context under which a span's `Invocation` is found while the span starts."""

Json = Mapping[str, Any]
Outcome = Literal["success", "error", "escalated", "cancelled", "incomplete"]
UsageSource = Literal["reported", "estimated", "unknown"]

_EMPTY: Mapping[str, Any] = {}

Record = TypeVar("Record")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def _record(kind: type[Record]) -> type[Record]:
    """Make `kind` a slotted dataclass that type checkers hold frozen, with the hash of one.

    At run time it is not: a frozen dataclass sets each field with a call, and a model call makes six of these records,
    which took three times as long.
    """
    return dataclass(slots=True, unsafe_hash=True)(kind)


class CallRefusedError(Exception):
    """The audit trail cannot be written and its owner wants such calls refused (`SPANLEDGER_ON_FAILURE=closed`)."""


@_record
class PromptIdentity:
    """Which prompt was used: `name` and `version` where somebody says so, `digest` always.

    `digest` is lower-case hex SHA-256 over the system instructions and the template-stable parts of the request.
    """

    digest: str | None = None
    name: str | None = None
    version: str | None = None


@_record
class CallSite:
    """The application code that made the call: `module`, qualified `function`, `line`."""

    module: str
    function: str
    line: int | None = None


@_record
class Usage:
    """Token counts of one call.

    `input_tokens` includes cached and cache-write tokens; the other counts are subsets or further kinds.
    A count that nobody reported is `None`, never 0. `other` holds further integer counts by envelope key,
    for example `{"input_audio": 12}`.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    other: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    source: UsageSource = "reported"


@_record
class InvocationRequest:
    """What is known before the request leaves the process; the source of the intent row.

    `attributes` holds every semantic-convention attribute known at the start (`gen_ai.request.*`, `server.*`, …)
    except content; it is what the span starts with. `tools` maps a tool's name to the lower-case hex digest of its
    definition.
    """

    operation: str
    provider: str | None = None
    model: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    system_instructions: Sequence[Json] = ()
    input_messages: Sequence[Json] = ()
    tool_definitions: Sequence[Json] = ()
    tools: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    prompt: PromptIdentity | None = None
    call_site: CallSite | None = None


@_record
class InvocationResult:
    """What came of the call. `time_to_first_chunk_s` is in seconds; `error_type` is a low-cardinality name.

    `attributes` holds every further semantic-convention attribute known at the end except content and usage.
    `system_instructions` are those that only the answer names: a fetched response repeats what it was made with.
    """

    outcome: Outcome
    response_id: str | None = None
    model: str | None = None
    finish_reasons: Sequence[str] = ()
    usage: Usage | None = None
    output_messages: Sequence[Json] = ()
    time_to_first_chunk_s: float | None = None
    error_type: str | None = None
    error_message: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    system_instructions: Sequence[Json] = ()


@dataclass(slots=True)
class Invocation:
    """The mutable holder of one call's two immutable records; it lives as long as its span is open.

    `is_taken` is set by the processor that took it: a child span that inherits the context finds it taken.
    """

    request: InvocationRequest
    result: InvocationResult | None = None
    is_taken: bool = False
