"""Which methods of the `openai` SDK are observed, and how each is read.

A module of its own because it brings in all the readers: it is imported when the application imports the SDK.
"""

from __future__ import annotations

from typing import Any

from spanledger.invocation import Patch, Telemetry, observe, observe_async
from spanledger.invocation.observe import Exchange, OpenExchange
from spanledger.invocation.read_once import keep_arguments
from spanledger.openai.chat import open_chat
from spanledger.openai.completions import open_completion
from spanledger.openai.embeddings import open_embedding
from spanledger.openai.generated_content import DECISION, IMAGE, TEXT_FROM_AUDIO, open_content
from spanledger.openai.include_usage import is_wanted
from spanledger.openai.responses import open_cancel, open_fetch, open_response
from spanledger.openai.structured_output import parser_patches
from spanledger_semconv.invocation import CallSite

_LIBRARY = "openai"
_CHAT = "chat.completions.completions"
_RESPONSES = "responses.responses"
_RESPONSE_METHODS = (
    ("create", open_response),
    ("compact", open_response),
    ("retrieve", open_fetch),
    ("cancel", open_cancel),
)
_READ_ONCE = ("messages", "input", "tools", "prompt")
_IMAGE = open_content(IMAGE)
_TEXT_FROM_AUDIO = open_content(TEXT_FROM_AUDIO)


def openai_patches(telemetry: Telemetry) -> list[Patch]:
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
            wrapper(telemetry, _LIBRARY, _kept_for_two(open_exchange)),
        )
        for module, owner, method, open_exchange in observed
        for prefix, wrapper in (("", observe), ("Async", observe_async))
    ]


def _kept_for_two(open_exchange: OpenExchange) -> OpenExchange:
    """Let a call be described whose messages, input or tools are an iterator, which the SDK has to read too."""

    def open_kept(
        resource: Any, args: tuple[Any, ...], arguments: dict[str, Any], site: CallSite | None
    ) -> Exchange | None:
        if not keep_arguments(arguments, _READ_ONCE):
            return None  # the SDK meets the same items and the same exception, and nothing is sent
        return open_exchange(resource, args, arguments, site)

    return open_kept
