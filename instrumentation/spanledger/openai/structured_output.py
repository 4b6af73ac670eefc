"""Sees an answer before the caller's own output format is applied to it.

`parse()` validates what the model wrote against the caller's class, and may well fail. The tokens are spent
all the same, so the answer is remembered for the record before the SDK turns it into what the caller asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.context import get_current

from spanledger.invocation import Patch
from spanledger.invocation.call import EXCHANGE_KEY
from spanledger.invocation.telemetry import Telemetry

_PARSERS = (
    ("openai.lib._chat_completion_resources", "_parse_chat_completion", "chat_completion"),
    ("openai.lib._response_resources", "parse_response", "response"),
    # Where they are called in 3.0; a release has one place or the other.
    ("openai.resources.chat.completions.completions", "_parse_chat_completion", "chat_completion"),
    ("openai.resources.responses.responses", "parse_response", "response"),
)


def parser_patches(telemetry: Telemetry) -> list[Patch]:
    """Give the patches of the SDK's own parsers of structured output."""
    return [Patch(module, function, _remember(telemetry, argument)) for module, function, argument in _PARSERS]


def _remember(telemetry: Telemetry, argument: str) -> Callable[..., Any]:
    def remember(wrapped: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        exchange: Any = get_current().get(EXCHANGE_KEY) if telemetry.active else None
        if exchange is not None and hasattr(exchange, "arrived"):
            exchange.arrived = kwargs.get(argument)
        return wrapped(*args, **kwargs)

    return remember
