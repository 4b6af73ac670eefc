"""The OTLP/HTTP endpoint `POST /v1/traces`, and `POST /v1/events` for what people do, as an ASGI application.

Rules (OTLP 1.11)
- 200 only after every span of the request is in the spool; the body is an empty ExportTraceServiceResponse.
- 400 a body that cannot be read, 413 larger than the limit after decompression, 415 another content type,
  503 with Retry-After when the spool refuses. Only 429, 502, 503 and 504 make a sender try again.
- An error carries a google.rpc.Status in the request's own encoding.
- `/v1/events` takes `application/json` only (a web page cannot send that across origins unasked) and answers with the
  event's id, after its row is in the spool.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import orjson
from google.rpc.status_pb2 import Status
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from spanledger_exporter.collector.encoding import (
    MAX_BODY_BYTES,
    Encoding,
    TooLargeError,
    decompress,
    parse_content_type,
)
from spanledger_exporter.collector.events import event_id_of, parse_event
from spanledger_exporter.collector.otlp import Received, parse_json, parse_protobuf
from spanledger_exporter.errors import DataError, SpanledgerError

RETRY_AFTER_S = 5

_INVALID_ARGUMENT, _RESOURCE_EXHAUSTED, _UNAVAILABLE = 3, 8, 14  # google.rpc.Code

Record = Callable[[Sequence[Received]], int]
"""Puts received spans into the spool and returns, once they are there, how many are new. Raises SpanledgerError."""


def make_http_app(record: Record, *, max_body_bytes: int = MAX_BODY_BYTES) -> Starlette:
    """Return the application; `record` runs in a worker thread."""

    async def export(request: Request) -> Response:
        content_type = request.headers.get("content-type", "")
        encoding = parse_content_type(content_type)
        if encoding is None:
            expected = "expected Content-Type application/x-protobuf or application/json"
            return _error("json", 415, _INVALID_ARGUMENT, f"{expected}, got {content_type!r}")

        async def receive() -> Response:
            body = await _read(request, max_body_bytes)
            await run_in_threadpool(_receive, body, request.headers.get("content-encoding", ""), encoding)
            return _success(encoding)

        return await _or_refusal(receive(), encoding)

    def _receive(body: bytes, content_encoding: str, encoding: Encoding) -> None:
        plain = decompress(body, content_encoding, limit=max_body_bytes)
        record(parse_json(plain) if encoding == "json" else parse_protobuf(plain))

    async def record_event(request: Request) -> Response:
        content_type = request.headers.get("content-type", "")
        if parse_content_type(content_type) != "json":
            expected = "expected Content-Type application/json"
            return _error("json", 415, _INVALID_ARGUMENT, f"{expected}, got {content_type!r}")

        async def receive() -> Response:
            body = await _read(request, max_body_bytes)
            plain = decompress(body, request.headers.get("content-encoding", ""), limit=max_body_bytes)
            span = parse_event(plain)
            recorded = await run_in_threadpool(record, [span])
            return JSONResponse({"event_id": event_id_of(span), "recorded": bool(recorded)})

        return await _or_refusal(receive(), "json")

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/v1/traces", export, methods=["POST"]),
            Route("/v1/events", record_event, methods=["POST"]),
            Route("/healthz", health),
        ]
    )


async def _or_refusal(answer: Awaitable[Response], encoding: Encoding) -> Response:
    """Return the answer, or the error that says why there is none and whether to try again."""
    try:
        return await answer
    except TooLargeError as error:
        return _error(encoding, 413, _RESOURCE_EXHAUSTED, str(error))
    except DataError as error:
        return _error(encoding, 400, _INVALID_ARGUMENT, str(error))
    except ClientDisconnect:
        return Response(status_code=400)
    except SpanledgerError as error:
        return _error(encoding, 503, _UNAVAILABLE, str(error))


async def _read(request: Request, limit: int) -> bytes:
    """Read the body, and stop at the limit instead of after it."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLargeError(f"expected at most {limit} bytes, got more: send smaller batches")
        chunks.append(chunk)
    return b"".join(chunks)


def _success(encoding: Encoding) -> Response:
    if encoding == "json":
        return Response(b"{}", media_type="application/json")
    return Response(b"", media_type="application/x-protobuf")


def _error(encoding: Encoding, status: int, code: int, message: str) -> Response:
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
    if encoding == "json":
        body = orjson.dumps({"code": code, "message": message})
        return Response(body, status, headers, media_type="application/json")
    body = Status(code=code, message=message).SerializeToString()
    return Response(body, status, headers, media_type="application/x-protobuf")
