"""Embeddings: the input is content like any other, the vectors are counted and not kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spanledger.invocation import AsyncStreamObserver, Deferred, StreamObserver, StreamReducer
from spanledger.openai.parameters import add_server, given, server_of
from spanledger.openai.parts import text_part
from spanledger.openai.usage import chat_usage
from spanledger_semconv import attributes as names
from spanledger_semconv.invocation import CallSite, InvocationRequest, InvocationResult

_BYTES_PER_FLOAT = 4


class EmbeddingExchange:
    """One embeddings call."""

    is_stream = False
    sync_observer = StreamObserver
    async_observer = AsyncStreamObserver

    __slots__ = ("arguments", "request")

    def __init__(self, resource: Any, arguments: Mapping[str, Any], site: CallSite | None) -> None:
        provider, host, port = server_of(resource)
        attributes: dict[str, Any] = {}
        add_server(attributes, host, port)
        dimensions = given(arguments, "dimensions")
        if dimensions is not None:
            attributes[names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] = dimensions
        encoding = given(arguments, "encoding_format")
        if encoding is not None:
            attributes[names.GEN_AI_REQUEST_ENCODING_FORMATS] = (encoding,)
        model = given(arguments, "model")
        source = given(arguments, "input")
        self.arguments = arguments
        self.request = InvocationRequest(
            operation="embeddings",
            provider=provider,
            model=model if isinstance(model, str) else None,
            attributes=attributes,
            input_messages=Deferred(lambda: _input_messages(source)),
            call_site=site,
        )

    def result(self, response: Any) -> InvocationResult:
        """Read a whole answer."""
        usage = chat_usage(getattr(response, "usage", None))
        dimensions = _dimensions(response)
        return InvocationResult(
            outcome="success",
            model=getattr(response, "model", None) or None,
            usage=usage,
            attributes={} if dimensions is None else {names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT: dimensions},
        )

    def reducer(self) -> StreamReducer:
        """Embeddings are never streamed."""
        raise NotImplementedError

    def without_additions(self, error: BaseException) -> None:
        """Nothing is ever asked for in addition."""


def open_embedding(
    resource: Any, _args: tuple[Any, ...], arguments: dict[str, Any], site: CallSite | None
) -> EmbeddingExchange:
    """Describe one embeddings call."""
    return EmbeddingExchange(resource, arguments, site)


def _input_messages(source: Any) -> list[dict[str, Any]]:
    """Give the input as one user message with a part per text; token ids are a part of their own type."""
    if isinstance(source, str):
        texts: Sequence[Any] = [source]
    elif isinstance(source, Sequence):
        texts = [list(source)] if source and isinstance(source[0], int) else source
    else:
        return []
    parts = [text_part(item) if isinstance(item, str) else {"type": "tokens", "content": list(item)} for item in texts]
    return [{"role": "user", "parts": parts, "name": None}] if parts else []


def _dimensions(response: Any) -> int | None:
    """Count the numbers of the first vector; base64 text holds four bytes for each."""
    data = getattr(response, "data", None)
    vector = getattr(data[0], "embedding", None) if data else None
    if isinstance(vector, str):
        return len(vector) * 3 // 4 // _BYTES_PER_FLOAT
    return len(vector) if vector else None
