"""Legacy text completions: `completions.create`, whole and streamed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spanledger.invocation import Deferred, prompt_digest
from spanledger.openai.chat import SCALAR_PARAMETERS, SERVICE, ChatExchange, add_limits, response_attributes
from spanledger.openai.parameters import add_given, add_server, fields_of, given_only, server_of
from spanledger.openai.parts import text_part
from spanledger.openai.usage import chat_usage
from spanledger_semconv.invocation import CallSite, InvocationRequest, InvocationResult, Outcome, PromptIdentity


class CompletionExchange(ChatExchange):
    """One text completion; asking for usage works as for chat."""

    __slots__ = ()

    def __init__(
        self, resource: Any, arguments: Mapping[str, Any], site: CallSite | None, *, asks_for_usage: bool
    ) -> None:
        super().__init__(resource, arguments, site, asks_for_usage=asks_for_usage)
        self.request = _completion_request(resource, arguments, site)

    def result(self, response: Any) -> InvocationResult:
        """Read a whole answer."""
        reducer = CompletionReducer()
        reducer.add(response)
        return reducer.result("success")

    def reducer(self) -> CompletionReducer:  # type: ignore[override]  # both are StreamReducers
        """Give what folds the chunks of a streamed answer."""
        return CompletionReducer()


def open_completion(*, asks_for_usage: bool) -> Callable[..., CompletionExchange]:
    """Give the function that describes one text completion."""

    def open_exchange(
        resource: Any, _args: tuple[Any, ...], arguments: dict[str, Any], site: CallSite | None
    ) -> CompletionExchange:
        return CompletionExchange(resource, arguments, site, asks_for_usage=asks_for_usage)

    return open_exchange


def _completion_request(resource: Any, arguments: Mapping[str, Any], site: CallSite | None) -> InvocationRequest:
    provider, host, port = server_of(resource)
    attributes: dict[str, Any] = {}
    add_server(attributes, host, port)
    sent = given_only(arguments)
    add_given(sent, SCALAR_PARAMETERS, attributes)
    add_limits(sent, attributes)
    model = sent.get("model")
    prompt = sent.get("prompt")
    return InvocationRequest(
        operation="text_completion",
        provider=provider,
        model=model if isinstance(model, str) else None,
        attributes=attributes,
        input_messages=Deferred(lambda: _prompt_messages(prompt)),
        prompt=PromptIdentity(digest=prompt_digest(())),
        call_site=site,
    )


def _prompt_messages(prompt: Any) -> list[dict[str, Any]]:
    """Give each prompt as a user message; token ids, which are numbers, as a part of their own type."""
    if isinstance(prompt, str):
        prompts: Sequence[Any] = [prompt]
    elif isinstance(prompt, Sequence):
        prompts = [list(prompt)] if prompt and isinstance(prompt[0], int) else prompt
    else:
        return []
    return [
        {
            "role": "user",
            "parts": [text_part(item) if isinstance(item, str) else {"type": "tokens", "content": list(item)}],
            "name": None,
        }
        for item in prompts
    ]


class CompletionReducer:
    """Folds the chunks of a streamed text completion; a whole answer is one chunk."""

    __slots__ = ("_attributes", "_id", "_model", "_reasons", "_texts", "_usage")

    def __init__(self) -> None:
        self._texts: dict[int, list[str]] = {}
        self._reasons: dict[int, str] = {}
        self._attributes: dict[str, Any] = {}
        self._id: str | None = None
        self._model: str | None = None
        self._usage: Any = None

    def add(self, chunk: Any) -> None:
        """Take one chunk."""
        self._id = self._id or chunk.id or None
        self._model = self._model or chunk.model or None
        if chunk.usage is not None:
            self._usage = chunk.usage
        self._attributes.update(response_attributes(fields_of(chunk, SERVICE)))
        for choice in chunk.choices or ():
            self._texts.setdefault(choice.index, []).append(choice.text or "")
            if choice.finish_reason:
                self._reasons[choice.index] = choice.finish_reason

    def is_complete(self) -> bool:
        """Tell whether every choice has its finish reason."""
        return bool(self._texts) and self._texts.keys() == self._reasons.keys()

    def result(self, outcome: Outcome) -> InvocationResult:
        """Give what arrived."""
        if outcome == "success" and not self.is_complete():
            outcome = "incomplete"  # see ChatReducer.result
        return InvocationResult(
            outcome=outcome,
            response_id=self._id,
            model=self._model,
            finish_reasons=[reason for _, reason in sorted(self._reasons.items())],
            usage=chat_usage(self._usage),
            output_messages=[
                {
                    "role": "assistant",
                    "parts": [text_part("".join(pieces))],
                    "finish_reason": self._reasons.get(index, "error"),
                    "name": None,
                }
                for index, pieces in sorted(self._texts.items())
            ],
            attributes=self._attributes,
        )
