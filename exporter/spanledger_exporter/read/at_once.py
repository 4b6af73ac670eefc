"""Two questions to the store at the same time: planning one, a few milliseconds of 70 columns, takes one core."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from spanledger_exporter.store.connection import Store

One = TypeVar("One")
Other = TypeVar("Other")


def at_once(store: Store, one: Callable[[Store], One], other: Callable[[Store], Other]) -> tuple[One, Other]:
    """Return the answers of two questions that do not depend on each other.

    They are asked one after the other where a second connection would have to be made first: for a single command that
    takes longer than it saves. Raises what either raises; both have ended by then.
    """
    if not store.has_companion:
        return one(store), other(store)
    with ThreadPoolExecutor(1, "spanledger-read") as beside:
        waiting = beside.submit(other, store.companion())
        return one(store), waiting.result()
