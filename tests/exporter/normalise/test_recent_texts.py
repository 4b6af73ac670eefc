"""Texts seen lately: the same item again without hashing again, and never more memory than said."""

from __future__ import annotations

import re
from typing import Any

import orjson

from spanledger_exporter.normalise.parts import ENTRY_BYTES, MAX_RECENT_BYTES, ContentPolicy, Parts
from spanledger_exporter.redact.rules import Redactor, Rule

MESSAGE = {"role": "user", "parts": [{"type": "text", "content": "Is this host compromised?"}]}


def test_a_text_that_comes_again_has_the_same_item_and_its_own_place() -> None:
    """A conversation that is sent again differs in nothing but the place of its messages."""
    policy = ContentPolicy()
    first = Parts(policy).messages([MESSAGE])
    again = Parts(policy).messages([MESSAGE, MESSAGE])
    assert [item["message"] for item in again] == [0, 1]
    assert first == again[:1]
    assert {**again[1], "message": 0} == again[0]


def test_a_text_already_encoded_says_the_same_as_one_that_is_new() -> None:
    """JSON from memory is what encoding the item gives, at whatever place of the conversation."""
    policy = ContentPolicy()
    messages = [MESSAGE, {"role": "assistant", "parts": [{"type": "text", "content": "No."}], "name": None}] * 6
    new = Parts(policy).messages(messages)
    remembered = Parts(policy).message_list(messages)
    assert remembered == [orjson.dumps(item, option=orjson.OPT_SORT_KEYS).decode() for item in new]


def test_a_malformed_message_takes_the_careful_way() -> None:
    """What is no list of parts, or has odd types in it, is recorded as the whole that it is."""
    odd: list[Any] = [
        "just a text",
        {"role": ["x"], "parts": [{"type": ["text"], "content": "x"}]},
        {"role": "user", "parts": "x"},
        {"role": "user", "parts": [{"type": "text", "content": ["x"]}, 7], "name": "Ann"},
    ]
    policy = ContentPolicy()
    assert Parts(policy).message_list(odd) == Parts(policy).messages(odd)


def test_role_and_class_are_part_of_what_is_remembered() -> None:
    """The same words as an instruction are an artifact, as a question a payload."""
    policy = ContentPolicy()
    question = Parts(policy).messages([MESSAGE])
    instruction = Parts(policy).messages([{**MESSAGE, "role": "system"}])
    assert (question[0]["class"], instruction[0]["class"]) == ("payload", "artifact")


def test_redacted_texts_are_not_remembered() -> None:
    """With rules in force every text is looked at."""
    policy = ContentPolicy(redactor=Redactor([Rule("host", re.compile("host"))]))
    Parts(policy).messages([MESSAGE])
    assert not policy.is_plain
    assert len(policy.recent) == 0


def test_many_short_texts_do_not_fill_the_memory() -> None:
    """An entry weighs more than its text, and is counted so."""
    policy = ContentPolicy()
    parts = Parts(policy)
    for number in range(2 * MAX_RECENT_BYTES // ENTRY_BYTES):
        parts.part({"type": "text", "content": f"text {number}"}, role="user")
    assert len(policy.recent) <= MAX_RECENT_BYTES // ENTRY_BYTES
