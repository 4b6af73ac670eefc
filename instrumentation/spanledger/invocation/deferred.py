"""Sequences and mappings that are built on first use and never change afterwards.

The hand-over always *offers* content, tool digests and messages, but building them is work, and without a reader
(no audit processor, no content on spans) nobody should pay for it. A deferred value is read inside the calls
that start and end the span, so what it sees is what was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

from spanledger.invocation.faults import report_once

Item = TypeVar("Item")


class Deferred(Sequence[Item]):
    """A sequence whose items `build()` gives when somebody looks; a builder that fails gives an empty sequence."""

    __slots__ = ("_build", "_items")

    def __init__(self, build: Callable[[], Sequence[Item]]) -> None:
        self._build: Callable[[], Sequence[Item]] | None = build
        self._items: Sequence[Item] = ()

    def resolve(self) -> Sequence[Item]:
        """Give the items themselves, built now if they were not yet."""
        build = self._build
        if build is not None:
            try:
                self._items = build()
            except Exception as error:  # a foreign object of an unknown shape must not reach the caller
                report_once("read message content", error)
            self._build = None
        return self._items

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        return self.resolve()[index]

    def __len__(self) -> int:
        return len(self.resolve())

    def __iter__(self) -> Iterator[Item]:
        return iter(self.resolve())

    def __repr__(self) -> str:
        return repr(self.resolve())

    def __eq__(self, other: object) -> bool:
        return list(self.resolve()) == (list(other) if isinstance(other, Sequence) else other)

    __hash__ = None  # type: ignore[assignment]  # items are JSON objects, which have no hash either


class DeferredMapping(Mapping[str, str]):
    """A mapping whose entries `build()` gives when somebody looks."""

    __slots__ = ("_build", "_entries")

    def __init__(self, build: Callable[[], Mapping[str, str]]) -> None:
        self._build: Callable[[], Mapping[str, str]] | None = build
        self._entries: Mapping[str, str] = {}

    def resolve(self) -> Mapping[str, str]:
        """Give the entries themselves, built now if they were not yet."""
        build = self._build
        if build is not None:
            try:
                self._entries = build()
            except Exception as error:  # see Deferred.resolve
                report_once("digest tool definitions", error)
            self._build = None
        return self._entries

    def __getitem__(self, key: str) -> str:
        return self.resolve()[key]

    def __len__(self) -> int:
        return len(self.resolve())

    def __iter__(self) -> Iterator[str]:
        return iter(self.resolve())

    def __repr__(self) -> str:
        return repr(self.resolve())


def resolved(items: Sequence[Any]) -> Sequence[Any]:
    """`items` as a plain sequence, for serialisers that do not know deferred ones."""
    return items.resolve() if isinstance(items, Deferred) else items
