"""Images, transcriptions, translations and decisions: inferences of other kinds than a conversation.

All four are the operation `generate_content`: a description of each says where in the arguments the input stands and
where in the answer the output. A file that the application opened is left to the SDK, which has to send it: its name is
recorded, and its bytes only where they are given as bytes or as a path.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanledger.invocation import AsyncStreamObserver, Deferred, StreamObserver, prompt_digest
from spanledger.openai.chat_messages import as_sequence
from spanledger.openai.parameters import add_given, add_server, field, given, server_of
from spanledger.openai.parts import Part, media_part, plain, text_part
from spanledger.openai.response_items import input_messages
from spanledger.openai.usage import generated_usage
from spanledger_semconv import attributes as names
from spanledger_semconv.invocation import CallSite, InvocationRequest, InvocationResult, Outcome, PromptIdentity

OPERATION = "generate_content"
_SCALARS = (("temperature", names.GEN_AI_REQUEST_TEMPERATURE), ("seed", names.GEN_AI_REQUEST_SEED))
_DONE_EVENTS = frozenset({"image_generation.completed", "image_edit.completed", "transcript.text.done"})
_DELTA_EVENT = "transcript.text.delta"

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """What is generated (`output_type`), from which arguments, and how the answer is read."""

    output_type: str
    asked: Callable[[Mapping[str, Any]], list[Message]]
    answered: Callable[[Any], list[Part]]


class ContentExchange:
    """One call of such a method."""

    sync_observer = StreamObserver
    async_observer = AsyncStreamObserver

    __slots__ = ("_kind", "arguments", "is_stream", "request")

    def __init__(self, kind: Kind, resource: Any, arguments: Mapping[str, Any], site: CallSite | None) -> None:
        self._kind = kind
        self.arguments = arguments
        self.is_stream = bool(given(arguments, "stream"))
        self.request = _request(kind, resource, arguments, site)

    def result(self, response: Any) -> InvocationResult:
        """Read a whole answer."""
        return _result(self._kind, response, "success")

    def reducer(self) -> ContentReducer:
        """Give what follows the events of a streamed answer."""
        return ContentReducer(self._kind)

    def without_additions(self, error: BaseException) -> None:
        """Nothing is ever asked for in addition."""


def open_content(kind: Kind) -> Callable[..., ContentExchange]:
    """Give the function that describes one call of a method that generates content of `kind`."""

    def open_exchange(
        resource: Any, _args: tuple[Any, ...], arguments: dict[str, Any], site: CallSite | None
    ) -> ContentExchange:
        return ContentExchange(kind, resource, arguments, site)

    return open_exchange


def _request(kind: Kind, resource: Any, arguments: Mapping[str, Any], site: CallSite | None) -> InvocationRequest:
    provider, host, port = server_of(resource)
    attributes: dict[str, Any] = {names.GEN_AI_OUTPUT_TYPE: kind.output_type}
    add_server(attributes, host, port)
    add_given(arguments, _SCALARS, attributes)
    count = given(arguments, "n")
    if isinstance(count, int) and count != 1:
        attributes[names.GEN_AI_REQUEST_CHOICE_COUNT] = count
    if given(arguments, "stream"):
        attributes[names.GEN_AI_REQUEST_STREAM] = True
    model = given(arguments, "model")
    return InvocationRequest(
        operation=OPERATION,
        provider=provider,
        model=model if isinstance(model, str) else None,
        attributes=attributes,
        input_messages=Deferred(lambda: kind.asked(arguments)),
        prompt=PromptIdentity(digest=prompt_digest(())),
        call_site=site,
    )


def _result(kind: Kind, response: Any, outcome: Outcome) -> InvocationResult:
    return InvocationResult(
        outcome=outcome,
        model=field(response, "model") or None,
        usage=generated_usage(field(response, "usage")),
        output_messages=Deferred(lambda: _answer(kind.answered(response))),
    )


def _answer(parts: list[Part]) -> list[Message]:
    return [{"role": "assistant", "parts": parts, "name": None}] if parts else []


class ContentReducer:
    """Follows the events of a streamed image or transcription; the last one carries all of it."""

    __slots__ = ("_done", "_kind", "_pieces")

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._done: Any = None
        self._pieces: list[str] = []

    def add(self, event: Any) -> None:
        """Take one event."""
        if event.type in _DONE_EVENTS:
            self._done = event
        elif event.type == _DELTA_EVENT:
            self._pieces.append(event.delta)

    def is_complete(self) -> bool:
        """Tell whether the last event has arrived."""
        return self._done is not None

    def result(self, outcome: Outcome) -> InvocationResult:
        """Give the whole, or the text that had arrived."""
        if self._done is not None:
            return _result(self._kind, self._done, "success" if outcome == "cancelled" else outcome)
        text = "".join(self._pieces)
        return _result(self._kind, {"text": text} if text else {}, "incomplete" if outcome == "success" else outcome)


# What each kind is made from, and what it gives.


def _user(parts: list[Part | None]) -> list[Message]:
    found = [part for part in parts if part is not None]
    return [{"role": "user", "parts": found, "name": None}] if found else []


def _asked_for_image(arguments: Mapping[str, Any]) -> list[Message]:
    images = given(arguments, "image")
    mask = given(arguments, "mask")
    files = list(images) if isinstance(images, list) else [] if images is None else [images]
    files += [] if mask is None else [mask]
    return _user([_prompt_part(arguments), *(_file_part(file, "image") for file in files)])


def _asked_for_text(arguments: Mapping[str, Any]) -> list[Message]:
    return _user([_prompt_part(arguments), _file_part(given(arguments, "file"), "audio")])


def _asked_for_decision(arguments: Mapping[str, Any]) -> list[Message]:
    questions = [{**_mapping(plain(item)), "type": "question"} for item in as_sequence(given(arguments, "questions"))]
    return [*input_messages(given(arguments, "input")), *_user(list(questions))]


def _prompt_part(arguments: Mapping[str, Any]) -> Part | None:
    prompt = given(arguments, "prompt")
    return text_part(prompt) if isinstance(prompt, str) else None


def _file_part(file: Any, modality: str) -> Part | None:
    """Give a file that is sent; `(name, content, media type, …)` is how the SDK takes one with its name."""
    if file is None:
        return None
    listed: list[Any] = list(file) if isinstance(file, tuple) else [None, file]
    content = listed[1] if len(listed) > 1 else None
    mime_type = listed[2] if len(listed) > 2 else None
    name = (
        (listed[0] if listed else None)
        or getattr(content, "name", None)
        or (str(content) if isinstance(content, Path) else None)
    )
    head: Part = {"modality": modality, "mime_type": mime_type, **({"name": str(name)} if name else {})}
    data = content.read_bytes() if isinstance(content, Path) else content
    if isinstance(data, bytes | bytearray):
        return {"type": "blob", **head, "content": b64encode(data).decode()}
    return {"type": modality, **head}


def _images(response: Any) -> list[Part]:
    """Give the images of an answer; the last event of a stream is one image."""
    images = field(response, "data")
    found: list[Part] = []
    for image in [response] if images is None else as_sequence(images):
        data, url, revised = field(image, "b64_json"), field(image, "url"), field(image, "revised_prompt")
        if isinstance(data, str):
            kind = field(response, "output_format")
            found.append({"type": "blob", "mime_type": f"image/{kind or 'png'}", "modality": "image", "content": data})
        elif isinstance(url, str) and (part := media_part(url, "image")) is not None:
            found.append(part)
        if isinstance(revised, str) and revised:
            found.append({"type": "revised_prompt", "content": revised})
    return found


def _text(response: Any) -> list[Part]:
    """Give the text of an answer; in some formats (`srt`, `vtt`, `text`) the answer is nothing but text."""
    text = response if isinstance(response, str) else field(response, "text")
    return [text_part(text)] if isinstance(text, str) and text else []


def _answers(response: Any) -> list[Part]:
    return [{"type": "decision", "decision": plain(answer)} for answer in as_sequence(field(response, "answers"))]


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {"content": value}


IMAGE = Kind("image", _asked_for_image, _images)
TEXT_FROM_AUDIO = Kind("text", _asked_for_text, _text)
DECISION = Kind("json", _asked_for_decision, _answers)
