"""Words that people who are not engineers read."""

from __future__ import annotations

import pytest

from ledger_story import tell
from ledgers import Ledger
from spanledger_exporter.console.words import GLOSSARY, STATES, fields, heading, part_label
from spanledger_exporter.read.event import Event


def event(event_type: str, name: str) -> Event:
    """Return an event with nothing but a kind and a name."""
    return Event({"event_type": event_type, "name": name}, "c" * 32, 1, "h" * 64, 0)


@pytest.mark.parametrize(
    ("event_type", "name", "said"),
    [
        ("tool_call", "execute_tool whois", "whois"),
        ("model_call", "chat gpt-5", "gpt-5"),
        ("model_call", "chat ", "chat "),
        ("model_call", "summarise", "summarise"),
        ("span", "chat gpt-5", "chat gpt-5"),
        ("agent_run", "", "Agent run"),
        ("escalation", "escalation second line", "second line"),
        ("external_action", "external_action refund", "refund"),
    ],
)
def test_a_heading_leaves_out_what_the_kind_says_already(event_type: str, name: str, said: str) -> None:
    """And never becomes empty."""
    assert heading(event(event_type, name)) == said


@pytest.mark.parametrize(
    ("item", "event_type", "said"),
    [
        ({"type": "text", "role": "system"}, "model_call", "instructions to the model"),
        ({"type": "text", "role": "user"}, "model_call", "input"),
        ({"type": "text", "role": "developer"}, "model_call", "developer"),
        ({"role": "assistant"}, "model_call", "answer of the model"),
        ({"type": "json", "role": "assistant"}, "workflow_run", "result"),
        ({"type": "json"}, "agent_run", "content"),
        ({"type": "tool_call"}, "model_call", "the model asks for a tool"),
        ({"type": "tool_call"}, "tool_call", "given to the tool"),
        ({"type": "reasoning"}, "model_call", "reasoning of the model"),
        ({"type": "reasoning"}, "human_review", "reason given by the reviewer"),
        ({"type": "revised_prompt"}, "model_call", "revised prompt"),
    ],
)
def test_a_part_says_what_it_is(item: dict[str, str], event_type: str, said: str) -> None:
    """Also one that nobody foresaw."""
    assert part_label(item, event_type) == said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"ip":"10.0.0.7","tries":40}', [("ip", "10.0.0.7"), ("tries", "40")]),
        ('{"type":"tool_call","arguments":{"max_rows":5}}', [("arguments · max rows", "5")]),
        ('[{"id":"a"},{"id":"b"}]', [("1 · id", "a"), ("2 · id", "b")]),
        ('[{"id":"a"}]', [("id", "a")]),
        ('{"empty":{},"none":null,"list":[1,2]}', [("empty", "{}"), ("none", "null"), ("list", "1, 2")]),
    ],
)
def test_a_small_document_is_shown_as_names_and_values(text: str, shown: list[tuple[str, str]]) -> None:
    """Nobody has to read braces; nothing but the type, which the label says, is left out."""
    assert fields(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "plain words",
        '"text"',
        "[1,2]",
        "{}",
        '{"a":"' + "x" * 5000 + '"}',
        '{"a":{"b":{"c":{"d":1}}}}',
        '{"a":' + "[" * 1900 + "]" * 1900 + "}",
    ],
)
def test_a_document_that_is_large_or_deep_is_left_whole(text: str) -> None:
    """It is shown as it was recorded."""
    assert fields(text) == []


def test_the_glossary_explains_every_state() -> None:
    """What stands on a badge can be looked up on the page."""
    assert GLOSSARY.keys() >= STATES.keys()


def test_every_kind_of_part_in_the_story_has_words_of_its_own() -> None:
    """No name of a field reaches a reader of the story."""
    ledger = Ledger()
    tell(ledger)
    events = [Event.from_row("c" * 32, row.seq, "h" * 64, row.time_ns, row.env) for row in ledger.rows]
    seen = {part_label(item, event.event_type) for event in events for item in event.items()}
    assert seen
    assert not {label for label in seen if "_" in label}
