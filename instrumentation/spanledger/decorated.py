"""One decorator for every kind of function: plain, coroutine, generator, asynchronous generator.

Rules
- A `Block` is made anew for each call, so that one decorated function can run in many threads and tasks at once.
- The block's context is current only while the function's own code runs: between two items of a generator the
  caller's context is back.
- The function's exceptions, return values, items and signature are untouched.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


class Block(Protocol):
    """What surrounds one call of a decorated function; `wants_items` of a generator, for `succeed`."""

    @property
    def wants_items(self) -> bool:
        """Say whether a generator's items are to be kept until its end."""
        ...

    def current(self) -> AbstractContextManager[object]:
        """Make the block's context current for the length of a `with`."""
        ...

    def succeed(self, value: Any) -> None:
        """Take the function's return value; for a generator, the list of its items."""
        ...

    def fail(self, error: BaseException) -> None:
        """Take the exception that the function raised."""
        ...


def refuse_bare(name: object) -> None:
    """Raise TypeError when a decorator was used without its name: the function would take its place and never run."""
    if callable(name):
        told = getattr(name, "__qualname__", repr(name))
        raise TypeError(f'expected a name, got {told}: write @tool("…") with a name, not the bare decorator')


MakeBlock = Callable[[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]], Block]


def decorated(function: Function, make_block: MakeBlock) -> Function:
    """Return `function` inside a block of its own per call."""
    if inspect.iscoroutinefunction(function):
        wrapper = _coroutine(function, make_block)
    elif inspect.isasyncgenfunction(function):
        wrapper = _async_generator(function, make_block)
    elif inspect.isgeneratorfunction(function):
        wrapper = _generator(function, make_block)
    else:
        wrapper = _plain(function, make_block)
    return cast("Function", functools.wraps(function)(wrapper))


def _plain(function: Callable[..., Any], make_block: MakeBlock) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        block = make_block(function, args, kwargs)
        try:
            with block.current():
                value = function(*args, **kwargs)
        except BaseException as error:
            block.fail(error)
            raise
        block.succeed(value)
        return value

    return call


def _coroutine(function: Callable[..., Any], make_block: MakeBlock) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        block = make_block(function, args, kwargs)
        try:
            with block.current():
                value = await function(*args, **kwargs)
        except BaseException as error:
            block.fail(error)
            raise
        block.succeed(value)
        return value

    return call


def _generator(function: Callable[..., Any], make_block: MakeBlock) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        block = make_block(function, args, kwargs)
        inner: Generator[Any, Any, Any] = function(*args, **kwargs)
        items: list[Any] = []
        resume: Callable[[], Any] = functools.partial(next, inner)
        while True:
            try:
                with block.current():
                    item = resume()
            except StopIteration as stop:
                block.succeed(items)
                return stop.value
            except BaseException as error:
                block.fail(error)
                raise
            if block.wants_items:
                items.append(item)
            try:
                sent = yield item
                resume = functools.partial(inner.send, sent)
            except GeneratorExit as closed:
                with block.current():
                    inner.close()
                block.fail(closed)
                raise
            except BaseException as error:  # thrown in by the consumer: the inner generator may handle it
                resume = functools.partial(inner.throw, error)

    return call


def _async_generator(function: Callable[..., Any], make_block: MakeBlock) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        block = make_block(function, args, kwargs)
        inner: AsyncGenerator[Any, Any] = function(*args, **kwargs)
        items: list[Any] = []
        resume: Callable[[], Any] = functools.partial(anext, inner)
        while True:
            try:
                with block.current():
                    item = await resume()
            except StopAsyncIteration:
                block.succeed(items)
                return
            except BaseException as error:
                block.fail(error)
                raise
            if block.wants_items:
                items.append(item)
            try:
                sent = yield item
                resume = functools.partial(inner.asend, sent)
            except GeneratorExit as closed:
                with block.current():
                    await inner.aclose()
                block.fail(closed)
                raise
            except BaseException as error:  # as above
                resume = functools.partial(inner.athrow, error)

    return call
