"""One inference as the Anthropic client sends it: every method that makes one ends in `client.request`.

`messages.create`, `parse`, `stream`, their beta forms, the tool runner, raw and streaming responses, and the clients
for Bedrock, Vertex and Foundry all go through `request(cast_to, options, …)` with a POST to `/v1/messages`. Token
counts, batches, files and models have other paths and are no inference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spanledger.anthropic.answer import read_answer
from spanledger.anthropic.events import MessageReducer
from spanledger.anthropic.request import given_body, keep_for_two, read_request
from spanledger.invocation import AsyncStreamObserver, StreamObserver
from spanledger_semconv.invocation import CallSite, InvocationRequest, InvocationResult

_INFERENCE_PATH = "/v1/messages"


class MessageExchange:
    """One request for a message, and how its answer is read."""

    __slots__ = ("arguments", "arrived", "is_stream", "request")

    sync_observer = StreamObserver
    async_observer = AsyncStreamObserver

    def __init__(self, request: InvocationRequest, arguments: Mapping[str, Any], *, is_stream: bool) -> None:
        self.request = request
        self.arguments = arguments
        self.is_stream = is_stream
        self.arrived: Any = None
        """The message, once it is there: the caller's own output format may still fail on it."""

    def watch_parser(self, options: Any) -> None:
        """See the message before `options.post_parser` turns it into what the caller asked for."""
        parser = options.post_parser
        if not callable(parser):
            return

        def parse(message: Any) -> Any:
            self.arrived = message
            return parser(message)

        options.post_parser = parse

    def result(self, response: Any) -> InvocationResult:
        """Read a whole message."""
        return read_answer(response)

    def reducer(self) -> MessageReducer:
        """Fold the events of a streamed message."""
        return MessageReducer()

    def without_additions(self, error: BaseException) -> None:
        """Say that nothing was asked for in addition."""
        del error


def open_exchange(
    client: Any, args: tuple[Any, ...], kwargs: dict[str, Any], call_site: CallSite | None
) -> MessageExchange | None:
    """Describe a request, or return None for one that is no inference."""
    options = kwargs["options"] if "options" in kwargs else args[1]
    if options.method.lower() != "post" or options.url.partition("?")[0] != _INFERENCE_PATH:
        return None
    if not keep_for_two(options):
        return None
    is_stream = bool(kwargs.get("stream"))
    request = read_request(client, given_body(options), is_stream=is_stream, call_site=call_site)
    exchange = MessageExchange(request, kwargs, is_stream=is_stream)
    exchange.watch_parser(options)
    return exchange
