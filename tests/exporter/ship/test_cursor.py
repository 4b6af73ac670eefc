"""The cursor of a chain, and where it stood a moment ago."""

from __future__ import annotations

import pytest

from spanledger_exporter.ship.cursor import KEEP_LEFT_NS, NO_CURSOR, Cursor, Pending, format_cursor, parse_cursor
from spanledger_exporter.spool.reader import START, Position

SECOND = 10**9
NOW = 1_769_000_000 * SECOND


@pytest.mark.parametrize(
    "cursor",
    [
        NO_CURSOR,
        Cursor(Position(2, 90), 17, b"\1" * 32, {0: 5, 1: 11}, dead=(3, 9)),
        Cursor(Position(0, 44), -1, pending=Pending(Position(1, 2), 3, b"\2" * 32)),
        Cursor(Position(1, 20), 9, left=((NOW - SECOND, START), (NOW, Position(0, 70)))),
    ],
)
def test_a_cursor_is_read_back_as_it_was_written(cursor: Cursor) -> None:
    """`format_cursor` and `parse_cursor` are inverses."""
    assert parse_cursor(format_cursor(cursor)) == cursor


def test_a_cursor_of_an_older_version_left_nowhere() -> None:
    """It stood where it stands."""
    older = b'{"dead":[],"files":{},"head":"","position":[0,80],"seq":1}'
    assert parse_cursor(older) == Cursor(Position(0, 80), 1)


def test_bytes_that_are_no_cursor_are_none() -> None:
    """Recovery then compares row by row."""
    for data in (
        b"",
        b"[]",
        b"{",
        b'{"position":[0]}',
        b'{"dead":[],"files":{},"head":"","position":[0,8],"seq":1,"left":3}',
    ):
        assert parse_cursor(data) == NO_CURSOR


def test_where_the_cursor_stood_is_known_for_the_last_seconds() -> None:
    """The place that it left soonest after the time asked for; today's place when it has not moved since."""
    cursor = Cursor(Position(0, 90), left=((NOW - 2 * SECOND, Position(0, 10)), (NOW - SECOND, Position(0, 50))))
    assert cursor.at(NOW - 3 * SECOND) == Position(0, 10)
    assert cursor.at(NOW - 2 * SECOND) == Position(0, 50)
    assert cursor.at(NOW) == Position(0, 90)


def test_places_left_long_ago_are_forgotten() -> None:
    """The file stays small however long the chain lives."""
    cursor = Cursor(Position(0, 90), left=((NOW - KEEP_LEFT_NS, START), (NOW - SECOND, Position(0, 50))))
    assert cursor.left_now(NOW) == ((NOW - SECOND, Position(0, 50)), (NOW, Position(0, 90)))
