"""What the driver and the engine raise, said in our words: which store, what it was expected to do, what came.

Rules
- StoreRefusedError is for what no repetition mends; everything else is a StoreError, and worth another try.
"""

from __future__ import annotations

import re

from clickhouse_connect.driver.exceptions import ClickHouseError, DataError, OperationalError

from spanledger_exporter.errors import StoreError, StoreRefusedError

# Answers of the engine that say nothing about the statement: rights, capacity, shutdown, replication, a table that is
# still to be made.
_TRANSIENT_CODES = frozenset(
    {
        3, 60, 81, 159, 164, 192, 193, 194, 201, 202, 203, 209, 210, 212, 225, 236, 242, 243, 244, 252, 254, 265, 279,
        285, 286, 289, 290, 319, 386, 394, 396, 410, 415, 425, 439, 473, 497, 499, 516, 574, 630, 668, 735, 774, 995,
        999,
    }
)  # fmt: skip

# Answers that blame the values: what cannot be parsed, converted or held, and a violated constraint.
_DATA_CODES = frozenset({6, 26, 27, 32, 33, 38, 41, 53, 69, 70, 72, 117, 128, 131, 349, 407, 441, 469})

_LOGIN_CODES = frozenset({192, 193, 194, 516})


def translated(error: Exception, *, name: str) -> StoreError:
    """Return the StoreError that says what `error` means for the store called `name`."""
    code = getattr(error, "code", None)
    text = _first_line(str(error))
    if code in _LOGIN_CODES:
        return StoreError(f"expected {name} to accept the user and password, got: {text}", code=code)
    if code is not None and code not in _TRANSIENT_CODES:
        blames_data = code in _DATA_CODES
        return StoreRefusedError(f"expected {name} to accept it, got: {text}", code=code, blames_data=blames_data)
    if isinstance(error, DataError):  # the driver's own, before anything was sent
        return StoreRefusedError(f"expected values that fit the columns of {name}, got: {text}", blames_data=True)
    if isinstance(
        error, UnicodeDecodeError
    ):  # the engine's refusal quotes bytes of ours, and the driver chokes on them
        return StoreRefusedError(
            f"expected {name} to accept it, got a refusal that is not UTF-8: {error.object[:200]!r}"
        )
    if isinstance(error, OperationalError) and code is None:
        return StoreError(
            f"expected an answer from {name}, got: {_first_line(_root(error))}: "
            "is the server up, and are host, port and TLS right?"
        )
    kind = "" if isinstance(error, ClickHouseError) else f"{type(error).__name__}: "
    return StoreError(f"expected {name} to do its work, got: {kind}{text}", code=code)


def _root(error: BaseException) -> str:
    """Return what the innermost exception says: a refused connection comes wrapped four times."""
    said = str(error)
    inner = error.__cause__ or error.__context__
    while inner is not None:
        said = str(inner) or said
        inner = inner.__cause__ or inner.__context__
    return said


def _first_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()[:600]
