"""Observes a stream from inside: the caller keeps the client library's own stream object.

Both the OpenAI and the Anthropic SDK (and every other client that Stainless generates) read a stream through its
`_iterator`. We put an observer in that place and hook the HTTP response's `close`, so type, attributes, context
manager, `.response` and iteration stay those of the library, chunks pass through untouched, and nothing is wrapped.

A stream ends once, by the first of: its end, an exception while reading, `close`, the garbage collector.
A chunk is folded into the result as it passes, in about a microsecond; none is kept.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter
from typing import Any, ClassVar, Protocol

from spanledger.invocation.abandoned import end_from_finaliser
from spanledger.invocation.call import Call, failed
from spanledger.invocation.faults import report_once
from spanledger.invocation.raw_body import remaining_chunks, without_proxy
from spanledger_semconv.invocation import InvocationResult, Outcome


class StreamReducer(Protocol):
    """Folds the chunks of one stream into its result."""

    def add(self, chunk: Any, /) -> None:
        """Take one chunk, just before the caller gets it: called once per chunk, so it must be quick."""

    def is_complete(self) -> bool:
        """Whether the provider has said that the answer is finished, even if the stream is not drained."""
        raise NotImplementedError

    def result(self, outcome: Outcome) -> InvocationResult:
        """Give what arrived, under `outcome` unless the provider itself reported a failure."""
        raise NotImplementedError


class Hides(Protocol):
    """Says of a chunk whether it is there only because we asked for it, and is kept from the caller."""

    def __call__(self, chunk: Any, /) -> bool:
        """Look at one chunk."""
        raise NotImplementedError


class _Observation:
    """What sync and async observers share: collecting, and ending the call once."""

    __slots__ = ("__weakref__", "_add", "_call", "_count", "_handled", "_inner", "_reducer", "unhook")

    hides: ClassVar[Hides | None] = None  # a static method of a subclass

    def __init__(self, inner: Any, call: Call, reducer: StreamReducer) -> None:
        self._inner = inner
        self._call = call
        self._reducer = reducer
        self._add = reducer.add
        self._count = 0
        self._handled = sys.exc_info()[1]  # what the caller is handling anyway, while it starts to read
        self.unhook: Callable[[], None] | None = None

    @property
    def is_reading(self) -> bool:
        """Whether somebody is inside the library's iterator right now: then that reader decides how the stream ends."""
        inner = self._inner
        return bool(getattr(inner, "gi_running", False) or getattr(inner, "ag_running", False))

    def _keep(self, chunk: Any) -> None:
        """Fold a chunk while it is at hand: kept for later, it would cost its memory and the collector's time."""
        if not self._count:
            self._call.first_chunk_s = perf_counter() - self._call.started_s
        self._count += 1
        try:
            self._add(chunk)
        except Exception as error:
            _report_chunk(error)

    def drained(self) -> None:
        """End the call: the provider's stream came to its end."""
        self._end(lambda: self._result("success"))

    def broke(self, error: BaseException) -> None:
        """End the call: reading raised `error`."""
        call = self._call
        if call.is_open:
            self._guard(lambda: call.fail(error, self._result("error")))

    def closed(self) -> None:
        """End the call: the caller closed the stream, early unless the provider had finished.

        Where a `with` block closes it because of an exception, the span says which.
        """
        if self.is_reading:
            return
        error = sys.exc_info()[1]
        if error is None or error is self._handled or isinstance(error, GeneratorExit):
            self._end(self._result_so_far)
        else:
            self._end(lambda: failed(error, self._result_so_far(), by_caller=True))

    def replay(self, handled: BaseException | None, *, is_reading: bool) -> None:
        """Read a stream whose bytes are all in memory, and end the call with what was in it.

        `handled` is what the caller was handling anyway when the response came. `is_reading` says that the caller was
        waiting for bytes when they ended, so that nobody closed anything.
        """
        self._handled = handled
        try:
            for chunk in remaining_chunks(self._inner):
                self._keep(chunk)
        except Exception as error:  # an error event of the provider, which the caller saw as text
            self.broke(error)
        error_below = sys.exc_info()[1]
        if not is_reading:
            self.closed()
        elif error_below is None or error_below is handled:
            self.drained()
        else:
            self.broke(error_below)

    def _end(self, build: Callable[[], InvocationResult]) -> None:
        call = self._call
        if call.is_open:
            self._guard(lambda: call.finish(build()))

    def _guard(self, end: Callable[[], None]) -> None:
        try:
            end()
        except Exception as error:
            report_once("end a stream", error)
            self._call.finish(InvocationResult(outcome="incomplete"))
        unhook, self.unhook = self.unhook, None
        if unhook is not None:
            unhook()

    def _result_so_far(self) -> InvocationResult:
        return self._result("success" if self._reducer.is_complete() else "cancelled")

    def _result(self, outcome: Outcome) -> InvocationResult:
        call = self._call
        first_s = call.first_chunk_s
        if first_s is not None and self._count > 1:
            call.chunk_interval_s = (perf_counter() - call.started_s - first_s) / (self._count - 1)
        result = self._reducer.result(outcome)
        # It is ours alone until the call ends with it, and a copy would cost ten times as much.
        object.__setattr__(result, "time_to_first_chunk_s", first_s)
        return result

    def __del__(self) -> None:
        # Only while the call is open, and only in the process that started it: a forked child drops its copy silently.
        if self._call.is_open:
            end_from_finaliser(lambda: self._end(self._result_so_far))


def _report_chunk(error: Exception) -> None:
    """Report a chunk that could not be folded: the caller has the chunks parsed into a type of its own."""
    report_once("read a stream chunk", error)


class StreamObserver(_Observation, Iterator[Any]):
    """Stands between a sync stream and the library's iterator."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:  # noqa: PYI034  # see below why not itself
        """Read in a generator, which the interpreter resumes without a call of ours.

        Leaving the loop ends only the generator: the stream can be read on, and its call is still open.
        """
        read = self._inner.__next__
        add = self._add
        hides = self.hides
        while True:
            try:
                chunk = read()
            except StopIteration:
                self.drained()
                return
            except BaseException as error:
                self.broke(error)
                raise
            if self._count:  # as `_keep`, without a call of its own for each chunk
                self._count += 1
                try:
                    add(chunk)
                except Exception as error:
                    _report_chunk(error)
            else:
                self._keep(chunk)
            if hides is None or not hides(chunk):
                yield chunk

    def __next__(self) -> Any:
        while True:
            try:
                chunk = self._inner.__next__()
            except StopIteration:
                self.drained()
                raise
            except BaseException as error:
                self.broke(error)
                raise
            self._keep(chunk)
            hides = self.hides
            if hides is None or not hides(chunk):
                return chunk


class AsyncStreamObserver(_Observation, AsyncIterator[Any]):
    """Stands between an async stream and the library's iterator.

    Its `__aiter__` is no generator: an event loop would finalise a dropped one later, and the call would end then.
    """

    __slots__ = ()

    def __aiter__(self) -> AsyncStreamObserver:
        return self

    async def __anext__(self) -> Any:
        while True:
            try:
                chunk = await self._inner.__anext__()
            except StopAsyncIteration:
                self.drained()
                raise
            except BaseException as error:
                self.broke(error)
                raise
            if self._count:  # as in the generator above
                self._count += 1
                try:
                    self._add(chunk)
                except Exception as error:
                    _report_chunk(error)
            else:
                self._keep(chunk)
            hides = self.hides
            if hides is None or not hides(chunk):
                return chunk

    async def aclose(self) -> None:
        """Close the library's iterator, as a caller of its `aclose` expects."""
        await self._inner.aclose()


def observe_stream(
    stream: Any,
    call: Call,
    reducer: StreamReducer,
    *,
    sync_observer: type[StreamObserver] = StreamObserver,
    async_observer: type[AsyncStreamObserver] = AsyncStreamObserver,
) -> None:
    """Make `stream` end `call` when it ends; `stream` itself stays what it is.

    Raises AttributeError for an object that is no stream of this kind; the caller then ends the call itself.
    """
    iterator = _acyclic_iterator(stream)
    # Asked of the iterator: another instrumentation's proxy of a stream has the methods of both kinds.
    kind = async_observer if hasattr(iterator, "__anext__") else sync_observer
    observation = kind(iterator, call, reducer)
    stream._iterator = observation  # noqa: SLF001  # the one place that all ways of reading go through
    observation.unhook = hook_close(stream.response, observation)


def _acyclic_iterator(stream: Any) -> Any:
    """Give the library's iterator, made on a copy of the stream where the library itself made a reference cycle.

    In the OpenAI SDK the generator refers to the stream that holds it, so a stream that the caller drops stays open
    until a collection. On a copy it ends with its last reference, as the Anthropic SDK arranges itself.
    Nothing has been read from it yet.
    """
    iterator = stream._iterator  # noqa: SLF001  # see observe_stream
    frame = getattr(iterator, "gi_frame", None) or getattr(iterator, "ag_frame", None)
    if frame is not None and frame.f_locals.get("self") is stream:
        # As `copy.copy` would, but without the iterator: it refers to the stream, which would close the cycle again.
        twin = object.__new__(type(stream))
        vars(twin).update({name: value for name, value in vars(stream).items() if name != "_iterator"})
        return twin.__stream__()
    return iterator


class Closable(Protocol):
    """What a hooked HTTP response tells when it is closed."""

    def closed(self) -> None:
        """Take note that the response was closed."""


def hook_close(response: Any, watcher: Closable) -> Callable[[], None]:
    """Tell `watcher` after `response.close()` or `.aclose()`; gives a function that removes the hook.

    Every way of closing a stream ends there. The hook holds the watcher weakly: it must not keep it alive.
    """
    reference = weakref.ref(watcher)
    response = without_proxy(response)
    hooked = vars(response)
    before = {name: hooked[name] for name in ("close", "aclose") if name in hooked}  # somebody else's hooks

    def tell() -> None:
        alive = reference()
        # A close that is refused (a sync one of an async response) has closed nothing.
        if alive is not None and response.is_closed:
            alive.closed()

    def close() -> None:
        try:
            before["close"]() if "close" in before else type(response).close(response)
        finally:
            tell()

    async def aclose() -> None:
        try:
            await (before["aclose"]() if "aclose" in before else type(response).aclose(response))
        finally:
            tell()

    def unhook() -> None:
        for name, hook in (("close", close), ("aclose", aclose)):
            if hooked.get(name) is hook:
                del hooked[name]
                hooked.update({key: value for key, value in before.items() if key == name})

    hooked["close"] = close
    hooked["aclose"] = aclose
    return unhook
