"""Instruments the `openai` client library: every HTTP method that answers with what a model made (see OPENAI.md).

Nothing of the SDK is imported: the patches are installed when the application imports it.
"""

from __future__ import annotations

from collections.abc import Sequence

from spanledger.invocation import ClientInstrumentor, Patch, Rival, Telemetry

__all__ = ["OpenAIInstrumentor"]


class OpenAIInstrumentor(ClientInstrumentor):
    """Records every inference made with the OpenAI SDK."""

    library = "openai"
    oldest = (3, 0)
    entry_point = "spanledger_openai"
    rivals = (
        Rival("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor", "openai", listens=True),
        Rival("opentelemetry.instrumentation.openai_v2", "OpenAIInstrumentor", "openai", listens=False),
        Rival("opentelemetry.instrumentation.openai", "OpenAIInstrumentor", "openai", listens=False),
        Rival("openinference.instrumentation.openai", "OpenAIInstrumentor", "openai", listens=False),
        Rival("openlit.instrumentation.openai", "OpenAIInstrumentor", "openlit", listens=False),
    )

    def patches(self, telemetry: Telemetry) -> Sequence[Patch]:
        """Give every method to wrap, sync and async."""
        from spanledger.openai.methods import openai_patches  # noqa: PLC0415  # only applications that use the SDK

        return openai_patches(telemetry)
