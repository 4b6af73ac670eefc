"""Times as people type them: ISO 8601, a date, `today`, `yesterday`, or an age: `90s`, `15m`, `2h`, `7d`, `4w`.

A time without a zone is local, unless the caller names another. Everything becomes Unix nanoseconds, within what the
store's times hold.
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


def parse_time(text: str, *, now_ns: int, zone: tzinfo | None = None) -> int:
    """Return Unix nanoseconds; `zone` is that of a time without one, None the local one.

    Raises UsageError when `text` is no time, or one that no row can have.
    """
    time_ns = _nanoseconds(text.strip(), now_ns=now_ns, zone=zone)
    if not EARLIEST_NS <= time_ns <= LATEST_NS:
        raise UsageError(f"expected a time from 1900-01-01 to 2262-04-11, got {text!r}")
    return time_ns


def _nanoseconds(text: str, *, now_ns: int, zone: tzinfo | None) -> int:
    if text.lower() == "now":
        return now_ns
    if _NANOSECONDS.fullmatch(text):
        return int(text)
    try:
        if age := _AGE.fullmatch(text):
            return now_ns - int(float(age[1]) * _UNITS[age[2]] * 1_000_000_000)
        moment = _day(text, now_ns=now_ns, zone=zone) or datetime.fromisoformat(text)
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
