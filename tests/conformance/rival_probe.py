"""Counts usage-bearing spans of real calls while another, real GenAI instrumentation is switched on besides ours.

Run by `rivals.py` inside an environment that has the rival: `rival_probe.py MODULE INSTRUMENTOR LIBRARY ORDER`.
Prints a JSON object: for each kind of call, the scopes of the spans that carry token counts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
USAGE = ("gen_ai.usage.", "llm.usage.", "llm.token_count.")
ASK: list[Any] = [{"role": "user", "content": "Is the alert real?"}]


def openai_calls(provider: Any) -> dict[str, Callable[[], object]]:
    """Give the calls of the OpenAI SDK to count."""
    client = import_module("openai").OpenAI(base_url=provider.openai_url, api_key="local")
    chat, responses = client.chat.completions, client.responses
    usage = {"stream_options": {"include_usage": True}}
    return {
        "chat": lambda: chat.create(model="gpt-5-mini", messages=ASK),
        "chat stream": lambda: list(chat.create(model="gpt-5-mini", messages=ASK, stream=True, **usage)),
        "responses": lambda: responses.create(model="gpt-5-mini", input="Is the alert real?"),
        "responses stream": lambda: list(responses.create(model="gpt-5-mini", input="Real?", stream=True)),
        "embeddings": lambda: client.embeddings.create(model="text-embedding-3-small", input="x"),
    }


def anthropic_calls(provider: Any) -> dict[str, Callable[[], object]]:
    """Give the calls of the Anthropic SDK to count; its own spans are left at their default."""
    client = import_module("anthropic").Anthropic(base_url=provider.url, api_key="local")
    ask = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": ASK}
    return {
        "messages": lambda: client.messages.create(**ask),
        "messages stream": lambda: list(client.messages.create(**ask, stream=True)),
    }


def instrumentors(arguments: list[str]) -> list[Any]:
    """Give ours and the rival in the order asked for."""
    module, name, library, order = arguments
    ours = {"openai": "OpenAIInstrumentor", "anthropic": "AnthropicInstrumentor"}[library]
    both = [getattr(import_module(f"spanledger.{library}"), ours)(), getattr(import_module(module), name)()]
    return both if order == "ours-first" else both[::-1]


def main() -> None:
    """Switch both on, make the calls, print the scopes."""
    from local_provider import LocalProvider

    exporter = InMemorySpanExporter()
    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(tracer_provider)
    for instrumentor in instrumentors(sys.argv[1:5]):
        instrumentor.instrument(skip_dep_check=True)
    counted: dict[str, list[str]] = {}
    with LocalProvider() as provider:
        calls = openai_calls(provider) if sys.argv[3] == "openai" else anthropic_calls(provider)
        for kind, call in calls.items():
            exporter.clear()
            call()
            spans = [span for span in exporter.get_finished_spans() if _has_usage(dict(span.attributes or {}))]
            counted[kind] = [span.instrumentation_scope.name if span.instrumentation_scope else "" for span in spans]
    print(json.dumps(counted))


def _has_usage(attributes: dict[str, Any]) -> bool:
    return any(name.startswith(USAGE) for name in attributes)


if __name__ == "__main__":
    main()
