"""A call is matched to its registered prompt, with no change to the application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from spanledger import prompt
from spanledger_exporter.prompts.prompt_file import Prompt
from spanledger_exporter.prompts.registry import save_prompts

TRIAGE = Prompt("triage", "1.2.0", "You sort alerts for a bank.\nAlert: {alert}")


@pytest.fixture
def call(provider: TracerProvider, tmp_path: Path) -> Any:
    """Register a prompt, and give a function that makes a model call with some system text."""
    save_prompts(tmp_path / "prompts.json", [TRIAGE])

    def call(text: str, operation: str = "chat") -> None:
        messages = [{"role": "system", "parts": [{"type": "text", "content": text}]}]
        attributes = {"gen_ai.operation.name": operation, "gen_ai.input.messages": json.dumps(messages)}
        provider.get_tracer("any").start_span("chat", attributes=attributes).end()

    return call


def snapshots(ledger: Any) -> list[dict[str, Any]]:
    """Return the `prompt` of every row's snapshot, intents included."""
    return [envelope.get("snapshot", {}).get("prompt") for envelope in ledger.envelopes()]


def test_a_call_made_from_a_registered_prompt_has_its_name_and_version(ledger: Any, call: Any) -> None:
    """In the intent and in the completion."""
    call("You sort alerts for a bank.\nAlert: 40 failures")
    assert snapshots(ledger) == [{"name": "triage", "version": "1.2.0", "match": "content"}] * 2


def test_a_call_that_no_registered_prompt_made_says_so(ledger: Any, call: Any) -> None:
    """Somebody may want to register it."""
    call("Something else.")
    assert snapshots(ledger) == [{"match": "unmatched"}] * 2


def test_what_the_application_declares_is_never_replaced(ledger: Any, call: Any) -> None:
    """It knows better."""
    with prompt("own", version="3"):
        call("You sort alerts for a bank.\nAlert: 40 failures")
    assert snapshots(ledger)[-1] == {"name": "own", "version": "3", "match": "declared"}


def test_only_model_calls_are_matched(ledger: Any, call: Any) -> None:
    """An embedding of the same text is no use of the prompt."""
    call("You sort alerts for a bank.\nAlert: 40 failures", "embeddings")
    assert snapshots(ledger) == [None]
