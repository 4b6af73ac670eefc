"""The registry: one text per version, and which prompt a request was made from."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spanledger_exporter.errors import DataError
from spanledger_exporter.prompts.prompt_file import Prompt
from spanledger_exporter.prompts.registry import (
    PromptConflictError,
    PromptIndex,
    PromptMatcher,
    load_prompts,
    new_prompts,
    save_prompts,
)
from spanledger_semconv.invocation import InvocationRequest

TRIAGE = Prompt("triage", "1.0.0", "You sort alerts for a bank.\nAlert: {alert}", owner="team-risk")
NEWER = Prompt("triage", "1.1.0", "You sort alerts for a bank. Be brief.\nAlert: {alert}")


def request(system: str = "", *users: str, role: str = "system") -> InvocationRequest:
    """Make a request that says these things."""
    messages = [{"role": role, "parts": [{"type": "text", "content": system}]}] if system else []
    messages += [{"role": "user", "parts": [{"type": "text", "content": text}]} for text in users]
    return InvocationRequest(operation="chat", input_messages=messages)


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    """Sorted by name and version."""
    path = tmp_path / "dir" / "prompts.json"
    assert load_prompts(path) == []
    save_prompts(path, [NEWER, TRIAGE])
    assert load_prompts(path) == [TRIAGE, NEWER]


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"schema":"other/1","prompts":[]}', '{"schema":"spanledger.prompts/1","prompts":[{"x":1}]}'],
)
def test_a_damaged_registry_is_one_clear_error(tmp_path: Path, text: str) -> None:
    """It says which file, and what to do."""
    path = tmp_path / "prompts.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"prompts\.json"):
        load_prompts(path)


def test_a_version_keeps_its_text_for_ever() -> None:
    """Rows refer to it by name and version."""
    changed = Prompt("triage", "1.0.0", "Something else entirely, longer than before.")
    with pytest.raises(PromptConflictError, match="give it a new version"):
        new_prompts([TRIAGE], [changed])
    with pytest.raises(PromptConflictError):
        new_prompts([], [TRIAGE, changed])
    assert new_prompts([TRIAGE], [TRIAGE, NEWER]) == [NEWER]


def test_a_prompt_may_be_handed_to_another_owner() -> None:
    """Text and version stay; whoever is responsible now is registered, and not passed over as known."""
    handed_on = replace(TRIAGE, owner="team-fraud")
    assert new_prompts([TRIAGE], [handed_on]) == [handed_on]
    assert new_prompts([handed_on], [handed_on]) == []


@pytest.mark.parametrize(
    "asked",
    [
        request("You sort alerts for a bank.\nAlert: 40 failures"),
        request("You sort alerts for a bank.\nAlert: 40 failures", role="developer"),
        request("", "You sort alerts for a bank.\nAlert: 40 failures", "And now?"),
        InvocationRequest(
            "chat", system_instructions=[{"type": "text", "content": "You sort alerts for a bank.\nAlert: x"}]
        ),
    ],
    ids=["system", "developer", "first user message", "system instructions"],
)
def test_a_request_is_matched_by_what_it_says(asked: InvocationRequest) -> None:
    """Where the template ended up does not matter."""
    found = PromptIndex([TRIAGE, NEWER]).find(asked)
    assert found is not None
    assert (found.name, found.version) == ("triage", "1.0.0")


def test_a_later_user_message_is_not_looked_at() -> None:
    """What a person quotes in the middle of a conversation is no prompt."""
    asked = request("", "Hello", "You sort alerts for a bank.\nAlert: 40 failures")
    assert PromptIndex([TRIAGE]).find(asked) is None


def test_the_most_specific_template_wins_then_the_newest() -> None:
    """A general template matches much; it must not take what a special one made."""
    general = Prompt("general", "9.0.0", "You sort alerts for a bank.{rest}")
    same_text = Prompt("triage", "2.0.0", TRIAGE.template)
    index = PromptIndex([general, TRIAGE, same_text])
    found = index.find_text("You sort alerts for a bank.\nAlert: x")
    assert found == same_text
    assert index.find_text("You sort alerts for a bank. Please.") == general


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_running_application_sees_newly_registered_prompts(tmp_path: Path) -> None:
    """At most a second later, and without reading the file for every call."""
    path, clock = tmp_path / "prompts.json", Clock()
    matcher = PromptMatcher(path, clock=clock)
    asked = request("You sort alerts for a bank.\nAlert: x")
    assert matcher.attributes_of(asked) == {}
    save_prompts(path, [TRIAGE])
    assert matcher.attributes_of(asked) == {}
    clock.now = 1.5
    assert matcher.attributes_of(asked) == {
        "gen_ai.prompt.name": "triage",
        "gen_ai.prompt.version": "1.0.0",
        "spanledger.prompt.match": "content",
    }


def test_an_unknown_prompt_says_so_once_any_is_registered(tmp_path: Path) -> None:
    """`prompts list --unmatched` is made of these."""
    save_prompts(tmp_path / "prompts.json", [TRIAGE])
    matcher = PromptMatcher(tmp_path / "prompts.json")
    assert matcher.attributes_of(request("Something new.")) == {"spanledger.prompt.match": "unmatched"}


@pytest.mark.parametrize(
    "odd", ["hello", 5, None, {"role": "user", "parts": 5}, {"role": ["user"], "parts": [{}]}, [[]]]
)
def test_messages_that_are_none_match_nothing(tmp_path: Path, odd: Any) -> None:
    """Other instrumentations write what they like, and a row must not lose its form for it."""
    save_prompts(tmp_path / "prompts.json", [TRIAGE])
    asked = InvocationRequest("chat", system_instructions=[odd], input_messages=[odd])
    matcher = PromptMatcher(tmp_path / "prompts.json")
    assert matcher.attributes_of(asked) == {"spanledger.prompt.match": "unmatched"}


def test_a_registry_damaged_while_running_leaves_the_old_one_in_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Telemetry never takes the application down; the log says why."""
    path, clock = tmp_path / "prompts.json", Clock()
    save_prompts(path, [TRIAGE])
    matcher = PromptMatcher(path, clock=clock)
    asked = request("You sort alerts for a bank.\nAlert: x")
    matcher.attributes_of(asked)
    path.write_text("{", encoding="utf-8")
    os.utime(path, ns=(1, 1))
    clock.now = 2
    assert matcher.attributes_of(asked)["gen_ai.prompt.name"] == "triage"
    assert "registry read before" in caplog.text
