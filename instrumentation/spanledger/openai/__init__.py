"""Instruments the `openai` client library: every HTTP method that answers with what a model made (see OPENAI.md).

Nothing of the SDK is imported: the patches are installed when the application imports it.
"""

from __future__ import annotations

from collections.abc import Sequence

from spanledger.invocation import ClientInstrumentor, Patch, Rival, Telemetry, observe, observe_async
from spanledger.invocation.observe import OpenExchange
from spanledger.openai.chat import open_chat
from spanledger.openai.completions import open_completion
from spanledger.openai.embeddings import open_embedding
from spanledger.openai.generated_content import DECISION, IMAGE, TEXT_FROM_AUDIO, open_content
from spanledger.openai.include_usage import is_wanted
from spanledger.openai.responses import open_cancel, open_fetch, open_response
from spanledger.openai.structured_output import parser_patches

__all__ = ["OpenAIInstrumentor"]

_CHAT = "chat.completions.completions"
_RESPONSES = "responses.responses"
_RESPONSE_METHODS = (
    ("create", open_response),
    ("compact", open_response),
    ("retrieve", open_fetch),
    ("cancel", open_cancel),
)
_IMAGE = open_content(IMAGE)
_TEXT_FROM_AUDIO = open_content(TEXT_FROM_AUDIO)


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
        asks_for_usage = is_wanted()
        chat = open_chat(asks_for_usage=asks_for_usage)
        observed: tuple[tuple[str, str, str, OpenExchange], ...] = (
            (_CHAT, "Completions", "create", chat),
            (_CHAT, "Completions", "parse", chat),
            ("completions", "Completions", "create", open_completion(asks_for_usage=asks_for_usage)),
            ("embeddings", "Embeddings", "create", open_embedding),
            (_RESPONSES, "Responses", "parse", open_response),
            *(
                (module, "Responses", method, open_exchange)
                for module in (_RESPONSES, f"beta.{_RESPONSES}")
                for method, open_exchange in _RESPONSE_METHODS
            ),
            *(("images", "Images", method, _IMAGE) for method in ("generate", "edit", "create_variation")),
            ("audio.transcriptions", "Transcriptions", "create", _TEXT_FROM_AUDIO),
            ("audio.translations", "Translations", "create", _TEXT_FROM_AUDIO),
            ("decisions", "Decisions", "create", open_content(DECISION)),
        )
        return parser_patches(telemetry) + [
            Patch(
                f"openai.resources.{module}",
                f"{prefix}{owner}.{method}",
                wrapper(telemetry, self.library, open_exchange),
            )
            for module, owner, method, open_exchange in observed
            for prefix, wrapper in (("", observe), ("Async", observe_async))
        ]
