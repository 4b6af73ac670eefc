"""A stand-in for the audit processor that keeps what it is handed, for tests of the instrumentors."""

from __future__ import annotations

from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from spanledger_semconv.invocation import CONTEXT_KEY, Invocation, InvocationRequest, InvocationResult


class Recorded(SpanProcessor):
    """Keeps every span and every hand-over, as the audit processor would."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.handed_over: list[Invocation] = []
        self.refusal: Exception | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Take the hand-over while the span starts, or refuse the call."""
        del span
        if self.refusal is not None:
            raise self.refusal
        found = None if parent_context is None else parent_context.get(CONTEXT_KEY)
        if isinstance(found, Invocation):
            list(found.request.input_messages)  # the intent row reads what is about to be sent
            self.handed_over.append(found)

    def on_end(self, span: ReadableSpan) -> None:
        """Keep the span."""
        self.spans.append(span)

    @property
    def span(self) -> ReadableSpan:
        """The only span."""
        assert len(self.spans) == 1, [span.name for span in self.spans]
        return self.spans[0]

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of the only span."""
        return dict(self.span.attributes or {})

    @property
    def usage(self) -> dict[str, Any]:
        """The token counts on the only span, by the end of their names."""
        prefix = "gen_ai.usage."
        return {name.removeprefix(prefix): count for name, count in self.attributes.items() if name.startswith(prefix)}

    @property
    def with_usage(self) -> list[ReadableSpan]:
        """Every span that carries token counts."""
        return [span for span in self.spans if any(".usage." in name for name in span.attributes or {})]

    @property
    def request(self) -> InvocationRequest:
        """The request of the only call."""
        assert len(self.handed_over) == 1
        return self.handed_over[0].request

    @property
    def result(self) -> InvocationResult:
        """The result of the only call, which must have ended."""
        assert len(self.handed_over) == 1
        result = self.handed_over[0].result
        assert result is not None, "the call has not ended"
        return result
