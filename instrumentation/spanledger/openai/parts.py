"""Message parts in the conventions' shapes, from what the OpenAI SDK takes and gives.

Callers pass dictionaries, the SDK's models, or both in one list. An iterator among them is not consumed: it belongs
to the SDK. Inline data stays base64 as it was sent. A part of an unknown type is kept as it is, not dropped.
"""

from __future__ import annotations

import json
import mimetypes
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from spanledger.openai.parameters import field

Part = dict[str, Any]

_TEXT_TYPES = frozenset({"text", "input_text", "output_text", "summary_text", "reasoning_text"})
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}  # `audio/mp3` is no registered media type


def text_part(text: str) -> Part:
    """Give a text part."""
    return {"type": "text", "content": text}


def tool_call_part(call_id: Any, name: Any, arguments: Any) -> Part:
    """Give a tool call as the model made it; arguments that are JSON text are parsed."""
    return {"type": "tool_call", "id": call_id, "name": name or "", "arguments": parsed_json(arguments)}


def parsed_json(text: Any) -> Any:
    """Give the value of JSON text; anything that is not JSON text as it is, empty text as None."""
    if not isinstance(text, str):
        return plain(text)
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def plain(value: Any) -> Any:
    """Give `value` as JSON data: the SDK's models are dumped, objects of other kinds become None."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return plain(dump(mode="json", exclude_none=True))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(item) for item in value]
    return None


def content_parts(content: Any) -> list[Part]:
    """Give the parts of a message's content: a string, or a sequence of strings and typed parts."""
    if isinstance(content, str):
        return [text_part(content)]
    if not isinstance(content, Sequence) or isinstance(content, bytes | bytearray):
        return []
    return [part for item in content if (part := _content_part(item)) is not None]


def _content_part(item: Any) -> Part | None:
    if isinstance(item, str):
        return text_part(item)
    kind = field(item, "type")
    text = field(item, "text")
    if isinstance(text, str) and (kind is None or kind in _TEXT_TYPES):
        return text_part(text)
    if kind == "refusal":
        refusal = field(item, "refusal")
        return text_part(refusal) if isinstance(refusal, str) else None
    if kind in {"image_url", "input_image"}:
        return _image(item, kind)
    if kind == "input_audio":
        return _audio(field(item, "input_audio"))
    if kind in {"file", "input_file"}:
        return _document(field(item, "file") or item)
    return _unknown(item, kind)


def _image(item: Any, kind: str) -> Part | None:
    source = field(item, "image_url")
    url = source if isinstance(source, str) else field(source, "url")
    if isinstance(url, str) and url:
        return media_part(url, "image")
    file_id = field(item, "file_id")
    if kind == "input_image" and isinstance(file_id, str) and file_id:
        return {"type": "file", "mime_type": None, "modality": "image", "file_id": file_id}
    return None


def _audio(audio: Any) -> Part | None:
    data = _base64(field(audio, "data"))
    if data is None:
        return None
    return {
        "type": "blob",
        "mime_type": _AUDIO_TYPES.get(field(audio, "format")),
        "modality": "audio",
        "content": data,
    }


def _document(document: Any) -> Part | None:
    name = field(document, "filename")
    mime_type = mimetypes.guess_type(name)[0] if isinstance(name, str) else None
    file_id = field(document, "file_id")
    if isinstance(file_id, str) and file_id:
        return {"type": "file", "mime_type": mime_type, "modality": "document", "file_id": file_id}
    url = field(document, "file_url")
    if isinstance(url, str) and url:
        return media_part(url, "document")
    data = field(document, "file_data")
    if isinstance(data, str) and data.startswith("data:"):
        return media_part(data, "document")
    content = _base64(data)
    if not content:
        return None
    return {"type": "blob", "mime_type": mime_type, "modality": "document", "content": content}


def media_part(url: str, modality: str) -> Part | None:
    """Give a blob for a `data:` URL, else a reference; None when the inline data is malformed."""
    if not url.startswith("data:"):
        return {"type": "uri", "mime_type": None, "modality": modality, "uri": url}
    header, _, payload = url.removeprefix("data:").partition(",")
    is_base64 = ";base64" in header.lower()
    content = _base64(payload) if is_base64 else b64encode(unquote_to_bytes(payload)).decode()
    if content is None:
        return None
    return {"type": "blob", "mime_type": header.split(";", 1)[0] or None, "modality": modality, "content": content}


def _base64(data: Any) -> str | None:
    """Give canonical base64 text, or None for anything that is none."""
    if not isinstance(data, str):
        return None
    try:
        return b64encode(b64decode("".join(data.split()), validate=True)).decode()
    except ValueError:
        return None


def _unknown(item: Any, kind: Any) -> Part | None:
    """Keep a part whose type we do not know; the conventions allow any type."""
    data = plain(item)
    return {**data, "type": kind} if isinstance(kind, str) and isinstance(data, dict) else None
