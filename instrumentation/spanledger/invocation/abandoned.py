"""Ends calls that the garbage collector found: a stream that was dropped, a coroutine that was never finished.

A finaliser can run in the middle of anything, also while this very thread holds a lock of the tracing SDK, of a log
handler or of the spool. Ending a span there would wait for that lock for ever. So a finaliser looks at its stack:

- no telemetry code below it: the call ends at once, as the application expects after `del stream`;
- otherwise the end waits in a queue until the telemetry code has returned: the next call that starts or ends, or the
  interpreter's exit, takes it from there.
"""

from __future__ import annotations

import atexit
import sys
from collections import deque
from collections.abc import Callable
from types import FrameType

from spanledger.invocation.faults import report_once

_HOLDS_LOCKS = ("opentelemetry", "spanledger", "logging", "threading", "queue", "concurrent.", "asyncio.", "importlib")

waiting: deque[Callable[[], None]] = deque()  # append and popleft are atomic, and safe inside a finaliser


def end_from_finaliser(end: Callable[[], None]) -> None:
    """Run `end` now if no telemetry code is on this thread's stack, else as soon as it has returned."""
    if sys.is_finalizing():
        return
    frame = sys._getframe(1).f_back  # noqa: SLF001  # the frame that the finaliser interrupted
    if _is_inside_telemetry(frame):
        waiting.append(end)
    else:
        end()


def end_waiting() -> None:
    """Run the ends that had to wait."""
    while waiting:
        try:
            end = waiting.popleft()
        except IndexError:  # another thread was faster
            return
        try:
            end()
        except Exception as error:
            report_once("end an abandoned call", error)


def _is_inside_telemetry(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(_HOLDS_LOCKS):
            return True
        frame = frame.f_back
    return False


atexit.register(end_waiting)
