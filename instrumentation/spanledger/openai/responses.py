"""The Responses API: `create`, `parse`, `compact`, `retrieve` and `cancel` (`stream()` goes through `create`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spanledger.invocation import (
    AsyncStreamObserver,
    Deferred,
    DeferredMapping,
    StreamObserver,
    prompt_digest,
    tool_digests,
)
from spanledger.openai.chat_messages import as_sequence
from spanledger.openai.parameters import add_given, add_server, field, given, server_of
from spanledger.openai.parts import content_parts, plain, text_part
from spanledger.openai.response_items import (
    finish_reasons,
    has_compaction,
    input_messages,
    output_messages,
    tool_definitions,
)
from spanledger.openai.usage import responses_usage
from spanledger_semconv import attributes as names
from spanledger_semconv.invocation import CallSite, InvocationRequest, InvocationResult, Outcome, PromptIdentity

_SCALARS = (
    ("temperature", names.GEN_AI_REQUEST_TEMPERATURE),
    ("top_p", names.GEN_AI_REQUEST_TOP_P),
    ("max_output_tokens", names.GEN_AI_REQUEST_MAX_TOKENS),
    ("previous_response_id", names.GEN_AI_REQUEST_PREVIOUS_RESPONSE_ID),
)
_OUTPUT_TYPES = {"json_object": "json", "json_schema": "json"}
_API_TYPE = "responses"
_INSTRUCTION_ROLES = frozenset({"system", "developer"})
_TERMINAL_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_UNFINISHED = frozenset({"queued", "in_progress"})
_ITEM_EVENTS = frozenset({"response.output_item.added", "response.output_item.done"})


class ResponseExchange:
    """One inference through the Responses API."""

    sync_observer = StreamObserver
    async_observer = AsyncStreamObserver

    __slots__ = ("arguments", "arrived", "is_stream", "request")

    def __init__(self, resource: Any, arguments: Mapping[str, Any], site: CallSite | None) -> None:
        self.arguments = arguments
        self.is_stream = bool(given(arguments, "stream"))
        self.arrived: Any = None  # the answer, before the caller's own output format is applied to it
        self.request = _request(resource, arguments, site)

    def result(self, response: Any) -> InvocationResult:
        """Read a whole answer."""
        return inference_result(response, "success", is_prompted=self._is_prompted)

    def reducer(self) -> ResponseReducer:
        """Give what folds the events of a streamed answer."""
        return ResponseReducer(is_prompted=self._is_prompted)

    @property
    def _is_prompted(self) -> bool:
        """Whether a reusable prompt is used, whose text only the answer tells."""
        return given(self.arguments, "prompt") is not None

    def without_additions(self, error: BaseException) -> None:
        """Nothing is ever asked for in addition."""


def open_response(
    resource: Any, _args: tuple[Any, ...], arguments: dict[str, Any], site: CallSite | None
) -> ResponseExchange:
    """Describe one inference."""
    return ResponseExchange(resource, arguments, site)


def _request(resource: Any, arguments: Mapping[str, Any], site: CallSite | None) -> InvocationRequest:
    provider, host, port = server_of(resource)
    model = given(arguments, "model")
    instructions = given(arguments, "instructions")
    source = given(arguments, "input")
    tools = as_sequence(given(arguments, "tools"))
    attributes: dict[str, Any] = {names.OPENAI_API_TYPE: _API_TYPE}
    add_server(attributes, host, port)
    add_given(arguments, _SCALARS, attributes)
    _add_options(arguments, attributes)
    if has_compaction(source):
        attributes[names.GEN_AI_CONVERSATION_COMPACTED] = True
    return InvocationRequest(
        operation="chat",
        provider=provider,
        model=model if isinstance(model, str) else None,
        attributes=attributes,
        system_instructions=(text_part(instructions),) if isinstance(instructions, str) else (),
        input_messages=Deferred(lambda: input_messages(source)) if source is not None else (),
        tool_definitions=Deferred(lambda: tool_definitions(tools)) if tools else (),
        tools=DeferredMapping(lambda: tool_digests([plain(tool) for tool in tools])) if tools else {},
        prompt=_prompt(arguments, instructions, source),
        call_site=site,
    )


def _add_options(arguments: Mapping[str, Any], attributes: dict[str, Any]) -> None:
    conversation = given(arguments, "conversation")
    conversation_id = conversation if isinstance(conversation, str) else field(conversation, "id")
    if isinstance(conversation_id, str) and conversation_id:
        attributes[names.GEN_AI_CONVERSATION_ID] = conversation_id
    tier = given(arguments, "service_tier")
    if isinstance(tier, str) and tier != "auto":
        attributes[names.OPENAI_REQUEST_SERVICE_TIER] = tier
    effort = field(given(arguments, "reasoning"), "effort")
    if isinstance(effort, str):
        attributes[names.GEN_AI_REQUEST_REASONING_LEVEL] = effort
    kind = field(field(given(arguments, "text"), "format"), "type")
    if isinstance(kind, str):
        attributes[names.GEN_AI_OUTPUT_TYPE] = _OUTPUT_TYPES.get(kind, kind)
    elif isinstance(given(arguments, "text_format"), type):
        attributes[names.GEN_AI_OUTPUT_TYPE] = "json"
    if given(arguments, "stream"):
        attributes[names.GEN_AI_REQUEST_STREAM] = True


def _prompt(arguments: Mapping[str, Any], instructions: Any, source: Any) -> PromptIdentity:
    """Identify the prompt: a reusable one by id and version, and any by the digest of its stable parts."""
    reusable = given(arguments, "prompt")
    name = field(reusable, "id")
    version = field(reusable, "version")
    texts = [instructions] if isinstance(instructions, str) else []
    texts += [
        content
        for item in (source if isinstance(source, list | tuple) else ())
        if field(item, "role") in _INSTRUCTION_ROLES and isinstance(content := field(item, "content"), str)
    ]
    stable = {
        "output": given(arguments, "text") or given(arguments, "text_format"),
        "prompt": {"id": name, "version": version} if name is not None else None,
    }
    template = {key: value for key, value in stable.items() if value is not None} or None
    return PromptIdentity(
        digest=prompt_digest(texts, template),
        name=name if isinstance(name, str) else None,
        version=version if isinstance(version, str) else None,
    )


def inference_result(response: Any, outcome: Outcome, *, is_prompted: bool = False) -> InvocationResult:
    """Read a `Response` of an inference; a failed one is an error, whatever the stream did.

    Its instructions are news only where the request named a reusable prompt: `is_prompted`.
    """
    error = getattr(response, "error", None)
    status = getattr(response, "status", None)
    return InvocationResult(
        outcome="error" if error is not None or status == "failed" else outcome,
        response_id=getattr(response, "id", None),
        model=getattr(response, "model", None),
        finish_reasons=finish_reasons(response),
        usage=responses_usage(getattr(response, "usage", None), getattr(response, "output", None)),
        output_messages=Deferred(lambda: output_messages(response)),
        error_type=_error_type(error, status),
        error_message=field(error, "message"),
        attributes=_response_attributes(response),
        system_instructions=_instructions(response) if is_prompted else (),
    )


def _instructions(response: Any) -> Sequence[dict[str, Any]]:
    """Give the instructions that a response was made with: a text, or the messages of a reusable prompt."""
    instructions = getattr(response, "instructions", None)
    if isinstance(instructions, str):
        return (text_part(instructions),)
    said = [item for item in as_sequence(instructions) if field(item, "role") in _INSTRUCTION_ROLES]
    return tuple(part for item in said for part in content_parts(field(item, "content")))


def _error_type(error: Any, status: str | None) -> str | None:
    if error is not None:
        return field(error, "code") or "error"
    return "response.failed" if status == "failed" else None


def _response_attributes(response: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    tier = getattr(response, "service_tier", None)
    if tier is not None:
        attributes[names.OPENAI_RESPONSE_SERVICE_TIER] = tier
    status = getattr(response, "status", None)
    if status in _UNFINISHED:  # made in the background: its tokens are not spent yet
        attributes[names.GEN_AI_RESPONSE_STATUS] = status
    if has_compaction(getattr(response, "output", None)):
        attributes[names.GEN_AI_CONVERSATION_COMPACTED] = True
    return attributes


class ResponseReducer:
    """Follows the events of a streamed response; the last one carries the whole of it."""

    __slots__ = ("_compacted", "_error", "_final", "_is_prompted", "_items", "_started", "_texts")

    def __init__(self, *, is_prompted: bool = False) -> None:
        self._is_prompted = is_prompted
        self._started: Any = None
        self._final: Any = None
        self._error: Any = None
        self._items: list[Any] = []
        self._texts: dict[tuple[int, int], list[str]] = {}
        self._compacted = False

    def add(self, event: Any) -> None:
        """Take one event."""
        kind = event.type
        if kind == "response.output_text.delta":
            self._texts.setdefault((event.output_index, event.content_index), []).append(event.delta)
        elif kind in _TERMINAL_EVENTS:
            self._final = event.response
        elif kind in _ITEM_EVENTS:
            self._compacted = self._compacted or field(event.item, "type") == "compaction"
            if kind == "response.output_item.done":
                self._items.append(event.item)
        elif kind == "error":
            self._error = event
        elif self._started is None:
            self._started = getattr(event, "response", None)

    def is_complete(self) -> bool:
        """Tell whether the last event has arrived, or the provider has said that it failed."""
        return self._final is not None or self._error is not None

    def result(self, outcome: Outcome) -> InvocationResult:
        """Give the final response, or what had arrived without one."""
        if self._error is not None:
            return self._failed()
        if self._final is not None:
            outcome = "success" if outcome == "cancelled" else outcome
            return inference_result(self._final, outcome, is_prompted=self._is_prompted)
        return self._partial("incomplete" if outcome == "success" else outcome)

    def _failed(self) -> InvocationResult:
        partial = self._partial("error")
        return InvocationResult(
            outcome="error",
            response_id=partial.response_id,
            model=partial.model,
            output_messages=partial.output_messages,
            error_type=self._error.code or "error",
            error_message=self._error.message or None,
            attributes=partial.attributes,
        )

    def _partial(self, outcome: Outcome) -> InvocationResult:
        attributes = {names.GEN_AI_CONVERSATION_COMPACTED: True} if self._compacted else {}
        return InvocationResult(
            outcome=outcome,
            response_id=getattr(self._started, "id", None),
            model=getattr(self._started, "model", None),
            output_messages=Deferred(self._partial_messages),
            attributes=attributes,
        )

    def _partial_messages(self) -> list[dict[str, Any]]:
        texts = ["".join(pieces) for _, pieces in sorted(self._texts.items())]
        if not texts:
            return []
        parts = [text_part(text) for text in texts]
        return [{"role": "assistant", "parts": parts, "finish_reason": "error", "name": None}]


class FetchExchange:
    """A stored response that is fetched or cancelled: no inference, so no tokens are counted again."""

    operation = "fetch_response"

    sync_observer = StreamObserver
    async_observer = AsyncStreamObserver

    __slots__ = ("arguments", "is_stream", "request")

    def __init__(self, resource: Any, response_id: str, arguments: Mapping[str, Any], site: CallSite | None) -> None:
        provider, host, port = server_of(resource)
        attributes: dict[str, Any] = {names.OPENAI_API_TYPE: _API_TYPE, names.GEN_AI_RESPONSE_ID: response_id}
        add_server(attributes, host, port)
        cursor = given(arguments, "starting_after")
        if cursor is not None:
            attributes[names.GEN_AI_REQUEST_STREAM_CURSOR] = str(cursor)
        self.arguments = arguments
        self.is_stream = bool(given(arguments, "stream"))
        self.request = InvocationRequest(
            operation=self.operation, provider=provider, attributes=attributes, call_site=site
        )

    def result(self, response: Any) -> InvocationResult:
        """Read the fetched response."""
        return fetch_result(response, "success")

    def reducer(self) -> FetchReducer:
        """Give what follows the replay of a response."""
        return FetchReducer()

    def without_additions(self, error: BaseException) -> None:
        """Nothing is ever asked for in addition."""


def open_fetch(
    resource: Any, args: tuple[Any, ...], arguments: dict[str, Any], site: CallSite | None
) -> FetchExchange | None:
    """Describe one fetch; without an id, which the SDK refuses, there is nothing to describe."""
    response_id = args[0] if args else arguments.get("response_id")
    return FetchExchange(resource, response_id, arguments, site) if isinstance(response_id, str) else None


class CancelExchange(FetchExchange):
    """A response that is made in the background, and is stopped."""

    __slots__ = ()
    operation = "cancel_response"


def open_cancel(
    resource: Any, args: tuple[Any, ...], arguments: dict[str, Any], site: CallSite | None
) -> CancelExchange | None:
    """Describe one cancellation, as `open_fetch` does."""
    response_id = args[0] if args else arguments.get("response_id")
    return CancelExchange(resource, response_id, arguments, site) if isinstance(response_id, str) else None


def fetch_result(response: Any, outcome: Outcome) -> InvocationResult:
    """Read a fetched `Response`, which may well be a failed one: the fetch succeeded."""
    attributes = _response_attributes(response)
    attributes.pop(names.GEN_AI_CONVERSATION_COMPACTED, None)
    status = getattr(response, "status", None)
    if status is not None:
        attributes[names.GEN_AI_RESPONSE_STATUS] = status
    return InvocationResult(
        outcome=outcome,
        model=getattr(response, "model", None),
        finish_reasons=finish_reasons(response),
        output_messages=Deferred(lambda: output_messages(response)),
        attributes=attributes,
        system_instructions=_instructions(response),
    )


class FetchReducer:
    """Follows the replay of a stored response."""

    __slots__ = ("_final", "_latest")

    def __init__(self) -> None:
        self._final: Any = None
        self._latest: Any = None

    def add(self, event: Any) -> None:
        """Take one event."""
        response = getattr(event, "response", None)
        if response is not None:
            self._latest = response
            if event.type in _TERMINAL_EVENTS:
                self._final = response

    def is_complete(self) -> bool:
        """Tell whether the last event has arrived."""
        return self._final is not None

    def result(self, outcome: Outcome) -> InvocationResult:
        """Give the replayed response, or its id and model as far as they arrived."""
        if self._final is not None:
            return fetch_result(self._final, "success" if outcome == "cancelled" else outcome)
        return InvocationResult(
            outcome="incomplete" if outcome == "success" else outcome, model=getattr(self._latest, "model", None)
        )
