"""One item ahead, never two, and nothing left running."""

import threading
from collections.abc import Iterator

import pytest

from spanledger_exporter.ship.read_ahead import read_ahead


def test_items_come_in_order_and_all() -> None:
    """Also none, and one."""
    for count in (0, 1, 2, 50):
        with read_ahead(iter(range(count))) as items:
            assert list(items) == list(range(count))


def test_at_most_one_item_is_made_before_it_is_asked_for() -> None:
    """Memory is bounded by two batches."""
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    with read_ahead(numbers()) as items:
        for number in items:
            assert len(made) <= number + 2


def test_an_error_of_the_source_comes_where_its_item_would_have() -> None:
    """The batches before it were delivered."""

    def numbers() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("gone")

    taken: list[int] = []
    with pytest.raises(OSError, match="gone"), read_ahead(numbers()) as items:
        taken.extend(items)
    assert taken == [1, 2]


def test_leaving_early_ends_the_thread() -> None:
    """A shipper that stops leaves no reader behind."""
    before = threading.active_count()
    with read_ahead(iter(range(1_000))) as items:
        assert next(items) == 0
        assert next(items) == 1
    assert threading.active_count() == before


def test_without_another_thread_items_come_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.12 starts none while it ends, which is when a process ships its last rows."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with read_ahead(iter(range(5))) as items:
        assert list(items) == list(range(5))
