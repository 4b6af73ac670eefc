"""A review tool in any language records over HTTP: one JSON object, one row."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from starlette.testclient import TestClient

from spanledger_exporter.collector.events import event_id_of, parse_event
from spanledger_exporter.collector.http_app import make_http_app
from spanledger_exporter.collector.ingest import Ingest
from spanledger_exporter.collector.otlp import Received
from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import DataError, RecordError
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.spool.reader import chains

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SUBJECT = f"{TRACE}:00f067aa0ba902b7"
REVIEW = {
    "type": "human_review",
    "subject": SUBJECT,
    "case": "C-1",
    "service": "desk",
    "reviewer": "m.keller",
    "role": "compliance",
    "author": "triage-agent",
    "action": "edit",
    "draft": "Close it.",
    "final": "Keep it.",
    "reasoning": "two prior alerts",
    "seconds_spent": 94.5,
}


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Return the spool directory of the test's collector."""
    return tmp_path / "spool"


@pytest.fixture
def client(tmp_path: Path) -> Any:
    """Serve a collector in this process."""
    ingest = Ingest(load_settings({"SPANLEDGER_DIR": str(tmp_path)}, working_directory=tmp_path))
    with TestClient(make_http_app(ingest.record)) as client:
        yield client
    ingest.close()


def rows(spool: Path) -> list[dict[str, Any]]:
    """Return the envelopes of every row but the chain's own."""
    records = [frame.record for chain in chains(spool) for frame in chain.read()]
    found = [json.loads(record.env) for record in records if isinstance(record, Row)]
    return [row for row in found if not row["event_type"].startswith("chain.")]


def test_a_review_becomes_a_row_in_its_subjects_trace(client: Any, spool: Path) -> None:
    """The answer is the row's id."""
    answer = client.post("/v1/events", json=REVIEW)
    (row,) = rows(spool)
    assert (answer.status_code, answer.json()) == (200, {"event_id": row["event_id"], "recorded": True})
    assert (row["event_type"], row["trace_id"], row["parent_event_id"]) == ("human_review", TRACE, SUBJECT)
    assert row["actor"] == {"type": "user", "id": "m.keller", "role": "compliance"}
    assert (row["context"], row["service"]["name"]) == ({"case_id": "C-1"}, "desk")
    assert row["review"]["is_self_review"] is False
    assert row["review"]["seen"] == {"event_ids": [SUBJECT]}
    assert [item["type"] for item in row["output"]] == ["final", "diff", "changes", "reasoning"]
    assert row["capture"]["tier"] == "ingested"


@pytest.mark.parametrize(
    ("event", "field", "body"),
    [
        (
            {"type": "decision", "name": "route", "result": "close", "confidence": 0.5, "branches_skipped": ["hold"]},
            "decision",
            {"name": "route", "result": "close", "confidence": "0.5", "branches_skipped": ["hold"]},
        ),
        (
            {"type": "escalation", "to": "second line", "severity": "high"},
            "escalation",
            {"to": "second line", "severity": "high"},
        ),
        (
            {"type": "external_action", "name": "refund", "idempotency_key": "r-1", "is_reversible": False},
            "action",
            {"name": "refund", "idempotency_key": "r-1", "is_reversible": False},
        ),
    ],
)
def test_each_type_of_event_has_its_body(
    client: Any, spool: Path, event: dict[str, Any], field: str, body: dict[str, Any]
) -> None:
    """The members are the public API's arguments."""
    assert client.post("/v1/events", json=event).status_code == 200
    (row,) = rows(spool)
    assert (row["event_type"], row[field]) == (event["type"], body)


def test_an_event_may_come_compressed(client: Any, spool: Path) -> None:
    """As spans may."""
    body = gzip.compress(json.dumps({"type": "escalation", "to": "x", "due": "2026-11-22T12:00:00+05:30"}).encode())
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert client.post("/v1/events", content=body, headers=headers).status_code == 200
    (row,) = rows(spool)
    assert row["escalation"]["due"] == "2026-11-22T12:00:00+05:30"


def test_words_are_content(client: Any, spool: Path) -> None:
    """A rationale, details and a result never stand in the envelope."""
    client.post("/v1/events", json={"type": "decision", "name": "d", "result": "r", "rationale": "secret words"})
    event = {"type": "external_action", "name": "a", "details": {"to": "secret words"}, "result": "secret words"}
    client.post("/v1/events", json=event)
    decision, action = rows(spool)
    assert "secret words" not in json.dumps([decision, action])
    assert [item["type"] for item in decision["output"]] == ["rationale"]
    assert [item["type"] for item in (*action["input"], *action["output"])] == ["arguments", "result"]


def test_an_event_sent_again_under_its_own_id_is_recorded_once(client: Any, spool: Path) -> None:
    """A sender that got no answer tries again; one that uses an id for something else is told that it was not kept."""
    event = {"type": "escalation", "to": "second line", "event_id": f"{TRACE}:00f067aa0ba902b8"}
    other = {**event, "to": "third line"}
    answers = [client.post("/v1/events", json=sent).json() for sent in (event, event, other)]
    assert answers == [{"event_id": event["event_id"], "recorded": recorded} for recorded in (True, False, False)]
    (row,) = rows(spool)
    assert row["escalation"]["to"] == "second line"


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ([], "expected a JSON object"),
        ({}, "expected type to be one of"),
        ({"type": "gossip"}, "expected type to be one of"),
        ({"type": "human_review", "reviewer": "m", "action": "shrug"}, "review action"),
        ({"type": "human_review", "reviewer": "m", "action": "edit"}, "final version"),
        ({"type": "human_review", "reviewer": 7, "action": "approve"}, "expected reviewer to be a text"),
        ({"type": "human_review", "action": "approve"}, "reviewer"),
        ({"type": "human_review", "reviewer": "m", "action": "approve", "reasonning": "x"}, "reasonning"),
        ({"type": "human_review", "reviewer": "m", "action": "approve", "seconds_spent": True}, "a number"),
        ({"type": "decision", "name": "d"}, "result"),
        ({"type": ["decision"], "name": "d", "result": "r"}, "expected type to be"),
        ({"type": "decision", "name": "d", "result": 5}, "expected result to be a text"),
        ({"type": "decision", "name": "d", "result": "r", "confidence": False}, "a number"),
        ({"type": "decision", "name": "d", "result": "r", "branches_skipped": "x"}, "a list"),
        ({"type": "decision", "name": "d", "result": "r", "branches_skipped": [7]}, "a list of texts"),
        ({"type": "escalation"}, "missing 'to'"),
        ({"type": "escalation", "to": "x", "why": "y"}, "'why'"),
        ({"type": "external_action", "name": "a", "is_reversible": "no"}, "true or false"),
        ({"type": "escalation", "to": "x", "event_id": "7"}, "32 hex digits"),
        ({"type": "escalation", "to": "x", "due": "tomorrow"}, "expected due as a time with its zone"),
        ({"type": "escalation", "to": "x", "due": "2026-11-22T12:00:00"}, "expected due as a time with its zone"),
        ({"type": "decision", "name": "d", "result": "r", "time": "now"}, "unexpected member 'time'"),
    ],
)
def test_a_wrong_event_is_refused_with_the_member_that_is_wrong(
    client: Any, spool: Path, event: Any, says: str
) -> None:
    """Nothing is recorded."""
    answer = client.post("/v1/events", json=event)
    assert answer.status_code == 400
    assert says in answer.json()["message"]
    assert rows(spool) == []


def test_a_body_that_is_no_json_and_other_content_types_are_refused(client: Any) -> None:
    """A web page of another origin can send text/plain unasked, but no JSON."""
    plain = client.post("/v1/events", content=json.dumps(REVIEW), headers={"content-type": "text/plain"})
    broken = client.post("/v1/events", content="{", headers={"content-type": "application/json"})
    assert (plain.status_code, broken.status_code) == (415, 400)


def test_an_event_that_the_spool_refuses_is_tried_again_by_its_sender() -> None:
    """503, with when to come back; too large a body is 413."""

    def refuse(_: Sequence[Received]) -> int:
        raise RecordError("disk full")

    with TestClient(make_http_app(refuse, max_body_bytes=1_000)) as client:
        answer = client.post("/v1/events", json={"type": "escalation", "to": "x"})
        large = client.post("/v1/events", json={"type": "escalation", "to": "x" * 2_000})
    assert (answer.status_code, large.status_code) == (503, 413)
    assert answer.headers["retry-after"]


def test_the_time_spent_is_the_events_duration() -> None:
    """It ends when it is sent."""
    span = parse_event(json.dumps(REVIEW).encode(), clock=lambda: 100_000_000_000)
    assert (span.start_time, span.end_time) == (5_500_000_000, 100_000_000_000)
    assert event_id_of(span).startswith(TRACE)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
VALID: dict[str, dict[str, Any]] = {
    "human_review": REVIEW,
    "decision": {"name": "route", "result": "close", "condition": "", "confidence": 0.5, "branches_skipped": ["hold"]},
    "escalation": {"to": "second line", "reason": "", "severity": "high", "due": ""},
    "external_action": {"name": "refund", "target": "", "details": {}, "result": 1, "is_reversible": False},
}
COMMON = ("seconds_spent", "event_id", "subject", "case", "seen", "shown", "x", "type")


@given(data=st.data(), kind=st.sampled_from(sorted(VALID)))
def test_whatever_is_sent_is_a_span_or_one_clear_error(data: st.DataObject, kind: str) -> None:
    """A valid event of which one or two members are anything: no other exception leaves the parser."""
    members = st.sampled_from([*VALID[kind], *COMMON])
    odd = data.draw(st.dictionaries(members, VALUES, min_size=1, max_size=2))
    try:
        assert isinstance(parse_event(json.dumps({"type": kind, **VALID[kind], **odd}).encode()), ReadableSpan)
    except DataError as error:
        assert "expected" in str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("seconds", [0, 1e300, 2**53])
def test_an_event_does_not_begin_before_time_does(seconds: float) -> None:
    """However long somebody says that they spent."""
    span = parse_event(json.dumps({**REVIEW, "seconds_spent": seconds}).encode())
    assert 0 <= (span.start_time or 0) <= (span.end_time or 0)
