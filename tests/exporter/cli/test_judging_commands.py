"""`review` and `decision` record chained rows about events; `doctor` says how things stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from command_line import Run
from spanledger_exporter.cli import EXIT_USAGE


def final_call(run: Run, case: str) -> dict[str, Any]:
    """Return the case's last model call: what a reviewer judges."""
    found: list[dict[str, Any]] = run("search", "--case", case, "--event-type", "model_call", "--json").json()
    return found[0]


def test_an_edit_records_draft_final_and_difference_about_its_subject(run: Run, tmp_path: Path) -> None:
    """The draft is what the event put out; the row stands in the subject's case and trace."""
    subject = final_call(run, "CASE-1")
    (tmp_path / "final.txt").write_text("CASE-1 is a brute-force attempt.\nBlock the address now.\nNo further action.")
    recorded = run(
        *("review", subject["event_id"], "edit", "--final", str(tmp_path / "final.txt"), "--reviewer", "anna"),
        *("--role", "lead", "--seconds", "12.5", "--reasoning", "too vague", "--json"),
    ).json()[0]
    (shown,) = run("show", recorded["event_id"], "--json").json()
    assert shown["parent_event_id"] == subject["event_id"]
    assert (shown["trace_id"], shown["context"]) == (subject["trace_id"], subject["context"])
    assert shown["review"]["author"] == {"id": "triage-agent"}
    assert shown["review"]["is_self_review"] is False
    (row,) = run("sql", f"SELECT * FROM reviews WHERE event_id = '{recorded['event_id']}'", "--json").json()
    assert row["diff"] == "-Block the address.\n+Block the address now."
    assert (row["reasoning"], row["seconds_spent"], row["reviewer_role"]) == ("too vague", 12.5, "lead")


def test_what_a_reviewer_has_seen_is_in_the_ledger(run: Run) -> None:
    """An event that is not there is refused, and its place stands for an event's id."""
    subject = final_call(run, "CASE-1")
    refused = run("review", subject["event_id"], "approve", "--seen", "no:such")
    assert (refused.status, "got 0" in refused.err) == (EXIT_USAGE, True)
    place = f"{subject['chain']}:{subject['seq']}"
    recorded = run("review", subject["event_id"], "approve", "--seen", place, "--json").json()[0]
    (shown,) = run("show", recorded["event_id"], "--json").json()
    assert shown["review"]["seen"]["event_ids"] == [subject["event_id"]]


def test_an_id_that_a_shell_took_from_a_csv_file_is_found(run: Run) -> None:
    """Its lines end with a carriage return, which is not seen in a terminal."""
    subject = final_call(run, "CASE-1")["event_id"]
    (shown,) = run("show", f"{subject}\r", "--json").json()
    assert shown["event_id"] == subject
    assert run("review", f"{subject}\r", "approve", "--json").json()[0]["parent_event_id"] == subject


def test_an_approval_by_the_author_is_recorded_and_marked(run: Run) -> None:
    """Four eyes were not at work: the row says so, and so does the command."""
    subject = final_call(run, "CASE-3")
    ran = run("review", subject["event_id"], "approve", "--reviewer", "triage-agent", "--json")
    assert "four eyes were not at work" in ran.err
    marked = "SELECT is_self_review FROM reviews WHERE event_id = '{}'"
    assert run("sql", marked.format(ran.json()[0]["event_id"]), "--json").json() == [{"is_self_review": True}]


def test_who_handed_a_draft_on_has_not_written_it_and_who_edited_it_has(run: Run) -> None:
    """What is reviewed is a review: its author is the editor, or whoever wrote what was handed on."""
    call = final_call(run, "CASE-1")["event_id"]
    for action, author, is_marked in (("escalate", "triage-agent", False), ("edit", "anna", True)):
        final = ("--draft", __file__, "--final", __file__) if action == "edit" else ()
        first = run("review", call, action, "--reviewer", "anna", *final, "--json").json()[0]["event_id"]
        second = run("review", first, "approve", "--reviewer", "anna", "--json").json()[0]["event_id"]
        (row,) = run("show", second, "--json").json()
        assert (row["review"]["author"], row["review"]["is_self_review"]) == ({"id": author}, is_marked)


def test_a_review_takes_its_case_out_of_the_queue(run: Run) -> None:
    """The story leaves CASE-4, which its first reviewer handed on."""
    assert "CASE-4" in {item["case_id"] for item in run("review", "--queue", "--json").json()}
    run("review", final_call(run, "CASE-4")["event_id"], "approve", "--reviewer", "second.person")
    assert "CASE-4" not in {item["case_id"] for item in run("review", "--queue", "--json").json()}


def test_a_decision_is_recorded_about_an_event_or_about_none(run: Run) -> None:
    """With its rationale as content."""
    subject = final_call(run, "CASE-2")
    run(
        *("decision", "close case", "--result", "closed", "--about", subject["event_id"], "--skipped", "keep open"),
        *("--confidence", "0.8", "--rationale", "false alarm", "--policy", "soc", "--policy-version", "7"),
    )
    run("decision", "pause the agent", "--result", "paused", "--default")
    query = "SELECT subject_event_id, result, is_default, branches_skipped, confidence, rationale, policy_version "
    rows = run(
        "sql", f"{query}FROM decisions WHERE decision IN ('close case', 'pause the agent') ORDER BY decision", "--json"
    )
    about, alone = rows.json()
    assert list(about.values()) == [subject["event_id"], "closed", False, ["keep open"], 0.8, "false alarm", "7"]
    assert list(alone.values()) == ["", "paused", True, [], None, "", ""]


@pytest.mark.parametrize(
    "line",
    [
        "review",
        "review no-such-event approve",
        "review EVENT edit",
        "review EVENT approve --reviewer=",
        "review EVENT approve --seconds=-5",
        "review EVENT approve --seconds=nan",
        "review EVENT approve --seconds=inf",
        "decision x",
        "decision x --result=",
        "decision x --result=y --by=",
        "decision x --result=y --confidence=7",
        "decision x --result=y --confidence=nan",
        "review a:b approve --draft /none",
    ],
)
def test_a_judgement_that_makes_no_sense_records_nothing(run: Run, line: str) -> None:
    """An unknown subject, an edit without a final version, nobody who judged, a time or confidence that cannot be."""
    event = final_call(run, "CASE-6")["event_id"]
    count = "SELECT count() AS n FROM rows WHERE event_type IN ('human_review', 'decision')"
    before = run("sql", count, "--json").json()
    ran = run(*line.replace("EVENT", event).split())
    assert (ran.status, ran.out) == (EXIT_USAGE, "")
    assert run("sql", count, "--json").json() == before


def test_doctor_says_what_waits_and_what_to_do(run: Run) -> None:
    """The story was shipped and never sealed."""
    run("decision", "left in the spool", "--result", "kept")
    ran = run("doctor", "--json")
    checks = {check["check"]: check for check in ran.json()}
    assert ran.status == 0
    assert checks["spool"]["unshipped_rows"] == 3
    assert checks["store"]["rows"] > 69
    assert (checks["seal"]["status"], checks["seal"]["advice"]) == ("attention", "run `spanledger seal`")
    assert checks["seal"]["unsealed_rows"] == checks["store"]["rows"]


def test_doctor_changes_nothing(run: Run) -> None:
    """Asking for a diagnosis twice finds the same."""
    first = run("doctor", "--json").json()
    second = run("doctor", "--json").json()
    assert [check["unshipped_rows"] for check in first if check["check"] == "spool"] == [
        check["unshipped_rows"] for check in second if check["check"] == "spool"
    ]
    assert [c["rows"] for c in first if c["check"] == "store"] == [c["rows"] for c in second if c["check"] == "store"]


def test_doctor_fails_when_something_is_broken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is not there; the other checks are made all the same."""
    monkeypatch.setenv("SPANLEDGER_STORE", "clickhouse://reader:secret@127.0.0.1:9/ledger")
    ran = run("doctor")
    assert ran.status == 1
    assert "BROKEN store" in ran.out
    assert "secret" not in ran.out
    assert "spool" in ran.out


def test_doctor_says_what_stands_in_the_way_of_the_directory(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file in its place, or above it: nothing is recorded, and permissions are not to blame."""
    (tmp_path / "file").write_text("")
    found: list[Any] = []
    for place in ("file", "file/below"):
        monkeypatch.setenv("SPANLEDGER_DIR", str(tmp_path / place))
        found += [check for check in run("doctor", "--json").json() if check["check"] == "directory"]
    assert [(check["status"], check["found"]) for check in found] == [
        ("problem", f"{tmp_path}/file is not a directory"),
        ("problem", f"{tmp_path}/file/below does not exist and cannot be made"),
    ]
    assert all("SPANLEDGER_DIR" in check["advice"] for check in found)
