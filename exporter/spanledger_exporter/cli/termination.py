"""How a command ends when it is told to (SIGTERM, SIGHUP): by that signal, after its clean-up.

Rules
- The handler raises `Terminated` in the main thread, so that every `finally` runs: scratch directories and unfinished
  files go, leases are given back. Then the process dies of the signal; a shell sees 128 and its number.
- Python runs a handler between two instructions only, and the engine can be inside one query for minutes. So a thread
  is told of the signal too: a command that has not ended `GRACE_S` later ends at once, with the same number. The
  scratch directory that it leaves is removed by the next reader.
- A second signal ends the process at once, as if nothing of this were there.
- What is ignored stays ignored (`nohup`). Handlers of commands that serve (`on_stop`) are left alone.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

GRACE_S: Final = 2.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)


class Terminated(BaseException):
    """The process was told to end, by the signal `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(f"terminated by {signal.Signals(number).name}")
        self.number = number


@contextmanager
def ended_by_signals() -> Generator[None]:
    """Clean up before a signal ends the process, as the module says. Only the main thread can; elsewhere nothing is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    with suppress(RuntimeError):  # no more threads for this user: then a long query ends before its command does
        threading.Thread(target=_end_late, args=(told,), name="spanledger-termination", daemon=True).start()
    for number in handled:
        signal.signal(number, _terminate)
    try:
        yield
    except Terminated as terminated:
        signal.raise_signal(terminated.number)  # its handler is the default one again
    finally:
        for number in handled:
            if signal.getsignal(number) is _terminate:
                signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(before)
        os.close(tell)


def on_stop(stop: Callable[[], object]) -> None:
    """Call `stop` on SIGTERM and Ctrl-C instead of ending: for commands that serve until they are told."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())


def _terminate(number: int, _: FrameType | None) -> None:
    for each in _SIGNALS:
        if signal.getsignal(each) is _terminate:
            signal.signal(each, signal.SIG_DFL)
    raise Terminated(number)


def _end_late(told: int) -> None:
    """End the process `GRACE_S` after a signal that is ours to obey; return when nobody waits for one any more."""
    with open(told, "rb", buffering=0) as numbers:
        while number := numbers.read(1):
            if number[0] in _SIGNALS and signal.getsignal(number[0]) in {_terminate, signal.SIG_DFL}:
                time.sleep(GRACE_S)
                os._exit(128 + number[0])
