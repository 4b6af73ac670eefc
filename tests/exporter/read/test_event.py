"""Folding and causal order, as pure functions over rows."""

from __future__ import annotations

from typing import Any

import pytest

from spanledger_exporter.read.event import Event, depths, fold, in_causal_order

TRACE = "a" * 32
CHAIN = "c" * 32


def event(span: str, *, start: int = 0, seq: int = 0, **envelope: Any) -> Event:
    """Return a stored span event of one trace."""
    base = {
        "event_id": f"{TRACE}:{span}",
        "trace_id": TRACE,
        "span_id": span,
        "time": {"start": str(start), "end": str(start + 5)},
    }
    return Event({**base, "event_type": "span", "outcome": "success", **envelope}, CHAIN, seq, f"{seq:064x}", start + 5)


def begin(span: str, *, seq: int = 0) -> Event:
    """Return the intent row of a span."""
    return Event(
        {"event_id": f"{TRACE}:{span}:begin", "event_type": "model_call", "time": {"start": "7"}},
        CHAIN,
        seq,
        f"{seq:064x}",
        7,
    )


def ids(events: list[Event]) -> list[str]:
    """Return the span part of each event's id."""
    return [e.event_id.rpartition(":")[2] for e in events]


def test_an_intent_becomes_part_of_its_completion() -> None:
    """One event, which names the row of its intent."""
    (folded,) = fold([begin("s1", seq=1), event("s1", seq=2)])
    assert folded.outcome == "success"
    assert folded.as_record()["intent"]["seq"] == 1


def test_an_intent_without_a_completion_is_incomplete() -> None:
    """It has no duration, and keeps the id that its completion would have had."""
    (folded,) = fold([begin("s1")])
    record = folded.as_record()
    assert (record["outcome"], record["event_id"], folded.duration_ms) == ("incomplete", f"{TRACE}:s1", None)


def test_a_row_delivered_twice_is_one_event() -> None:
    """The same chain, place and hash is the same row."""
    assert len(fold([event("s1", seq=1), event("s1", seq=1)])) == 1


def test_two_rows_that_claim_one_event_are_both_shown() -> None:
    """Nobody can hide an event behind another row with the same id."""
    assert len(fold([event("s1", seq=1), event("s1", seq=2, outcome="error")])) == 2


def test_causes_come_before_effects_whatever_the_clocks_say() -> None:
    """The child's host is behind by 50."""
    child = event("child", start=50, parent_span_id="parent")
    assert ids(in_causal_order([child, event("parent", start=100)])) == ["parent", "child"]


def test_events_without_a_common_cause_stand_in_order_of_time() -> None:
    """Siblings by start; the review after the call that it is about."""
    call, other = event("call", start=10), event("other", start=20)
    review = event("review", start=30, parent_event_id=call.event_id)
    assert ids(in_causal_order([review, other, call])) == ["call", "other", "review"]


def test_a_circle_of_causes_loses_no_event() -> None:
    """Two spans that claim to be each other's parent are shown by time."""
    one, two = event("one", start=2, parent_span_id="two"), event("two", start=1, parent_span_id="one")
    assert ids(in_causal_order([one, two])) == ["two", "one"]
    assert set(depths([one, two]).values()) == {1}


def test_depth_counts_the_ancestors_that_are_there() -> None:
    """A parent outside the listing counts for nothing."""
    parents = {"b": "a", "c": "b", "d": "gone"}
    events = [event("a"), *(event(span, parent_span_id=parent) for span, parent in parents.items())]
    assert [depths(events)[e.event_id] for e in events] == [0, 1, 2, 0]


@pytest.mark.parametrize(
    "env",
    ["", "[]", "null", "{", '{"time":5,"cost":"x","input":[1,{"ref":2}],"usage":[]}', '{"time":{"start":"-1"}}'],
)
def test_a_strange_envelope_is_shown_rather_than_refused(env: str) -> None:
    """No property of an event raises, whatever its row holds."""
    strange = Event.from_row(CHAIN, 1, "0" * 64, 42, env)
    shown = (strange.outcome, strange.duration_ms, strange.cost_usd, strange.model, strange.references())
    assert shown[1] in {None, 0}
    assert strange.as_record()["seq"] == 1
    assert strange.start_ns == 42
