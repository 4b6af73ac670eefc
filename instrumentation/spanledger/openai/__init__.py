"""Instruments the `openai` client library: chat completions, the Responses API, embeddings, legacy completions.

Nothing of the SDK is imported: the patches are installed when the application imports it.
"""

from __future__ import annotations

from collections.abc import Sequence

from spanledger.invocation import ClientInstrumentor, Patch, Rival, Telemetry, observe, observe_async
from spanledger.invocation.observe import OpenExchange
from spanledger.openai.chat import open_chat
from spanledger.openai.completions import open_completion
from spanledger.openai.embeddings import open_embedding
from spanledger.openai.include_usage import is_wanted
from spanledger.openai.responses import open_fetch, open_response
from spanledger.openai.structured_output import parser_patches

__all__ = ["OpenAIInstrumentor"]

_CHAT = "openai.resources.chat.completions.completions"
_COMPLETIONS = "openai.resources.completions"
_EMBEDDINGS = "openai.resources.embeddings"
_RESPONSES = "openai.resources.responses.responses"


class OpenAIInstrumentor(ClientInstrumentor):
    """Records every inference made with the OpenAI SDK."""

    library = "openai"
    oldest = (3, 0)
    entry_point = "spanledger_openai"
    rivals = (
        Rival("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor", "openai", listens=True),
        Rival("opentelemetry.instrumentation.openai_v2", "OpenAIInstrumentor", "openai", listens=False),
        Rival("opentelemetry.instrumentation.openai", "OpenAIInstrumentor", "openai", listens=True),
        Rival("openinference.instrumentation.openai", "OpenAIInstrumentor", "openai", listens=False),
        Rival("openlit.instrumentation.openai", "OpenAIInstrumentor", "openlit", listens=False),
    )

    def patches(self, telemetry: Telemetry) -> Sequence[Patch]:
        """Give every method to wrap, sync and async."""
        asks_for_usage = is_wanted()
        chat = open_chat(asks_for_usage=asks_for_usage)
        observed: tuple[tuple[str, str, str, OpenExchange], ...] = (
            (_CHAT, "Completions", "create", chat),
            (_CHAT, "Completions", "parse", chat),
            (_COMPLETIONS, "Completions", "create", open_completion(asks_for_usage=asks_for_usage)),
            (_EMBEDDINGS, "Embeddings", "create", open_embedding),
            (_RESPONSES, "Responses", "create", open_response),
            (_RESPONSES, "Responses", "parse", open_response),
            (_RESPONSES, "Responses", "retrieve", open_fetch),
        )
        return parser_patches(telemetry) + [
            Patch(module, f"{prefix}{owner}.{method}", wrapper(telemetry, self.library, open_exchange))
            for module, owner, method, open_exchange in observed
            for prefix, wrapper in (("", observe), ("Async", observe_async))
        ]
