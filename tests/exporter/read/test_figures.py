"""Times, durations and money as people read them, and times as people type them."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from spanledger_exporter.errors import UsageError
from spanledger_exporter.read.encoding import format_json, write_csv
from spanledger_exporter.read.figures import format_age, format_duration, format_money, format_time, format_visible
from spanledger_exporter.read.when import parse_span, parse_time

NOON_NS = 1_793_620_800_000_000_000  # 2026-11-02 12:00 UTC


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (None, ""),
        (0, "0 ms"),
        (0.25, "0.2 ms"),
        (42.4, "42 ms"),
        (2400, "2.40 s"),
        (200_000, "3 min 20 s"),
        (7_500_000, "2 h 5 min"),
        (31_535_940_000, "364 days 23 h"),
    ],
)
def test_durations_have_the_unit_that_fits(milliseconds: float | None, shown: str) -> None:
    """Nobody counts 7,500,000 ms."""
    assert format_duration(milliseconds) == shown


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(None, ""), ("", ""), ("0", "$0.00"), ("0.00012", "$0.00012"), ("0.005315", "$0.0053"), ("1234.5", "$1,234.50")],
)
def test_money_keeps_the_places_that_matter(usd: str | None, shown: str) -> None:
    """An unknown price is empty, never zero."""
    assert format_money(usd) == shown


def test_a_time_says_its_zone() -> None:
    """A naive one is the store's, in UTC."""
    assert format_time(datetime(2026, 11, 2, 8, 0, 0, 123_000), utc=True) == "2026-11-02 08:00:00.123 UTC"  # noqa: DTZ001
    assert format_time(datetime(2026, 11, 2, 8, tzinfo=UTC), utc=False)[-6] in "+-"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "0 s"), (90, "90 s"), (600, "10 min"), (7200, "2 h"), (400_000, "5 days")]
)
def test_ages_are_short(seconds: float, shown: str) -> None:
    """One figure and one unit."""
    assert format_age(seconds) == shown


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("2026-11-02T12:00:00Z", NOON_NS),
        ("2026-11-02T13:00+01:00", NOON_NS),
        ("2026-11-02T12:00:00.000001Z", NOON_NS + 1000),
        ("now", NOON_NS),
        ("2h", NOON_NS - 7_200_000_000_000),
        ("1.5m", NOON_NS - 90_000_000_000),
        ("7d", NOON_NS - 604_800_000_000_000),
        (str(NOON_NS), NOON_NS),
        ("1960-01-01T00:00:00.25Z", -315_619_199_750_000_000),
    ],
)
def test_times_can_be_typed_as_people_do(typed: str, expected: int) -> None:
    """ISO 8601, ages, and the nanoseconds that our own JSON shows."""
    assert parse_time(typed, now_ns=NOON_NS) == expected


@pytest.mark.parametrize(
    ("typed", "zone", "expected"),
    [
        ("2026-11-02T12:00", UTC, NOON_NS),
        ("2026-11-02T13:00", ZoneInfo("Europe/Berlin"), NOON_NS),
        ("today", UTC, NOON_NS - 43_200_000_000_000),
        ("Yesterday", UTC, NOON_NS - 129_600_000_000_000),
        ("yesterday", ZoneInfo("America/New_York"), NOON_NS - 115_200_000_000_000),
    ],
)
def test_a_time_without_a_zone_is_in_the_one_that_the_reader_is_shown(typed: str, zone: tzinfo, expected: int) -> None:
    """New York put its clocks back in the night to 1 November 2026: that day began at 04:00 UTC and had 25 hours."""
    assert parse_time(typed, now_ns=NOON_NS, zone=zone) == expected


@pytest.mark.parametrize(
    ("since", "until", "hours"),
    [
        ("2026-10-25T02:15", "2026-10-25T02:45", 1.5),  # twice that night: from the first to the second
        ("2026-03-29T02:15", "2026-03-29T02:45", 0.5),  # never that night
        ("2026-10-25", "2026-10-26", 25),
        ("2026-03-29", "2026-03-30", 23),
        ("2028-02-29", "2028-03-01", 24),
        ("2026-12-31", "2027-01-01", 24),
        ("2026-10-25T02:15+02:00", "2026-10-25T02:45+02:00", 0.5),
    ],
)
def test_a_span_leaves_nothing_out_when_clocks_are_set(since: str, until: str, hours: float) -> None:
    """Rows of the second 02:15 were not found between 02:15 and 02:45."""
    first_ns, end_ns = parse_span(since, until, now_ns=NOON_NS, zone=ZoneInfo("Europe/Berlin"))
    assert first_ns is not None
    assert end_ns is not None
    assert end_ns - first_ns == hours * 3_600_000_000_000


@pytest.mark.parametrize("until", ["2026-11-01", "2026-11-02", "8h"])
def test_a_span_in_which_nothing_can_be_is_refused(until: str) -> None:
    """One day from the second to the second of November: the end is left out."""
    with pytest.raises(UsageError, match="ends with the date of the next one"):
        parse_span("2026-11-02T09:00Z" if until == "8h" else "2026-11-02", until, now_ns=NOON_NS, zone=UTC)


@pytest.mark.parametrize("typed", ["9999-12-31", "1899-12-31T00:00Z", "99999999999w", "9" * 19, "2263-01-01T00:00Z"])
def test_a_time_that_no_row_can_have_is_refused(typed: str) -> None:
    """Past what the store's times hold it came round again: a search since the year 9999 found everything."""
    with pytest.raises(UsageError, match="from 1900-01-01"):
        parse_time(typed, now_ns=NOON_NS)


@pytest.mark.parametrize("typed", ["", "soon", "2026-02-30", "5y", "-3h", "12", "0001-01-01", "9" * 400 + "d"])
def test_what_is_no_time_is_refused_with_examples(typed: str) -> None:
    """The message shows how."""
    with pytest.raises(UsageError, match="2026-11-02"):
        parse_time(typed, now_ns=NOON_NS)


def test_json_keeps_decimals_exact_and_bytes_readable() -> None:
    """Decimals are JSON numbers with every place; times are UTC; integers past 64 bits are text."""
    value = {"usd": Decimal("0.005315000"), "hash": b"\x01\xff", "at": datetime(2026, 11, 2, tzinfo=UTC), "big": 2**70}
    shown = format_json(value).decode()
    assert '"usd": 0.005315000' in shown
    assert '"hash": "01ff"' in shown
    assert '"at": "2026-11-02T00:00:00Z"' in shown
    assert f'"big": "{2**70}"' in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("40 failed logins\n\tfrom 10.0.0.7 für Zoë 日本 👩‍👧", "40 failed logins\n\tfrom 10.0.0.7 für Zoë 日本 👩‍👧"),
        ("\x1b[2J\x1b[31mVERIFIED\x07", r"\u001b[2J\u001b[31mVERIFIED\u0007"),
        ("\x9b2Jgone\rover", r"\u009b2Jgone\u000dover"),
        ("pay \u202e001\u202c now \u2066x\u2069", r"pay \u202e001\u202c now \u2066x\u2069"),
    ],
)
def test_recorded_text_cannot_take_a_terminal_over(text: str, shown: str) -> None:
    """A prompt may hold what clears the screen, colours a verdict, or turns text around; readers see that it does."""
    assert format_visible(text) == shown


def test_a_cell_of_a_csv_file_is_never_a_formula() -> None:
    """`=HYPERLINK(…)` in a prompt would run where a compliance officer opens the file; numbers stay numbers."""
    texts = ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", "plain", "a=1", ""]
    out = io.BytesIO()
    write_csv([{"text": text, "number": -2.5, "money": Decimal("-0.1")} for text in texts], out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue().decode(), newline="")))
    assert [row["text"] for row in rows] == [f"'{text}" for text in texts[:6]] + texts[6:]
    assert {(row["number"], row["money"]) for row in rows} == {("-2.5", "-0.1")}
