"""Human reviews: what they say, and what reviewers changed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger_semconv import bodies
from spanledger_semconv.changes import MAX_WORDS, apply_changes, text_changes, value_changes
from spanledger_semconv.review import HumanReview

texts = st.text(alphabet="ab \n.", max_size=60)


@given(texts, texts)
def test_the_changes_turn_the_draft_into_the_final_text(draft: str, final: str) -> None:
    """Nothing that a reviewer did is missing from the diff."""
    assert apply_changes(draft, text_changes(draft, final).operations) == final


def test_a_changed_word_is_one_operation_with_its_place() -> None:
    """The diff is what an evaluation data set is made of."""
    changes = text_changes("Close the alert.\nDone.", "Escalate the alert.\nDone.")
    assert changes.operations == ({"at": 0, "old": "Close", "new": "Escalate"},)
    assert (changes.inserted, changes.deleted) == (8, 5)
    assert changes.lines == "-Close the alert.\n+Escalate the alert."


def test_a_very_long_changed_stretch_is_one_operation() -> None:
    """Comparing word by word takes quadratic time; a person would not read it either."""
    changes = text_changes("a " * MAX_WORDS, "b " * MAX_WORDS)
    assert len(changes.operations) == 1


def test_a_structured_draft_is_compared_member_by_member() -> None:
    """Paths are JSON pointers."""
    changes = value_changes({"amount": 7, "to": ["a"], "x/y": 1}, {"amount": 8, "to": ["b"], "note": "n"})
    assert changes.operations == (
        {"path": "/amount", "old": 7, "new": 8},
        {"path": "/note", "new": "n"},
        {"path": "/to/0", "old": "a", "new": "b"},
        {"path": "/x~1y", "old": 1},
    )


def body(review: HumanReview) -> dict[str, Any]:
    """Return the envelope's `review`."""
    return bodies.body(review.attributes(), "review")


def test_an_approval_by_somebody_else_is_no_self_review() -> None:
    """Four eyes were at work."""
    review = HumanReview("m.keller", "approve", role="compliance", author="triage-agent", draft="Close.")
    assert body(review)["is_self_review"] is False
    assert body(review)["reviewer"] == {"id": "m.keller", "role": "compliance"}


def test_an_approval_by_the_author_is_flagged() -> None:
    """Four eyes were not at work."""
    assert body(HumanReview("m", "approve", author="m", draft="Close."))["is_self_review"] is True


def test_without_a_known_author_nothing_is_claimed() -> None:
    """Unknown is not the same as no."""
    assert "is_self_review" not in body(HumanReview("m", "approve", draft="Close."))


def test_an_approval_lets_the_draft_pass_unchanged() -> None:
    """Draft and final have the same hash, and there is no diff."""
    review = HumanReview("m", "approve", draft="Close.")
    assert body(review)["draft"] == body(review)["final"]
    assert [part["type"] for message in review.output_messages() for part in message["parts"]] == ["final"]


def test_an_edit_keeps_draft_final_difference_and_reasoning_as_content() -> None:
    """The envelope holds hashes and counts only: a person's words can be erased."""
    review = HumanReview("m", "edit", draft="Close it.", final="Keep it.", reasoning="two prior alerts")
    assert [part["type"] for part in review.input_messages()[0]["parts"]] == ["draft"]
    kinds = [part["type"] for part in review.output_messages()[0]["parts"]]
    assert kinds == ["final", "diff", "changes", "reasoning"]
    assert "two prior alerts" not in str(review.attributes())


@pytest.mark.parametrize(("action", "outcome"), [("reject", "success"), ("escalate", "escalated")])
def test_a_rejection_and_an_escalation_let_nothing_pass(action: Any, outcome: str) -> None:
    """There is no final version."""
    review = HumanReview("m", action, draft="Close it.")
    assert review.passed is None
    assert review.attributes()["spanledger.event.outcome"] == outcome


@pytest.mark.parametrize(("action", "final"), [("edit", None), ("shrug", "x")])
def test_a_review_that_makes_no_sense_is_refused(action: Any, final: str | None) -> None:
    """The message says what is accepted."""
    with pytest.raises(ValueError, match="expected a"):
        HumanReview("m", action, draft="Close it.", final=final)


def make(facts: dict[str, Any]) -> HumanReview:
    """Return an approval with these facts."""
    return HumanReview(facts.get("reviewer", "m"), "approve", seconds_spent=facts.get("seconds_spent"))


@pytest.mark.parametrize(
    "facts",
    [{"reviewer": " "}, {"seconds_spent": -1}, {"seconds_spent": float("nan")}, {"seconds_spent": float("inf")}],
)
def test_a_review_by_nobody_or_in_no_time_is_refused(facts: dict[str, Any]) -> None:
    """It would stand in the ledger for ever."""
    with pytest.raises(ValueError, match=r"expected (who reviewed|the seconds)"):
        make(facts)


def test_equal_values_have_no_changes() -> None:
    """Lists of equal length are compared item by item, others as a whole."""
    assert value_changes({"a": [1, 2]}, {"a": [1, 2]}).operations == ()
    assert value_changes([1], [1, 2]).operations == ({"path": "", "old": [1], "new": [1, 2]},)
    assert value_changes({"a": 1}, {"a": True}).operations == ({"path": "/a", "old": 1, "new": True},)
