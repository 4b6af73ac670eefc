"""Times as people type them: ISO 8601, a date, or an age such as `90s`, `15m`, `2h`, `7d`, `4w`.

A time without a zone is local. Everything becomes Unix nanoseconds.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from spanledger_exporter.errors import UsageError

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_NANOSECONDS: Final = re.compile(r"\d{16,19}")


def parse_time(text: str, *, now_ns: int) -> int:
    """Return Unix nanoseconds.

    Raises UsageError when `text` is no time.
    """
    text = text.strip()
    if text.lower() == "now":
        return now_ns
    if age := _AGE.fullmatch(text):
        return now_ns - int(float(age[1]) * _UNITS[age[2]] * 1_000_000_000)
    if _NANOSECONDS.fullmatch(text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"expected a time such as 2026-11-02, 2026-11-02T08:00:00Z or 2h (ago), got {text!r}"
        ) from error
    aware = moment if moment.tzinfo else moment.astimezone()
    return int(aware.timestamp()) * 1_000_000_000 + aware.microsecond * 1_000
