"""Keeps Anthropic's own span out of calls that are recorded already.

Since version 2 the SDK makes a client span with usage for every call, by default. Where a call is recorded by us, or
by another GenAI instrumentation for which we step aside, the SDK gets a view of the span that is current: it
still sends that span's trace context with the request, as its `propagation` option promises, and writes nothing.
Token counts, batches, sessions, tool runners and tool uses keep the SDK's spans, and so do clients while the
instrumentor is off. See adr/0002.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.trace import NonRecordingSpan, get_current_span

from spanledger.invocation import Telemetry

_INFERENCE_SPAN = "anthropic.messages.create"


def one_span_per_call(telemetry: Telemetry) -> Callable[..., Any]:
    """Return the wrapt wrapper for the SDK's `start_api_call_span`."""

    def start(wrapped: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        options = kwargs.get("options", args[2] if len(args) > 2 else None)
        if telemetry.active and getattr(options, "span_name", None) == _INFERENCE_SPAN and telemetry.is_suppressed():
            return NonRecordingSpan(get_current_span().get_span_context())
        return wrapped(*args, **kwargs)

    return start
