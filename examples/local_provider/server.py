"""The server: one thread per connection, on a free port of the loopback interface.

Rules
- An answer comes from the queue, else from the transcript, else it is the endpoint's default answer.
- Every request is counted and kept, also those that are answered with a fault.
- A client that goes away ends its connection's thread quietly; closing the provider ends them all.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, cast

from local_provider import anthropic_wire, openai_responses_wire, openai_wire
from local_provider.reply import Event, Json, ReceivedRequest, Reply
from local_provider.transcript import Exchange, Transcript, read_transcript

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"

_DEFAULTS: Mapping[str, Callable[[Json], Json]] = {
    CHAT: lambda request: openai_wire.chat_completion(model=request["model"]),
    COMPLETIONS: lambda request: openai_wire.text_completion(model=request["model"]),
    EMBEDDINGS: openai_wire.embeddings,
    RESPONSES: lambda request: openai_responses_wire.response(model=request.get("model", "gpt-5-mini")),
    MESSAGES: lambda request: anthropic_wire.message(model=request["model"]),
    COUNT_TOKENS: anthropic_wire.token_count,
}
_STREAMS: Mapping[str, Callable[[Json, Json], Iterator[Event]]] = {
    CHAT: openai_wire.chat_events,
    COMPLETIONS: openai_wire.completion_events,
    RESPONSES: openai_responses_wire.response_events,
    MESSAGES: anthropic_wire.message_events,
}


class LocalProvider:
    """A provider of models that speaks OpenAI's and Anthropic's HTTP formats; a context manager."""

    def __init__(self, transcripts: Iterable[Path] = ()) -> None:
        exchanges: list[Exchange] = [exchange for file in transcripts for exchange in read_transcript(file)]
        self._transcript = Transcript(exchanges)
        self._queue: list[Reply] = []
        self._requests: list[ReceivedRequest] = []
        self._changed = threading.Condition()  # owns _queue and _requests
        self._released = threading.Event()
        self._closing = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End all connections and the server."""
        self._closing.set()
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Address of the server; Anthropic's base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def openai_url(self) -> str:
        """OpenAI's base URL."""
        return f"{self.url}/v1"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that point both SDKs at this server."""
        return {
            "OPENAI_BASE_URL": self.openai_url,
            "OPENAI_API_KEY": "local",
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": "local",
        }

    def enqueue(self, *replies: Reply) -> None:
        """Answer the next requests with `replies`, in this order."""
        with self._changed:
            self._queue.extend(replies)

    def release(self) -> None:
        """Let every held stream go on."""
        self._released.set()

    @property
    def requests(self) -> Sequence[ReceivedRequest]:
        """Every request received so far."""
        with self._changed:
            return tuple(self._requests)

    def wait_for_requests(self, count: int, *, timeout_s: float = 10.0) -> None:
        """Return as soon as `count` requests have arrived; raise TimeoutError when they do not."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= count, timeout_s):
                raise TimeoutError(f"expected {count} requests within {timeout_s} s, got {len(self._requests)}")

    def answer(self, request: ReceivedRequest) -> Reply:
        """Keep `request` and return its answer."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
            for index, reply in enumerate(self._queue):
                if reply.path in {None, request.path}:
                    return self._queue.pop(index)
        return self._transcript.reply_for(request.path, request.body) or Reply()

    def wait_until_released(self) -> None:
        """Block a held stream."""
        self._released.wait()

    def wait_until_closing(self, timeout_s: float | None = None) -> None:
        """Block a connection that hangs or is slow."""
        self._closing.wait(timeout_s)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a hanging connection must not hold up the end of a test
    request_queue_size = 128

    def __init__(self, provider: LocalProvider) -> None:
        self.provider = provider
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients of tests leave in the middle of everything, by design."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "local-provider"
    disable_nagle_algorithm = True  # small chunks must arrive one by one

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep the output of tests and of the demo clean."""

    def do_GET(self) -> None:
        """Answer `responses.retrieve`; everything else is not found."""
        self._handle({})

    def do_POST(self) -> None:
        """Answer every call."""
        length = int(self.headers.get("content-length") or 0)
        self._handle(json.loads(self.rfile.read(length) or b"{}"))

    def _handle(self, body: Json) -> None:
        provider = cast("_Server", self.server).provider
        path = self.path.partition("?")[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = provider.answer(ReceivedRequest(self.command, path, headers, body))
        if reply.delay_s:
            provider.wait_until_closing(reply.delay_s)
        if reply.hang:
            provider.wait_until_closing()
            self.close_connection = True
        elif reply.reset_after_events == 0:
            self._reset()
        elif (
            (body.get("stream") or "stream=true" in self.path)
            and reply.status < 400
            and self._endpoint(path) in _STREAMS
        ):
            self._send_stream(provider, self._stream(path, reply, body), reply)
        else:
            self._send_json(path, reply, body)

    def _endpoint(self, path: str) -> str:
        """Return the endpoint that `path` belongs to: a response is fetched under its own id."""
        return RESPONSES if path.startswith(RESPONSES) else path

    def _stream(self, path: str, reply: Reply, request: Json) -> Iterable[Event]:
        endpoint = self._endpoint(path)
        return (
            reply.events if reply.events is not None else _STREAMS[endpoint](self._body(path, reply, request), request)
        )

    def _body(self, path: str, reply: Reply, request: Json) -> Json:
        if reply.body is not None:
            return reply.body
        if reply.status >= 400:
            error = anthropic_wire.error if path.startswith(MESSAGES) else openai_wire.error
            return error(reply.status, f"the local provider was told to answer {reply.status}")
        return _DEFAULTS[self._endpoint(path)](request)

    def _send_json(self, path: str, reply: Reply, request: Json) -> None:
        status = reply.status
        if self._endpoint(path) not in _DEFAULTS:
            status, reply = 404, Reply(status=404)
        payload = json.dumps(self._body(path, reply, request), ensure_ascii=False).encode()
        if reply.malformed:
            payload = payload[: len(payload) // 2]
        self._send_head(path, status, {**reply.headers, "content-length": str(len(payload))})
        self.wfile.write(payload)

    def _send_stream(self, provider: LocalProvider, events: Iterable[Event], reply: Reply) -> None:
        headers = {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked", **reply.headers}
        self._send_head(self.path, reply.status, headers)
        for number, event in enumerate(events):
            if reply.hold_after_events == number:
                provider.wait_until_released()
            if reply.reset_after_events == number:
                self._reset()
                return
            payload = event.encode()
            self._send_chunk(payload[: len(payload) // 2] if reply.malformed else payload)
        self._send_chunk(b"")

    def _send_chunk(self, payload: bytes) -> None:
        self.wfile.write(f"{len(payload):x}\r\n".encode() + payload + b"\r\n")

    def _send_head(self, path: str, status: int, headers: Mapping[str, str]) -> None:
        identifier = f"req_local_{len(cast('_Server', self.server).provider.requests):04d}"
        self.send_response(status)
        self.send_header("request-id" if path.startswith(MESSAGES) else "x-request-id", identifier)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _reset(self) -> None:
        """Drop the connection so that the client sees a reset, not an end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
