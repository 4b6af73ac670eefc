"""The public API as rows: what a reviewer, an auditor or an investigator finds in the ledger."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spanledger import (
    actor,
    agent,
    case,
    current_event_id,
    decision,
    escalation,
    external_action,
    policy,
    prompt,
    retrieval,
    review,
    reviewing,
    tool,
    workflow,
)


def only(envelopes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the single completing row."""
    (envelope,) = [e for e in envelopes if not e["event_id"].endswith(":begin")]
    return envelope


def texts(ledger: Any, items: list[dict[str, Any]]) -> dict[str, str]:
    """Return the stored text of each item, by type."""
    return {item["type"]: ledger.text(item) for item in items}


def test_a_decision_says_what_was_decided_by_which_rule_and_why(ledger: Any) -> None:
    """The rationale is content, the rest stands in the row."""
    with case("C-1"), policy("aml", version="7"):
        event_id = decision(
            "route alert",
            result="escalate",
            condition="score >= 0.8",
            branches_skipped=["close", "hold"],
            is_default=False,
            confidence=0.62,
            rationale="two prior alerts",
        )
    row = only(ledger.envelopes())
    assert (row["event_type"], row["event_id"]) == ("decision", event_id)
    assert row["context"] == {"case_id": "C-1"}
    assert row["snapshot"]["policy"] == {"name": "aml", "version": "7"}
    assert row["decision"] == {
        "name": "route alert",
        "result": "escalate",
        "condition": "score >= 0.8",
        "branches_skipped": ["close", "hold"],
        "is_default": False,
        "confidence": "0.62",
    }
    assert texts(ledger, row["output"]) == {"rationale": "two prior alerts"}


def test_a_review_says_who_saw_what_and_what_they_changed(ledger: Any) -> None:
    """Draft, final, difference and reasoning are content; hashes and counts stand in the row."""
    subject = decision("close alert", result="close")
    event_id = review(
        reviewer="m.keller",
        role="compliance officer",
        action="edit",
        author="triage-agent",
        subject=subject,
        shown=["the alert"],
        draft="Close it.",
        final="Keep it.",
        reasoning="two prior alerts",
        seconds_spent=94.5,
    )
    row = ledger.envelopes()[-1]
    assert (row["event_type"], row["event_id"], row["parent_event_id"]) == ("human_review", event_id, subject)
    assert row["actor"] == {"type": "user", "id": "m.keller", "role": "compliance officer"}
    body = row["review"]
    assert body["reviewer"] == {"id": "m.keller", "role": "compliance officer"}
    assert (body["action"], body["seconds_spent"], body["is_self_review"]) == ("edit", "94.5", False)
    assert body["seen"]["event_ids"] == [subject]
    assert body["changes"] == {"inserted": 4, "deleted": 5}
    assert texts(ledger, row["input"]) == {"seen": "the alert", "draft": "Close it."}
    stored = texts(ledger, row["output"])
    assert (stored["final"], stored["reasoning"]) == ("Keep it.", "two prior alerts")
    assert stored["diff"] == "-Close it.\n+Keep it."
    assert json.loads(stored["changes"])["operations"] == [{"at": 0, "old": "Close", "new": "Keep"}]


def test_an_approval_by_the_author_of_the_draft_is_flagged(ledger: Any) -> None:
    """Four eyes were not at work."""
    review(reviewer="m", action="approve", author="m", draft="Close it.")
    assert only(ledger.envelopes())["review"]["is_self_review"] is True


def test_reviewing_measures_the_time_that_the_reviewer_spent(ledger: Any) -> None:
    """The block is open while the person reads."""
    with reviewing(reviewer="m", draft="Close it.") as it:
        it.reject(reasoning="not enough evidence")
    row = only(ledger.envelopes())
    assert row["review"]["action"] == "reject"
    assert float(row["review"]["seconds_spent"]) >= 0
    assert it.event_id == row["event_id"]


@pytest.mark.parametrize(("answer", "outcome"), [("approve", "success"), ("escalate", "escalated")])
def test_the_answer_of_a_review_is_the_rows_outcome(ledger: Any, answer: str, outcome: str) -> None:
    """An escalation is not a success."""
    with reviewing(reviewer="m", draft="Close it.") as it:
        getattr(it, answer)()
    assert only(ledger.envelopes())["outcome"] == outcome


def test_a_reviewer_has_no_role_or_run_of_the_agent_that_asked(ledger: Any) -> None:
    """The review happens inside the agent's block, but a person did it."""
    with actor("bot", type="agent", role="first line", run_id="r1"):
        review(reviewer="m", action="approve", draft="Close it.")
    assert only(ledger.envelopes())["actor"] == {"type": "user", "id": "m"}


def test_a_review_left_without_an_answer_is_not_recorded(ledger: Any) -> None:
    """Looking is an access, not a review."""
    with reviewing(reviewer="m", draft="Close it."):
        pass
    assert ledger.envelopes() == []


def test_the_intent_of_an_external_action_is_in_the_ledger_before_it_happens(ledger: Any) -> None:
    """After a crash between the two rows it is known what was about to be done, under which key."""
    with external_action(
        "refund", target="bank", idempotency_key="r-1", is_reversible=False, details={"amount": "7"}
    ) as action:
        (intent,) = ledger.envelopes()
        action.done(status="accepted", reference="TX-1", result={"ok": True})
    assert intent["event_id"] == action.event_id + ":begin"
    assert intent["idempotency_key"] == "r-1"
    assert "outcome" not in intent
    row = only(ledger.envelopes())
    assert row["action"] == {
        "name": "refund",
        "target": "bank",
        "idempotency_key": "r-1",
        "is_reversible": False,
        "status": "accepted",
        "reference": "TX-1",
    }
    assert json.loads(texts(ledger, row["input"])["arguments"])["content"] == {"amount": "7"}


def test_an_external_action_that_raises_is_an_error_with_its_intent(ledger: Any) -> None:
    """Whether it happened is unknown; the exception reaches the application unchanged."""
    with pytest.raises(TimeoutError), external_action("refund", idempotency_key="r-1"):
        raise TimeoutError
    row = only(ledger.envelopes())
    assert (row["outcome"], row["error"]["type"]) == ("error", "TimeoutError")


def test_a_decorated_external_action_has_its_arguments_and_result(ledger: Any) -> None:
    """No change inside the function."""

    @external_action("refund", target="bank")
    def refund(customer: str, *, amount: int) -> str:
        return f"TX-{customer}-{amount}"

    assert refund("ada", amount=7) == "TX-ada-7"
    row = only(ledger.envelopes())
    assert json.loads(texts(ledger, row["input"])["arguments"])["content"] == {"customer": "ada", "amount": 7}
    assert json.loads(texts(ledger, row["output"])["result"])["content"] == "TX-ada-7"


def test_an_escalation_says_to_whom_why_and_until_when(ledger: Any) -> None:
    """Its outcome is `escalated`."""
    escalation("second line", reason="low confidence", severity="high", due="2026-11-22T12:00:00Z")
    row = only(ledger.envelopes())
    assert (row["event_type"], row["outcome"]) == ("escalation", "escalated")
    assert row["escalation"] == {
        "to": "second line",
        "reason": "low confidence",
        "severity": "high",
        "due": "2026-11-22T12:00:00Z",
    }


def test_a_tool_call_has_arguments_result_version_and_an_intent(ledger: Any) -> None:
    """The tool's own version stands in the snapshot."""

    @tool("lookup", version="3", call_id="c1")
    def lookup(id: int) -> dict[str, Any]:  # noqa: A002
        return {"name": "Ada", "id": id}

    assert lookup(7) == {"name": "Ada", "id": 7}
    assert [e["event_id"].endswith(":begin") for e in ledger.envelopes()] == [True, False]
    row = only(ledger.envelopes())
    assert (row["event_type"], row["name"]) == ("tool_call", "execute_tool lookup")
    assert row["snapshot"]["tools"] == {"lookup": "3"}
    call = json.loads(texts(ledger, row["input"])["tool_call"])
    response = json.loads(texts(ledger, row["output"])["tool_call_response"])
    assert (call["arguments"], call["id"]) == ({"id": 7}, "c1")
    assert response["response"] == {"name": "Ada", "id": 7}


def test_a_tool_that_raises_is_an_error_and_its_exception_is_unchanged(ledger: Any) -> None:
    """The same object reaches the caller."""
    error = ValueError("no such customer")

    @tool("lookup")
    def lookup() -> None:
        raise error

    with pytest.raises(ValueError, match="no such customer") as caught:
        lookup()
    assert caught.value is error
    assert only(ledger.envelopes())["error"]["type"] == "ValueError"


def test_a_method_as_a_tool_does_not_record_its_instance(ledger: Any) -> None:
    """`self` is no argument of the tool."""

    class Desk:
        @tool("lookup")
        def lookup(self, id: int) -> int:  # noqa: A002
            return id

    assert Desk().lookup(7) == 7
    call = json.loads(texts(ledger, only(ledger.envelopes())["input"])["tool_call"])
    assert call["arguments"] == {"id": 7}


async def test_a_coroutine_as_a_tool_is_recorded_when_it_is_done(ledger: Any) -> None:
    """Not when it is called."""

    @tool("lookup")
    async def lookup(id: int) -> int:  # noqa: A002
        return id

    waiting = lookup(7)
    assert ledger.envelopes() == []
    assert await waiting == 7
    assert only(ledger.envelopes())["outcome"] == "success"


def test_each_document_of_a_retrieval_is_a_content_reference_of_its_own(ledger: Any) -> None:
    """A document found again is stored once."""
    with retrieval("policies", version="2026-11-01", top_k=2, query="refund rules") as step:
        step.result = [{"id": "a", "score": 0.9}, {"id": "b"}]
    row = only(ledger.envelopes())
    assert row["snapshot"]["retrieval"] == {"index": "policies", "version": "2026-11-01"}
    assert texts(ledger, row["input"]) == {"text": "refund rules"}
    assert [json.loads(ledger.text(item))["id"] for item in row["output"]] == ["a", "b"]


def test_calls_inside_an_agent_have_the_agent_as_their_actor(ledger: Any) -> None:
    """Who acts is the agent, for whom stays the case."""
    with case("C-1"), actor("ada", type="user"), workflow("triage", version="12"), agent("sorter", version="2"):
        decision("route", result="close")
    rows = {row["event_type"]: row for row in ledger.envelopes()}
    assert rows["decision"]["actor"] == {"type": "agent", "id": "sorter"}
    assert rows["decision"]["snapshot"]["workflow"] == {"id": "triage", "version": "12"}
    assert rows["agent_run"]["actor"]["id"] == "sorter"
    assert rows["workflow_run"]["actor"]["id"] == "ada"
    assert {row["context"]["case_id"] for row in rows.values()} == {"C-1"}
    assert rows["decision"]["parent_span_id"] == rows["agent_run"]["span_id"]


def test_a_declared_prompt_is_in_the_snapshot_and_its_template_is_an_artifact(ledger: Any) -> None:
    """Name and version come from the application, the text is kept beside the call."""
    with prompt("triage", version="1.2.0", template="Sort {alert}"), agent("sorter"):
        pass
    row = only(ledger.envelopes())
    assert row["snapshot"]["prompt"] == {"name": "triage", "version": "1.2.0", "match": "declared"}
    (template,) = [item for item in row["input"] if item["type"] == "template"]
    assert (template["class"], ledger.text(template)) == ("artifact", "Sort {alert}")


def test_the_current_event_id_names_the_row_that_is_being_made(ledger: Any) -> None:
    """So that a later review can point at it."""
    assert current_event_id() is None
    with agent("sorter") as step:
        assert current_event_id() == step.event_id
    assert only(ledger.envelopes())["event_id"] == step.event_id


class Awkward:
    """An argument whose own code raises."""

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __repr__


@pytest.mark.parametrize("value", [Awkward(), {("a", 1): 2}, [[]] * 3, float("nan"), "\ud800", b"\x00", object])
def test_no_value_of_the_applications_breaks_its_own_call(ledger: Any, value: Any) -> None:
    """Whatever the arguments are, the function runs and the row is there."""

    @tool("any")
    def run(value: Any) -> Any:
        return value

    assert run(value) is value
    assert only(ledger.envelopes())["outcome"] == "success"


def test_a_cyclic_argument_breaks_nothing(ledger: Any) -> None:
    """JSON has no cycles; the row keeps its text."""
    cycle: list[Any] = []
    cycle.append(cycle)

    @tool("any")
    def run(value: Any) -> int:
        return len(value)

    assert run(cycle) == 1
    assert only(ledger.envelopes())["outcome"] == "success"


def test_a_review_of_a_subject_alone_has_seen_its_subject(ledger: Any) -> None:
    """Nobody judges what they have not looked at."""
    review(reviewer="m", action="approve", subject="t:s")
    assert only(ledger.envelopes())["review"]["seen"] == {"event_ids": ["t:s"]}


def test_values_that_opentelemetry_refuses_do_not_lose_the_event(ledger: Any) -> None:
    """The row has them all the same: the records come first."""
    decision("d", result={"not": "a text"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert only(ledger.envelopes())["event_type"] == "decision"
