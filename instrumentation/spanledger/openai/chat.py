"""Chat completions: `create` and `parse`, whole and streamed (`stream()` goes through `create`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from spanledger.invocation import AsyncStreamObserver, Deferred, StreamObserver
from spanledger.openai import include_usage
from spanledger.openai.chat_messages import (
    as_sequence,
    chat_prompt_digest,
    chat_tool_digests,
    finish_reason,
    input_messages,
    output_messages,
    tool_definitions,
)
from spanledger.openai.parameters import add_given, add_server, field, fields_of, given_only, server_of
from spanledger.openai.parts import Part, text_part, tool_call_part
from spanledger.openai.usage import chat_usage
from spanledger_semconv import attributes as names
from spanledger_semconv.invocation import (
    CallSite,
    InvocationRequest,
    InvocationResult,
    Outcome,
    PromptIdentity,
)

SCALAR_PARAMETERS = (
    ("temperature", names.GEN_AI_REQUEST_TEMPERATURE),
    ("top_p", names.GEN_AI_REQUEST_TOP_P),
    ("presence_penalty", names.GEN_AI_REQUEST_PRESENCE_PENALTY),
    ("frequency_penalty", names.GEN_AI_REQUEST_FREQUENCY_PENALTY),
    ("seed", names.GEN_AI_REQUEST_SEED),
    ("reasoning_effort", names.GEN_AI_REQUEST_REASONING_LEVEL),
)
_NO_BODY: Mapping[str, Any] = {}
_OUTPUT_TYPES = {"json_object": "json", "json_schema": "json"}
_API_TYPE = "chat_completions"
SERVICE = frozenset({"service_tier", "system_fingerprint"})
_ANSWER = SERVICE | frozenset({"id", "model", "choices", "usage"})


class ChatExchange:
    """One chat completion."""

    __slots__ = (
        "_own_arguments",
        "_server",
        "arguments",
        "arrived",
        "async_observer",
        "is_stream",
        "request",
        "sync_observer",
    )

    def __init__(
        self, resource: Any, arguments: Mapping[str, Any], site: CallSite | None, *, asks_for_usage: bool
    ) -> None:
        provider, host, port = server_of(resource)
        self._server = (host, port)
        self._own_arguments = arguments
        self.arrived: Any = None  # the answer, before the caller's own output format is applied to it
        self.arguments = arguments
        self.is_stream = bool(arguments.get("stream"))  # the SDK's markers for what was not sent are false
        self.sync_observer: type[StreamObserver] = StreamObserver
        self.async_observer: type[AsyncStreamObserver] = AsyncStreamObserver
        if self.is_stream and asks_for_usage:
            self._ask_for_usage()
        self.request = _chat_request(arguments, provider, self._server, site)

    def _ask_for_usage(self) -> None:
        arguments = include_usage.with_usage(self.arguments, self._server)
        if arguments is not None:
            self.arguments = arguments
            self.sync_observer = include_usage.UsageHidingObserver
            self.async_observer = include_usage.AsyncUsageHidingObserver

    def without_additions(self, error: BaseException) -> Mapping[str, Any] | None:
        """Give the caller's own arguments if the server refused to be asked for usage."""
        if self.arguments is self._own_arguments or not include_usage.remember_refusal(error, self._server):
            return None
        self.sync_observer, self.async_observer = StreamObserver, AsyncStreamObserver
        return self._own_arguments

    def result(self, response: Any) -> InvocationResult:
        """Read a whole answer."""
        answer = fields_of(response, _ANSWER)
        choices = answer["choices"] or ()
        return InvocationResult(
            outcome="success",
            response_id=answer["id"],
            model=answer["model"],
            finish_reasons=[choice.finish_reason or "error" for choice in choices],
            usage=chat_usage(answer["usage"]),
            output_messages=Deferred(partial(output_messages, choices)),
            attributes=response_attributes(answer),
        )

    def reducer(self) -> ChatReducer:
        """Give what folds the chunks of a streamed answer."""
        return ChatReducer()


def open_chat(*, asks_for_usage: bool) -> Callable[..., ChatExchange]:
    """Give the function that describes one chat completion."""

    def open_exchange(
        resource: Any, _args: tuple[Any, ...], arguments: dict[str, Any], site: CallSite | None
    ) -> ChatExchange:
        return ChatExchange(resource, arguments, site, asks_for_usage=asks_for_usage)

    return open_exchange


def _chat_request(
    arguments: Mapping[str, Any], provider: str, server: tuple[str | None, int | None], site: CallSite | None
) -> InvocationRequest:
    sent = given_only(arguments)
    messages = as_sequence(sent.get("messages"))
    model = sent.get("model")
    tools = sent.get("tools")
    return InvocationRequest(
        operation="chat",
        provider=provider,
        model=model if isinstance(model, str) else None,
        attributes=_request_attributes(sent, server),
        input_messages=Deferred(partial(input_messages, messages)),
        tool_definitions=Deferred(lambda: tool_definitions(tools)) if tools is not None else (),
        tools=chat_tool_digests(tools),
        prompt=PromptIdentity(chat_prompt_digest(messages, sent.get("response_format"))),
        call_site=site,
    )


def _request_attributes(sent: Mapping[str, Any], server: tuple[str | None, int | None]) -> dict[str, Any]:
    attributes: dict[str, Any] = {names.OPENAI_API_TYPE: _API_TYPE}
    add_server(attributes, *server)
    add_given(sent, SCALAR_PARAMETERS, attributes)
    if not LIMITING.isdisjoint(sent):
        add_limits(sent, attributes)
    if "response_format" in sent:
        output_type = _output_type(sent["response_format"])
        if output_type is not None:
            attributes[names.GEN_AI_OUTPUT_TYPE] = output_type
    return attributes


LIMITING = frozenset({"extra_body", "max_completion_tokens", "max_tokens", "n", "service_tier", "stop", "stream"})
"""Arguments that `add_limits` looks at."""


def add_limits(sent: Mapping[str, Any], attributes: dict[str, Any]) -> None:
    """Set what chat and legacy completions share: token limit, stop sequences, choices, tier, streaming.

    `sent` is what `given_only` left of the arguments.
    """
    body = sent.get("extra_body")
    body = given_only(body) if isinstance(body, Mapping) else _NO_BODY
    for limit in (sent.get("max_completion_tokens"), sent.get("max_tokens"), body.get("max_completion_tokens")):
        if limit is not None:
            attributes[names.GEN_AI_REQUEST_MAX_TOKENS] = limit
            break
    stop = sent.get("stop")
    if stop is not None:
        attributes[names.GEN_AI_REQUEST_STOP_SEQUENCES] = (stop,) if isinstance(stop, str) else tuple(stop)
    count = sent.get("n")
    if isinstance(count, int) and count != 1:
        attributes[names.GEN_AI_REQUEST_CHOICE_COUNT] = count
    tier = sent.get("service_tier") or body.get("service_tier")
    if tier is not None and tier != "auto":
        attributes[names.OPENAI_REQUEST_SERVICE_TIER] = tier
    if sent.get("stream"):
        attributes[names.GEN_AI_REQUEST_STREAM] = True


def _output_type(response_format: Any) -> str | None:
    """Name the kind of output that was asked for; a class means structured output."""
    if isinstance(response_format, type):
        return "json"
    kind = response_format if isinstance(response_format, str) else field(response_format, "type")
    return _OUTPUT_TYPES.get(kind, kind) if isinstance(kind, str) else None


def response_attributes(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the fields of a whole answer, or of a chunk, say about the service that made it."""
    attributes: dict[str, Any] = {}
    tier = answer.get("service_tier")
    if tier:
        attributes[names.OPENAI_RESPONSE_SERVICE_TIER] = tier
    fingerprint = answer.get("system_fingerprint")
    if fingerprint:
        attributes[names.OPENAI_RESPONSE_SYSTEM_FINGERPRINT] = fingerprint
    return attributes


class _Choice:
    """What has arrived of one choice."""

    __slots__ = ("calls", "finish_reason", "refusal", "role", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.calls: dict[int, list[Any]] = {}  # by index: id, name, pieces of the arguments
        self.finish_reason: str | None = None
        self.role: str | None = None

    def add(self, delta: Any) -> None:
        if delta.content is not None:
            self.text.append(delta.content)
        if self.role is None:
            self.role = delta.role
        if delta.refusal is not None:
            self.refusal.append(delta.refusal)
        if delta.tool_calls:
            for call in delta.tool_calls:
                self._add_call(call)

    def _add_call(self, delta: Any) -> None:
        call = self.calls.setdefault(delta.index, [None, None, []])
        call[0] = call[0] or delta.id
        function = delta.function
        if function is not None:
            call[1] = call[1] or function.name
            if function.arguments:
                call[2].append(function.arguments)

    def message(self) -> dict[str, Any]:
        parts: list[Part] = []
        if self.text and (text := "".join(self.text)):
            parts.append(text_part(text))
        if self.refusal and (refusal := "".join(self.refusal)):
            parts.append(text_part(refusal))
        parts += [tool_call_part(call_id, name, "".join(pieces)) for call_id, name, pieces in self.calls.values()]
        return {
            "role": self.role or "assistant",
            "parts": parts,
            "finish_reason": finish_reason(self.finish_reason),
            "name": None,
        }


class ChatReducer:
    """Folds the chunks of a streamed chat completion."""

    __slots__ = ("_attributes", "_choices", "_id", "_model", "_open_texts", "_usage")

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._open_texts: dict[int, list[str]] = {}  # by index: choices of which all but further text is known
        self._attributes: dict[str, Any] = {}
        self._id: str | None = None
        self._model: str | None = None
        self._usage: Any = None

    def add(self, chunk: Any) -> None:
        """Take one chunk.

        Nearly every chunk is one more piece of text. It is read from the models' own dictionaries, which
        saves asking pydantic for every attribute.
        """
        try:
            fields = chunk.__dict__
            (choice,) = fields["choices"]
            choice = choice.__dict__
            delta = choice["delta"].__dict__
            text = delta["content"]
            is_more = choice["finish_reason"] or delta["tool_calls"] or delta["refusal"] or fields["usage"]
            if text is not None and not is_more:
                self._open_texts[choice["index"]].append(text)
                return
        except (AttributeError, KeyError, TypeError, ValueError):
            pass  # the first chunk of a choice, several choices or none, or a model of another kind
        self._add_any(chunk)

    def _add_any(self, chunk: Any) -> None:
        if self._model is None:
            self._id, self._model = chunk.id or None, chunk.model or None
            self._attributes.update(response_attributes(fields_of(chunk, SERVICE)))
        if chunk.usage is not None:
            self._usage = chunk.usage
            self._attributes.update(response_attributes(fields_of(chunk, SERVICE)))
        for choice in chunk.choices:
            known = self._choices.get(choice.index)
            if known is None:
                known = self._choices[choice.index] = _Choice()
            delta = choice.delta
            if delta is not None:
                known.add(delta)
            if choice.finish_reason is not None:
                known.finish_reason = choice.finish_reason
                self._attributes.update(response_attributes(fields_of(chunk, SERVICE)))
            if known.role is not None and self._model is not None:
                self._open_texts[choice.index] = known.text

    def is_complete(self) -> bool:
        """Tell whether every choice has its finish reason."""
        return bool(self._choices) and all(choice.finish_reason for choice in self._choices.values())

    def result(self, outcome: Outcome) -> InvocationResult:
        """Give what arrived; nothing that the provider did not say."""
        choices = [choice for _, choice in sorted(self._choices.items())]
        reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
        if outcome == "success" and not self.is_complete():
            outcome, reasons = "incomplete", ["error"]  # the stream stopped, and the SDK shows the caller no error
        return InvocationResult(
            outcome=outcome,
            response_id=self._id,
            model=self._model,
            finish_reasons=reasons,
            usage=chat_usage(self._usage),
            output_messages=Deferred(lambda: [choice.message() for choice in choices]),
            attributes=self._attributes,
        )
