"""The ten questions of exporter/QUESTIONS.md, answered about the story in the real engine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ledger_story import tell
from ledgers import Ledger
from spanledger_exporter.config import load_settings
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema

PAGE = Path(__file__).parents[3] / "exporter" / "QUESTIONS.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
BY_QUESTION = {
    number: re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
    for number, section in enumerate(re.split(r"^## \d+\. ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE))
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a store that holds the story."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path_factory.mktemp("questions"))}, working_directory=Path("/"))
    ledger = Ledger()
    tell(ledger)
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        ledger.write(store)
        yield store


def answer(store: Store, question: int, query: int = 0) -> list[dict[str, Any]]:
    """Return the rows of a question's query."""
    names, rows = store.query_table(BY_QUESTION[question][query])
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_there_are_ten_questions_with_at_least_one_query_each() -> None:
    """No question without an answer, no query outside a question."""
    assert sorted(number for number, queries in BY_QUESTION.items() if queries) == list(range(1, 11))
    assert len(QUERIES) == sum(map(len, BY_QUESTION.values()))


def test_1_who_approved(store: Store) -> None:
    """And who approved the own draft."""
    (approval,) = answer(store, 1)
    assert (approval["reviewer"], approval["action"], approval["is_self_review"]) == ("maria.keller", "approve", False)
    assert [row["case_id"] for row in answer(store, 1, 1)] == ["CASE-6"]


def test_2_what_the_model_saw(store: Store) -> None:
    """System prompt first, then the alert, for each call."""
    shown = answer(store, 2)
    assert [row["role"] for row in shown] == ["system", "user"] * 2
    assert shown[1]["text"].startswith("Alert CASE-1: 40 failed logins")


def test_3_which_prompt_version_on_a_date(store: Store) -> None:
    """The version changed that day, and the older one went on in another case."""
    assert [(row["prompt_version"], row["calls"]) for row in answer(store, 3)] == [("2.0.0", 6), ("2.1.0", 6)]


def test_4_cost_by_case(store: Store) -> None:
    """The case with no known price is last, with no sum rather than zero."""
    rows = {row["case_id"]: row for row in answer(store, 4)}
    assert rows["CASE-1"]["usd"] == Decimal("0.005315000")
    assert (rows["CASE-4"]["usd"], rows["CASE-4"]["calls_without_price"]) == (None, 2)
    assert rows["CASE-5"]["calls_without_price"] == 1


def test_5_errors_by_tool(store: Store) -> None:
    """The one failure of the story."""
    (failure,) = answer(store, 5)
    assert (failure["tool_name"], failure["how"], failure["failures"]) == ("whois", "ConnectionError", 1)


def test_6_low_confidence_decisions(store: Store) -> None:
    """One case below one half."""
    assert [(row["case_id"], row["confidence"]) for row in answer(store, 6)] == [("CASE-3", 0.41)]


def test_7_what_reviewers_change(store: Store) -> None:
    """The difference in words, and how often whom."""
    (edit,) = answer(store, 7)
    assert "+Block the address for 24 hours." in edit["diff"]
    rates = {row["reviewer"]: row["override_rate"] for row in answer(store, 7, 1)}
    assert rates == {"maria.keller": 0.5, "triage-agent": 0.0}, "handing on is no override"


def test_8_default_branches(store: Store) -> None:
    """Where no rule applied, under which policy."""
    (default,) = answer(store, 8)
    assert (default["cases"], default["policy_version"]) == (["CASE-4"], "7")


def test_9_slowest_steps(store: Store) -> None:
    """The model calls lead."""
    steps = answer(store, 9)
    assert steps[0]["event_type"] == "model_call"
    assert steps[0]["slowest_ms"] == 2400


def test_10_cost_of_a_model_change(store: Store) -> None:
    """Three models, with the cases where people had to step in."""
    rows = {row["model"]: row for row in answer(store, 10)}
    assert rows["gpt-5-2026-09-01"]["cases_overridden"] == 1
    assert rows["local-7b-2026-09-01"]["usd_per_call"] is None
    assert rows["claude-sonnet-5-2026-09-01"]["calls_without_price"] == 1
