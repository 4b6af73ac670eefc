"""JSON shapes of messages, parts, tool definitions and documents, as typed records and as a JSON Schema.

The shapes are those of the GenAI conventions (any object may carry further members), plus the part types of our own
events. `messages.schema.json` beside this module says the same to programs: `load_schema()`.

Rules for whoever makes messages
- A tool call goes in as a message with one `tool_call` part and comes out as one with a `tool_call_response` part.
- A retrieval's query is a `text` part in; each document is one `document` part out, so that it is stored once.
- A review's parts are `seen`, `draft`, `final`, `diff`, `changes`, `reasoning`; a decision's is `rationale`.
- A part that `is_plain_text` is stored as its text, so that SQL and people read it without unpacking JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final, Literal, NotRequired, TypedDict

TEXT_PARTS: Final = frozenset({"text", "reasoning", "seen", "draft", "final", "diff", "rationale"})
"""Part types whose content is meant to be read as a text."""

Modality = Literal["image", "video", "audio", "document"]


class TextPart(TypedDict):
    """Text of a message, and of our own part types in `TEXT_PARTS`."""

    type: str
    content: str


class ReasoningPart(TypedDict):
    """What the model thought, as far as the provider shows it."""

    type: Literal["reasoning"]
    content: str


class CompactionPart(TypedDict):
    """A summary that stands for earlier messages."""

    type: Literal["compaction"]
    id: NotRequired[str | None]
    content: NotRequired[str | None]


class ToolCallPart(TypedDict):
    """The model asks for a tool."""

    type: Literal["tool_call"]
    id: NotRequired[str | None]
    name: str
    arguments: NotRequired[Any]


class ToolCallResponsePart(TypedDict):
    """What the tool gave back."""

    type: Literal["tool_call_response"]
    id: NotRequired[str | None]
    response: Any


class ServerToolCallPart(TypedDict):
    """The provider itself calls a tool."""

    type: Literal["server_tool_call"]
    id: NotRequired[str | None]
    name: str
    server_tool_call: Mapping[str, Any]


class ServerToolCallResponsePart(TypedDict):
    """What the provider's own tool gave back."""

    type: Literal["server_tool_call_response"]
    id: NotRequired[str | None]
    server_tool_call_response: Mapping[str, Any]


class BlobPart(TypedDict):
    """Bytes inside the message; `content` is base64."""

    type: Literal["blob"]
    mime_type: NotRequired[str | None]
    modality: Modality | str
    content: str


class FilePart(TypedDict):
    """A file that the provider holds."""

    type: Literal["file"]
    mime_type: NotRequired[str | None]
    modality: Modality | str
    file_id: str


class UriPart(TypedDict):
    """Something at an address; never a `data:` URL (that is a `blob`)."""

    type: Literal["uri"]
    mime_type: NotRequired[str | None]
    modality: Modality | str
    uri: str


class GenericPart(TypedDict):
    """Any other part: a type, and whatever it carries."""

    type: str


Part = (
    TextPart
    | ReasoningPart
    | CompactionPart
    | ToolCallPart
    | ToolCallResponsePart
    | ServerToolCallPart
    | ServerToolCallResponsePart
    | BlobPart
    | FilePart
    | UriPart
    | GenericPart
)


class Message(TypedDict):
    """One message; `finish_reason` on output messages only."""

    role: str
    parts: list[Part]
    name: NotRequired[str | None]
    finish_reason: NotRequired[str]


class ToolDefinition(TypedDict):
    """A tool that the model may call; `parameters` is a JSON Schema."""

    type: str
    name: str
    description: NotRequired[str | None]
    parameters: NotRequired[Any]


class Document(TypedDict):
    """A retrieved document."""

    id: NotRequired[str | None]
    score: NotRequired[float | None]


def is_plain_text(part: Mapping[str, Any]) -> bool:
    """Say whether a part is nothing but a text, so that its text alone can be stored without losing anything."""
    return part.get("type") in TEXT_PARTS and isinstance(part.get("content"), str) and len(part) == 2


def load_schema() -> dict[str, Any]:
    """Return the JSON Schema; its `$defs` are `input_messages`, `output_messages`, `system_instructions`, ….

    Validate with `{"$ref": "#/$defs/input_messages", **load_schema()}`.
    """
    schema: dict[str, Any] = json.loads(
        files("spanledger_semconv").joinpath("messages.schema.json").read_text(encoding="utf-8")
    )
    return schema
