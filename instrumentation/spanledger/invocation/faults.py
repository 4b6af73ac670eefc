"""Our own failures: logged once per place, never raised into the application.

A telemetry mistake must not take the application down, and must not fill its log either: each place reports its
first failure with the traceback and stays quiet afterwards.
"""

from __future__ import annotations

import logging

_logger = logging.getLogger("spanledger")
_reported: set[str] = set()


def report_once(place: str, error: BaseException) -> None:
    """Log `error` the first time it happens at `place`, with its traceback unless that is endless."""
    if place in _reported:
        return
    _reported.add(place)
    _logger.warning(
        "spanledger could not %s: %s: %s; the application is not affected, further failures here are not logged",
        place,
        type(error).__name__,
        error,
        # A value that contains itself would fill the log with a thousand frames that say the same.
        exc_info=None if isinstance(error, RecursionError) else error,
    )


def warn_once(message: str) -> None:
    """Log `message` the first time it is given."""
    if message not in _reported:
        _reported.add(message)
        _logger.warning(message)
