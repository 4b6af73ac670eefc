"""Times as people type them: ISO 8601, a date, `today`, `yesterday`, or an age: `90s`, `15m`, `2h`, `7d`, `4w`.

A time without a zone is local, unless the caller names another. Where clocks are set back an hour comes twice: a span
begins with the first and ends with the second, and so leaves nothing out. Everything becomes Unix nanoseconds, within
what the store's times hold.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final

from spanledger_exporter.errors import UsageError

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_DAYS: Final = {"today": 0, "yesterday": 1}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
EARLIEST_NS: Final = -2_208_988_800_000_000_000
"""1900-01-01, the earliest time that the store's columns hold."""
LATEST_NS: Final = 2**63 - 1
_NANOSECONDS: Final = re.compile(r"\d{16,19}")


def parse_span(
    since: str | None, until: str | None, *, now_ns: int, zone: tzinfo | None = None
) -> tuple[int | None, int | None]:
    """Return where a span of time begins and ends, None where it is not limited; its end is not part of it.

    Raises UsageError as `parse_time` does, and for a span in which nothing can be: that would look like nothing found.
    """
    first_ns = parse_time(since, now_ns=now_ns, zone=zone) if since else None
    end_ns = parse_time(until, now_ns=now_ns, zone=zone, is_end=True) if until else None
    if first_ns is not None and end_ns is not None and end_ns <= first_ns:
        raise UsageError(
            f"expected an end after the beginning, got since {since!r} and until {until!r}: "
            "what happens at the end is left out, so a day ends with the date of the next one"
        )
    return first_ns, end_ns


def parse_time(text: str, *, now_ns: int, zone: tzinfo | None = None, is_end: bool = False) -> int:
    """Return Unix nanoseconds; `zone` is that of a time without one, None the local one.

    Of a time that clocks showed twice the second is taken for an end, else the first.

    Raises UsageError when `text` is no time, or one that no row can have.
    """
    folds = (0, 1) if is_end else (0,)  # of a time that never came, the first of the two is the later one
    time_ns = max(_nanoseconds(text.strip(), now_ns=now_ns, zone=zone, fold=fold) for fold in folds)
    if not EARLIEST_NS <= time_ns <= LATEST_NS:
        raise UsageError(f"expected a time from 1900-01-01 to 2262-04-11, got {text!r}")
    return time_ns


def _nanoseconds(text: str, *, now_ns: int, zone: tzinfo | None, fold: int) -> int:
    if text.lower() == "now":
        return now_ns
    if _NANOSECONDS.fullmatch(text):
        return int(text)
    try:
        if age := _AGE.fullmatch(text):
            return now_ns - int(float(age[1]) * _UNITS[age[2]] * 1_000_000_000)
        moment = _day(text, now_ns=now_ns, zone=zone) or datetime.fromisoformat(text)
        moment = moment.replace(fold=fold)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=zone) if zone else moment.astimezone()
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"expected a time such as 2026-11-02, 2026-11-02T08:00:00Z, yesterday or 2h (ago), got {text!r}"
        ) from error
    return (aware - _EPOCH) // _MICROSECOND * 1_000


def _day(text: str, *, now_ns: int, zone: tzinfo | None) -> datetime | None:
    """Return when the day began that is named in a word, without its zone; None for no such word."""
    if (days := _DAYS.get(text.lower())) is None:
        return None
    today = datetime.fromtimestamp(now_ns / 1e9, zone).date()
    return datetime.combine(today - timedelta(days=days), time.min)  # midnight in its own zone, whatever the clocks did
