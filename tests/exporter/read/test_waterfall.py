"""The timeline for the terminal: every text is shown once, and never left out in silence."""

from __future__ import annotations

import time

import pytest

from spanledger_exporter.read.contents import ReadableContent
from spanledger_exporter.read.event import Event
from spanledger_exporter.read.waterfall import WaterfallOptions, format_waterfall

REFERENCES = {"rules": "aa" * 32, "one": "b1" * 32, "two": "b2" * 32}
CONTENTS = {
    reference: ReadableContent(reference, "payload", "text/plain", 0, f"the text of {name}".encode())
    for name, reference in REFERENCES.items()
}


def turn(number: int, *names: str) -> Event:
    """Return a model call at second `number` with these texts as input."""
    parts = [
        {"role": "system" if name == "rules" else "user", "type": "text", "ref": REFERENCES[name]} for name in names
    ]
    start = str(1_793_606_400_000_000_000 + number * 10**9)
    envelope = {
        "event_type": "model_call",
        "event_id": f"e{number}",
        "input": parts,
        "time": {"start": start, "end": start},
        "outcome": "success",
    }
    return Event(envelope, "cc" * 16, number, "dd" * 32, int(start))


def lines(*events: Event) -> list[str]:
    """Return the lines of the page that speak of texts."""
    page = format_waterfall("CASE-1", events, WaterfallOptions(contents=CONTENTS, utc=True))
    return [" ".join(line.split()) for line in page.splitlines() if "the text of" in line or "the same as" in line]


def test_a_text_that_was_shown_is_one_short_line_with_time_and_reference() -> None:
    """Nobody should think that the second call went without its system prompt."""
    assert lines(turn(1, "rules"), turn(2, "rules", "one")) == [
        "system the text of rules",
        "system the same as at 08:00:01.000 (aaaaaaaa…)",
        "user the text of one",
    ]


def test_a_conversation_that_is_resent_is_one_line_and_not_one_for_each_turn() -> None:
    """Fifty turns would be a page of repetitions."""
    assert lines(turn(1, "one", "two"), turn(2, "one", "two"))[2:] == [
        "user 2 texts, the same as above since 08:00:01.000 (b1b1b1b1… to b2b2b2b2…)"
    ]


def test_a_text_that_stands_twice_in_one_event_is_said_twice() -> None:
    """The user asked the same thing two times in a row."""
    assert lines(turn(1, "one", "one")) == ["user the text of one", "user the same as at 08:00:01.000 (b1b1b1b1…)"]


def test_a_case_of_several_days_names_each_day() -> None:
    """The time of day alone made the review of the next morning stand before the call of the evening."""
    page = format_waterfall("CASE-1", [turn(1), turn(80_000), turn(80_001)], WaterfallOptions(utc=True)).splitlines()
    days = [line for line in page if line.startswith("2026-")]
    assert days == ["2026-11-02", "2026-11-03"]
    assert page.index("2026-11-03") == page.index("2026-11-02") + 3
    one = format_waterfall("CASE-1", [turn(1), turn(2)], WaterfallOptions(utc=True)).splitlines()
    assert not [line for line in one if line.startswith("2026-")]


def test_a_case_across_the_setting_of_clocks_says_by_how_much_they_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half past two came before two o'clock, and nothing said why."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        before_s = 1_792_888_200 - 1_793_606_400  # 2026-10-25 02:30 summer time
        turns = [turn(before_s), turn(before_s + 1800)]
        page = format_waterfall("CASE-1", turns, WaterfallOptions()).splitlines()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [line[:17] for line in page if line.startswith(("2026-", "02:"))] == [
        "2026-10-25 +02:00",
        "02:30:00.000  mod",
        "2026-10-25 +01:00",
        "02:00:00.000  mod",
    ]
