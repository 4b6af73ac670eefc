"""Reading the next batch while the engine takes this one.

Parsing a batch is Python's work, inserting it the engine's, which lets go of the interpreter lock: with two cores a
backlog drains up to twice as fast. At most one batch is read ahead, so that memory stays at two; what is read ahead of
something that is read ahead makes it three.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from queue import Queue
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


@contextmanager
def read_ahead(items: Iterator[_Item]) -> Generator[Iterator[_Item]]:
    """Yield an iterator over `items` that is one item ahead of its reader; nothing runs on after the block.

    The thread starts with the second item: most passes over a chain find one batch or none.
    """
    ahead = _Ahead(items)
    try:
        yield ahead.items()
    finally:
        ahead.stop()


class _Ahead(Generic[_Item]):
    def __init__(self, items: Iterator[_Item]) -> None:
        self._source = items
        self._ready: Queue[tuple[list[_Item], BaseException | None]] = Queue()
        self._wanted = threading.Semaphore(0)
        self._stopped = False
        self._thread: threading.Thread | None = None

    def items(self) -> Iterator[_Item]:
        for first in self._source:
            self._start()
            yield first
            break
        while self._thread is not None:
            found, error = self._ready.get()
            if error is not None:
                raise error
            if not found:
                return
            self._wanted.release()
            yield found[0]
        yield from self._source

    def _start(self) -> None:
        """Start the thread; where Python refuses (3.12 does while it ends), items are read when they are asked for."""
        self._wanted.release()
        thread = threading.Thread(target=self._read, name="spanledger-read-ahead", daemon=True)
        with suppress(RuntimeError):
            thread.start()
            self._thread = thread

    def _read(self) -> None:
        while self._wanted.acquire() and not self._stopped:
            try:
                found = [next(self._source)]
            except StopIteration:
                self._ready.put(([], None))
                return
            except BaseException as error:  # it belongs to the reader
                self._ready.put(([], error))
                return
            self._ready.put((found, None))

    def stop(self) -> None:
        self._stopped = True
        self._wanted.release()
        if self._thread is not None:
            self._thread.join()
