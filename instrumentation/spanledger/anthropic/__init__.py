"""Instruments the `anthropic` SDK: one span, one hand-over and one set of metrics for each message it asks for."""

from __future__ import annotations

from collections.abc import Sequence

from spanledger.invocation import ClientInstrumentor, Patch, Rival, Telemetry, observe, observe_async

__all__ = ["AnthropicInstrumentor"]

_CLIENTS = "anthropic._base_client"


class AnthropicInstrumentor(ClientInstrumentor):
    """Records every message that an `Anthropic` client asks for, on whichever platform and through whichever method."""

    library = "anthropic"
    oldest = (2, 0)
    entry_point = "spanledger_anthropic"
    rivals = (
        Rival("opentelemetry.instrumentation.genai.anthropic", "AnthropicInstrumentor", "anthropic", listens=True),
        Rival("opentelemetry.instrumentation.anthropic", "AnthropicInstrumentor", "anthropic", listens=False),
        Rival("openinference.instrumentation.anthropic", "AnthropicInstrumentor", "anthropic", listens=False),
        Rival("openlit.instrumentation.anthropic", "AnthropicInstrumentor", "anthropic", listens=False),
    )

    def patches(self, telemetry: Telemetry) -> Sequence[Patch]:
        """Return the one method that every call goes through, and the SDK's own span."""
        from spanledger.anthropic.exchange import open_exchange  # noqa: PLC0415  # only applications that use the SDK
        from spanledger.anthropic.native import one_span_per_call  # noqa: PLC0415  # as above

        return (
            Patch(_CLIENTS, "SyncAPIClient.request", observe(telemetry, self.library, open_exchange)),
            Patch(_CLIENTS, "AsyncAPIClient.request", observe_async(telemetry, self.library, open_exchange)),
            Patch(_CLIENTS, "start_api_call_span", one_span_per_call(telemetry)),
        )
