"""Steps around every kind of function: what is recorded, and that the function cannot tell the difference."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from spanledger import agent, case, external_action, policy, retrieval, tool, workflow


def rows(ledger: Any) -> list[dict[str, Any]]:
    """Return the completing rows."""
    return [row for row in ledger.envelopes() if not row["event_id"].endswith(":begin")]


def response(ledger: Any) -> Any:
    """Return the recorded return value of the only row."""
    (row,) = rows(ledger)
    return json.loads(ledger.text(row["output"][0]))["response"]


async def test_a_coroutine_that_raises_is_an_error(ledger: Any) -> None:
    """The exception passes through."""

    @tool("t")
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await fail()
    assert rows(ledger)[0]["outcome"] == "error"


async def test_a_cancelled_coroutine_is_cancelled(ledger: Any) -> None:
    """Nobody failed: the caller gave up."""

    @tool("t")
    async def wait() -> None:
        await asyncio.Event().wait()

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rows(ledger)[0]["outcome"] == "cancelled"


def test_the_items_of_a_generator_are_its_result(ledger: Any) -> None:
    """A streaming tool is one call."""

    @tool("t")
    def stream() -> Iterator[int]:
        yield 1
        yield 2

    assert list(stream()) == [1, 2]
    assert response(ledger) == [1, 2]


def test_a_generator_that_raises_is_an_error(ledger: Any) -> None:
    """After what it had given."""

    @tool("t")
    def stream() -> Iterator[int]:
        yield 1
        raise KeyError

    with pytest.raises(KeyError):
        list(stream())
    assert rows(ledger)[0]["outcome"] == "error"


def test_a_generator_closed_early_is_cancelled(ledger: Any) -> None:
    """The consumer has seen enough."""

    @tool("t")
    def stream() -> Generator[int]:
        yield 1
        yield 2

    generator = stream()
    next(generator)
    generator.close()
    assert rows(ledger)[0]["outcome"] == "cancelled"


async def test_an_asynchronous_generator_is_recorded_like_a_plain_one(ledger: Any) -> None:
    """Items, then the end."""

    @tool("t")
    async def stream() -> AsyncIterator[int]:
        yield 1
        yield 2

    assert [item async for item in stream()] == [1, 2]
    assert response(ledger) == [1, 2]


async def test_an_asynchronous_generator_that_raises_is_an_error(ledger: Any) -> None:
    """The exception passes through."""

    @tool("t")
    async def stream() -> AsyncIterator[int]:
        yield 1
        raise KeyError

    with pytest.raises(KeyError):
        [item async for item in stream()]
    assert rows(ledger)[0]["outcome"] == "error"


async def test_an_asynchronous_generator_closed_early_is_cancelled_and_closes_the_inner_one(ledger: Any) -> None:
    """Connections are released."""
    closed: list[bool] = []

    @tool("t")
    async def stream() -> AsyncGenerator[int]:
        try:
            yield 1
        finally:
            closed.append(True)

    generator = stream()
    await anext(generator)
    await generator.aclose()
    assert closed == [True]
    assert rows(ledger)[0]["outcome"] == "cancelled"


async def test_what_is_sent_and_thrown_reaches_the_inner_asynchronous_generator() -> None:
    """The decorator is invisible to the protocol."""

    @tool("t")
    async def talk() -> AsyncGenerator[Any, Any]:
        heard = yield "ready"
        try:
            yield heard
        except ValueError:
            yield "caught"

    generator = talk()
    assert await anext(generator) == "ready"
    assert await generator.asend("hello") == "hello"
    assert await generator.athrow(ValueError()) == "caught"
    await generator.aclose()


def test_a_call_with_wrong_arguments_fails_in_pythons_own_words(ledger: Any) -> None:
    """Our binding of arguments must not be the one that complains."""

    @tool("t")
    def run(a: int) -> int:
        return a

    with pytest.raises(TypeError, match=r"run\(\) missing 1 required positional argument"):
        run()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert rows(ledger)[0]["error"]["type"] == "TypeError"


class Point(NamedTuple):
    """A named tuple, as client libraries return them."""

    x: int


@dataclass
class Model:
    """An object with the method that pydantic models have."""

    x: int

    def model_dump(self) -> dict[str, int]:
        """Return it as data."""
        return {"x": self.x}


@pytest.mark.parametrize(
    ("value", "recorded"),
    [(Model(1), {"x": 1}), ({2, 1}, [1, 2]), (Point(1), [1]), (b"a", "b'a'"), ([Model(1)], [{"x": 1}])],
)
def test_return_values_of_many_types_are_recorded_as_data(ledger: Any, value: Any, recorded: Any) -> None:
    """Models are dumped, sets are sorted, what is left is its text."""

    @tool("t")
    def run() -> Any:
        return value

    run()
    assert response(ledger) == recorded


@dataclass
class Found:
    """A document of LangChain's shape."""

    page_content: str
    metadata: dict[str, Any]


def test_a_decorated_search_function_records_its_query_and_documents(ledger: Any) -> None:
    """`page_content` and `metadata` are read."""

    @retrieval("rules")
    def search(query: str, limit: int = 2) -> list[Found]:
        return [Found("Refund within 14 days.", {"page": 3})]

    search("refunds", limit=1)
    (row,) = rows(ledger)
    assert ledger.text(row["input"][0]) == "refunds"
    document = json.loads(ledger.text(row["output"][0]))
    assert document == {"type": "document", "content": "Refund within 14 days.", "metadata": {"page": 3}}


@pytest.mark.parametrize(
    ("arguments", "recorded"), [(("refunds",), "refunds"), (({"q": "refunds", "k": 2},), '{"k":2,"q":"refunds"}')]
)
def test_a_search_function_with_one_argument_has_it_as_its_query(ledger: Any, arguments: Any, recorded: str) -> None:
    """Whatever it is called."""

    @retrieval("rules")
    def search(wanted: Any) -> str:
        return "one text"

    search(*arguments)
    (row,) = rows(ledger)
    assert recorded in ledger.text(row["input"][0])
    assert json.loads(ledger.text(row["output"][0])) == {"type": "document", "content": "one text"}


def test_what_a_function_does_to_its_arguments_afterwards_is_not_recorded(ledger: Any) -> None:
    """The row shows what it was called with, also where there is no intent row."""

    @retrieval("rules")
    def search(query: list[str]) -> None:
        query.clear()

    search(["refunds"])
    (row,) = rows(ledger)
    assert json.loads(ledger.text(row["input"][0]))["content"] == ["refunds"]


@pytest.mark.parametrize("word", [tool, retrieval, agent, workflow, external_action, case, policy])
def test_a_decorator_without_its_name_is_refused_when_it_is_applied(word: Any) -> None:
    """`@tool` without brackets would take the function for a name, and calling it would run nothing, in silence."""

    def refund(amount: int) -> int:
        return amount

    with pytest.raises(TypeError, match=r"expected a name, got .*refund: write @tool"):
        word(refund)
