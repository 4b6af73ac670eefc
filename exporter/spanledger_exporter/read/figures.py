"""Figures for people: times with their zone, durations, money."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from decimal import Decimal

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, and what turns the direction of text around."""


def format_visible(text: str) -> str:
    r"""Return recorded text for a terminal: what would move, hide or turn other text around reads `\u001b`."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def format_time(moment: datetime, *, utc: bool) -> str:
    """Return a time for people, with its zone: `2026-11-02 09:00:00.123 +01:00`, or `… UTC`."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    shown = aware.astimezone(UTC if utc else None)
    zone = "UTC" if utc else shown.strftime("%:z") if sys.version_info >= (3, 12) else _offset(shown)
    return f"{shown:%Y-%m-%d %H:%M:%S}.{shown.microsecond // 1000:03} {zone}"


def _offset(moment: datetime) -> str:
    text = moment.strftime("%z")
    return f"{text[:3]}:{text[3:]}"


def format_duration(milliseconds: float | None) -> str:
    """Return a duration for people: `12 ms`, `2.40 s`, `3 min 20 s`, `2 h 5 min`, `3 days 4 h`."""
    if milliseconds is None:
        return ""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms" if milliseconds >= 10 or milliseconds == 0 else f"{milliseconds:.1f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days:,} days {hours} h"


def format_money(usd: Decimal | str | None) -> str:
    """Return US dollars for people; empty when the price is unknown, never `$0` for it."""
    if usd is None or usd == "":
        return ""
    amount = Decimal(usd)
    if amount == 0 or abs(amount) >= 1:
        return f"${amount:,.2f}"
    return f"${amount.quantize(Decimal('0.0001')) if abs(amount) >= Decimal('0.001') else amount.normalize():f}"


def format_clock(moment: datetime, *, utc: bool) -> str:
    """Return the time of day to the millisecond; the zone stands in the heading."""
    shown = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC if utc else None)
    return f"{shown:%H:%M:%S}.{shown.microsecond // 1000:03}"


def format_age(seconds: float) -> str:
    """Return an age for people: `12 s`, `5 min`, `3 h`, `4 days`."""
    seconds = max(0.0, seconds)
    for limit, unit, word in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {word}"
    return f"{seconds / 86_400:.0f} days"
