"""Threads that an application may have besides its own: loading the price list, and shipping to a server.

Both are daemons: they end with the process and hold nothing up for longer than `EXIT_PATIENCE_S`. What the shipper had
not sent stays in the spool. Where no thread can be started (the user may have no more, or exit handlers run and Python
is 3.12 or newer), the first call's end loads the list itself, and rows wait in the spool: one line says so.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanledger_exporter.config import Settings
from spanledger_semconv import cost

if TYPE_CHECKING:
    from spanledger_exporter.ship.shipper import Shipper

EXIT_PATIENCE_S: Final = 2.0
_STARTING: Final = "spanledger-shipper-start"
_LOADING: Final = "spanledger-prices"

_log = logging.getLogger(__name__)

_threads: dict[str, threading.Thread] = {}
_shippers: dict[Path, Shipper] = {}


def start_threads(settings: Settings, *, ships: bool) -> None:
    """Start what a process with a chain of its own needs; a forked child calls it again when its chain begins.

    The price list loads beside the first call: it takes about a tenth of a second, an answer takes longer. An embedded
    store belongs to another process; a server store is shipped to from here, unless `ships` says that the process has
    a shipper already.
    """
    _start(_LOADING, _warm)
    if ships and not settings.is_embedded:
        _start(_STARTING, lambda: _ship(settings))


def finish_shipping(settings: Settings) -> None:
    """Send what the chain ended with, if the store answers, for a bounded time.

    At the end of a process the shipper's own exit handler runs before OpenTelemetry's, which ends the chain:
    `chain.close` would wait in the spool for the next process. A short process may not have a shipper yet.
    """
    started = time.monotonic()
    if (starting := _threads.get(_STARTING)) is not None:
        starting.join(EXIT_PATIENCE_S)
    shipper = _shippers.pop(settings.directory, None)
    if shipper is not None and shipper.last_error is None:
        shipper.close(max(EXIT_PATIENCE_S - (time.monotonic() - started), 0.1))


def _warm() -> None:
    try:
        cost.warm()
    except Exception:  # a price list that cannot be read means unknown prices, nothing more
        _log.warning("spanledger: the price list cannot be loaded, costs stay unknown", exc_info=True)


def _ship(settings: Settings) -> None:
    try:
        shipper: Shipper = import_module("spanledger_exporter.ship.shipper").Shipper(settings)
        shipper.start()
        _shippers[settings.directory] = shipper
    except RuntimeError as error:
        _say_unstarted(error)
    except Exception:
        _log.exception("spanledger: the shipper did not start; rows stay in the spool, `spanledger ship` sends them")


def _start(name: str, run: Callable[[], None]) -> None:
    """Start a thread, unless the interpreter is ending: `Thread.start` of Python 3.11 would then wait for ever."""
    if sys.is_finalizing():
        return
    thread = threading.Thread(target=run, name=name, daemon=True)
    _threads[name] = thread  # before it runs: a fork in between looks for it here
    try:
        thread.start()
    except RuntimeError as error:
        del _threads[name]
        if name == _STARTING:
            _say_unstarted(error)


def _say_unstarted(error: RuntimeError) -> None:
    _log.warning("spanledger: no shipper here (%s): rows stay in the spool, `spanledger ship` sends them", error)


def _wait_before_fork() -> None:
    """Let running imports finish, however long that takes on a busy machine.

    A child that is forked in the middle of one inherits half a module, and its lock without the thread that holds it:
    the child's first use of the price list would then wait for ever. These threads end by themselves: they import
    packages that know nothing of the application, so that they need no lock that the forking thread may hold.
    """
    for thread in list(_threads.values()):
        if thread is not threading.current_thread() and thread.is_alive():
            thread.join()


def _forget_threads() -> None:
    _threads.clear()
    _shippers.clear()


os.register_at_fork(before=_wait_before_fork, after_in_child=_forget_threads)
