"""Turns a description of one client method into the wrapper that observes it.

A client package describes a call as an `Exchange`: what is asked (`request`), and how an answer is read. The
wrappers here do the rest in the same order for every client: start, call, end. The library's exceptions leave
unchanged; nothing of ours is raised, except the ledger's refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from opentelemetry.context import Context, attach, detach, get_current

from spanledger.invocation.abandoned import end_from_finaliser, end_waiting, waiting
from spanledger.invocation.call import Call, failed, start_call
from spanledger.invocation.call_site import find_call_site, modules_inside
from spanledger.invocation.faults import report_once
from spanledger.invocation.raw_body import read_body
from spanledger.invocation.raw_response import is_raw_response, observe_raw_response
from spanledger.invocation.stream import AsyncStreamObserver, StreamObserver, StreamReducer, observe_stream
from spanledger.invocation.telemetry import Telemetry
from spanledger_semconv.invocation import CallRefusedError, CallSite, InvocationRequest, InvocationResult


class Exchange(Protocol):
    """One call of a client method: made before the request leaves, asked again when the answer is there."""

    @property
    def request(self) -> InvocationRequest:
        """What the span starts with."""
        raise NotImplementedError

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Keyword arguments to call the library with; the caller's own, unless something is asked for in addition."""
        raise NotImplementedError

    @property
    def is_stream(self) -> bool:
        """Whether the answer comes in chunks."""
        raise NotImplementedError

    @property
    def sync_observer(self) -> type[StreamObserver]:
        """What observes a sync stream."""
        raise NotImplementedError

    @property
    def async_observer(self) -> type[AsyncStreamObserver]:
        """What observes an async stream."""
        raise NotImplementedError

    def result(self, response: Any) -> InvocationResult:
        """Read a whole answer."""
        raise NotImplementedError

    def reducer(self) -> StreamReducer:
        """Give what folds the chunks of a streamed answer."""
        raise NotImplementedError

    def without_additions(self, error: BaseException) -> Mapping[str, Any] | None:
        """Give the caller's own arguments, if `error` says that the server refused what was asked for in addition."""
        raise NotImplementedError


OpenExchange = Callable[[Any, tuple[Any, ...], dict[str, Any], CallSite | None], "Exchange | None"]
"""Describes a call from the client object, its arguments and where it was made; None leaves it unobserved."""

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]


def observe(telemetry: Telemetry, library: str, open_exchange: OpenExchange) -> Wrapper:
    """Give a wrapt wrapper that observes a sync method of `library`."""
    inside = modules_inside(library)

    def observed(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        context = get_current()
        if telemetry.is_suppressed(context, inside):
            return wrapped(*args, **kwargs)
        site = find_call_site(inside)
        begun = _begin(telemetry, open_exchange, instance, args, kwargs, site, context)
        if begun is None:
            return wrapped(*args, **kwargs)
        exchange, call = begun
        token = None
        try:
            token = attach(call.context)
            response = _send(exchange, wrapped, args)
            _settle(exchange, call, response)
        except BaseException as error:
            _fail(exchange, call, error)
            raise
        finally:
            # Also where a signal handler, or another thread, throws an exception into these lines: a context that
            # stays behind would make every later call of this thread a part of this one.
            try:
                if token is not None:
                    detach(token)
            except BaseException:
                _leave(call, context)
                raise
            if token is None:
                _leave(call, context)
        return response

    return observed


def observe_async(telemetry: Telemetry, library: str, open_exchange: OpenExchange) -> Wrapper:
    """Give a wrapt wrapper that observes an async method of `library`."""
    inside = modules_inside(library)

    async def observed(
        wrapped: Callable[..., Any],
        instance: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        site: CallSite | None,
    ) -> Any:
        context = get_current()
        if telemetry.is_suppressed(context, inside):
            return await wrapped(*args, **kwargs)
        begun = _begin(telemetry, open_exchange, instance, args, kwargs, site, context)
        if begun is None:
            return await wrapped(*args, **kwargs)
        exchange, call = begun
        token = attach(call.context)
        try:
            response = await _send_async(exchange, wrapped, args)
            _settle(exchange, call, response)
        except GeneratorExit as error:  # the coroutine was closed, perhaps by the garbage collector
            result = failed(error)
            end_from_finaliser(lambda: call.finish(result))
            raise
        except BaseException as error:
            _fail(exchange, call, error)
            raise
        finally:
            _detach(token)
        return response

    def at_call(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # The call site is only on the stack now; inside a task the coroutine has no caller.
        site = None if not telemetry.active else find_call_site(inside)
        return observed(wrapped, instance, args, kwargs, site)

    return at_call


def _begin(  # noqa: PLR0917  # a closure in place of the arguments costs each call as much as this function
    telemetry: Telemetry,
    open_exchange: OpenExchange,
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    site: CallSite | None,
    context: Context,
) -> tuple[Exchange, Call] | None:
    if waiting:
        end_waiting()
    try:
        exchange = open_exchange(instance, args, kwargs, site)
        if exchange is None:
            return None
        return exchange, start_call(telemetry, exchange.request, exchange=exchange, parent=context)
    except CallRefusedError:
        raise
    except Exception as error:
        report_once("start a call", error)
        return None


def _send(exchange: Exchange, wrapped: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    try:
        return wrapped(*args, **exchange.arguments)
    except Exception as error:
        arguments = exchange.without_additions(error)
        if arguments is None:
            raise
    return wrapped(*args, **arguments)


async def _send_async(exchange: Exchange, wrapped: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    try:
        return await wrapped(*args, **exchange.arguments)
    except Exception as error:
        arguments = exchange.without_additions(error)
        if arguments is None:
            raise
    return await wrapped(*args, **arguments)


def _settle(exchange: Exchange, call: Call, response: Any) -> None:
    """End the call with the answer, or have its stream or its raw response end it later."""
    try:
        if is_raw_response(response):
            _settle_raw(exchange, call, response)
        elif exchange.is_stream and hasattr(response, "_iterator"):
            observe_stream(
                response,
                call,
                exchange.reducer(),
                sync_observer=exchange.sync_observer,
                async_observer=exchange.async_observer,
            )
        else:
            call.finish(exchange.result(response))
    except Exception as error:
        _settle_unread(exchange, call, error)
    if waiting:
        end_waiting()


def _settle_unread(exchange: Exchange, call: Call, error: Exception) -> None:
    """End a call whose answer could not be read, with what arrived before a parser of the caller's own failed on it."""
    arrived = getattr(exchange, "arrived", None)
    if arrived is None:
        report_once("read an answer", error)
    call.finish(InvocationResult(outcome="success") if arrived is None else exchange.result(arrived))


def _fail(exchange: Exchange, call: Call, error: BaseException, body: Any = None) -> None:
    """End the call with `error`; an answer that had arrived before was paid for, and is recorded."""
    arrived = getattr(exchange, "arrived", None)
    arrived = body if arrived is None else arrived
    try:
        partial = None if arrived is None else exchange.result(arrived)
    except Exception as unread:
        report_once("read an answer", unread)
        partial = None
    call.fail(error, partial)


def _settle_raw(exchange: Exchange, call: Call, response: Any) -> None:
    """End the call at once if the body is here already; otherwise parsing, reading, closing or dropping it does."""
    if exchange.is_stream or not _has_body(response):
        observe_raw_response(
            response,
            call,
            lambda call, parsed: _settle(exchange, call, parsed),
            lambda call, error, body: _fail(exchange, call, error, body),
            is_stream=exchange.is_stream,
        )
    else:
        call.finish(exchange.result(read_body(response.http_response)))


def _has_body(response: Any) -> bool:
    return getattr(response.http_response, "_content", None) is not None


def _leave(call: Call, before: Context) -> None:
    """Restore the context `before` the call, where its token is lost or could not be used."""
    if get_current() is call.context:
        attach(before)


def _detach(token: Any) -> None:
    """Restore the context, except where a closed coroutine is torn down in a context that is not its own."""
    try:
        detach(token)
    except Exception as error:  # pragma: no cover  # the API logs instead of raising; this is for other contexts
        report_once("restore a context", error)
