"""Anthropic's content blocks as message parts of the GenAI conventions.

| block | part |
|---|---|
| `text` | `text` |
| `thinking` | `reasoning` |
| `tool_use` | `tool_call` |
| `tool_result` | `tool_call_response` |
| `server_tool_use`, `mcp_tool_use` | `server_tool_call` |
| `…_tool_result` of a server tool | `server_tool_call_response` |
| `image`, `document` | `blob` (also for plain text), `uri` or `file`; a document made of blocks: their parts |
| `compaction` | `compaction` |
| anything else, also what this version does not know | itself, under its own type |

A block may be a dict that the application wrote, or a model that the SDK gave and the application sends back.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

Part = dict[str, Any]

_SERVER_CALLS = frozenset({"server_tool_use", "mcp_tool_use"})
_ABOUT = frozenset({"title", "context"})  # what the model is told about a document besides its content
_SERVER_RESULT_SUFFIX = "_tool_result"


def parts(content: Any) -> list[Part]:
    """Return the parts of a message's content, which is a text or a list of blocks."""
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    if not isinstance(content, Iterable):
        return []
    return [found for block in content for found in _parts_of(plain(block))]


def _parts_of(block: Mapping[str, Any]) -> list[Part]:
    """Return the part of a block; of a document that is made of blocks, theirs, after what it says about itself."""
    source = block.get("source") if block.get("type") == "document" else None
    if not isinstance(source, Mapping) or source.get("type") != "content":
        return [part(block)]
    about = {key: value for key, value in block.items() if key in _ABOUT and value}
    return [*([{"type": "document", **about}] if about else []), *parts(source.get("content", ()))]


def plain(block: Any) -> Mapping[str, Any]:
    """Return a block as a mapping; a model is dumped with the fields that were set."""
    if isinstance(block, Mapping):
        return block
    dump: Callable[..., Mapping[str, Any]] | None = getattr(block, "model_dump", None)
    if dump is not None:
        # The SDK builds models without validation, so a dump may warn about a field that is newer than the SDK.
        return dump(mode="json", exclude_unset=True, by_alias=True, warnings=False)
    return {"type": "text", "text": str(block)}


def part(block: Mapping[str, Any]) -> Part:
    """Return one block as a part."""
    kind = str(block.get("type", "unknown"))
    if kind == "text":
        return {"type": "text", "content": block.get("text", "")}
    if kind == "thinking":
        return {"type": "reasoning", "content": block.get("thinking", "")}
    if kind == "tool_use":
        return _present(
            {"type": "tool_call", "id": block.get("id")}, name=block.get("name"), arguments=block.get("input")
        )
    if kind == "tool_result":
        return _tool_result(block)
    if kind in _SERVER_CALLS:
        return _server_call(kind, block)
    if kind.endswith(_SERVER_RESULT_SUFFIX):
        return _server_result(kind, block)
    if kind in {"image", "document"}:
        return _source_part(kind, block)
    if kind == "compaction":
        return _present({"type": "compaction"}, content=block.get("content"))
    return dict(block)


def _tool_result(block: Mapping[str, Any]) -> Part:
    content = block.get("content", "")
    response = content if isinstance(content, str) else parts(content)
    found: Part = {"type": "tool_call_response", "id": block.get("tool_use_id"), "response": response}
    return {**found, "is_error": True} if block.get("is_error") else found


def _server_call(kind: str, block: Mapping[str, Any]) -> Part:
    name = str(block.get("name", "unknown"))
    server = {"server_name": block["server_name"]} if "server_name" in block else {}
    details = {"type": "mcp" if kind == "mcp_tool_use" else name, "arguments": block.get("input"), **server}
    return _present({"type": "server_tool_call", "id": block.get("id")}, name=name, server_tool_call=details)


def _server_result(kind: str, block: Mapping[str, Any]) -> Part:
    name = kind.removesuffix(_SERVER_RESULT_SUFFIX)
    response = {"type": name, "content": block.get("content")}
    return _present(
        {"type": "server_tool_call_response", "id": block.get("tool_use_id")}, server_tool_call_response=response
    )


def _source_part(kind: str, block: Mapping[str, Any]) -> Part:
    source = plain(block.get("source") or {})
    shape = source.get("type")
    about = {key: value for key, value in block.items() if key in _ABOUT and value}
    head: Part = {**_present({"modality": kind}, mime_type=source.get("media_type")), **about}
    if shape == "base64":
        data = _base64_text(source.get("data"))
        return {"type": "blob", **head, "content": data} if data is not None else {"type": kind, **head}
    if shape == "url":
        return {"type": "uri", **head, "uri": source.get("url")}
    if shape == "file":
        return {"type": "file", **head, "file_id": source.get("file_id")}
    if shape == "text":
        text = str(source.get("data", ""))
        return {"type": "blob", **head, "content": base64.b64encode(text.encode("utf-8", "replace")).decode()}
    return dict(block)


def _base64_text(data: Any) -> str | None:
    """Return the base64 text of what the SDK accepts as data; None for what it refuses."""
    if isinstance(data, str):
        return data
    if isinstance(data, Path):
        return base64.b64encode(data.read_bytes()).decode()
    if isinstance(data, BytesIO):  # a file that was read for two, see `keep_for_two`
        return base64.b64encode(data.getvalue()).decode()
    if isinstance(data, bytes | bytearray):
        return base64.b64encode(data).decode()
    return None


def _present(head: Part, **fields: Any) -> Part:
    """Return `head` with those `fields` that there are."""
    return {**head, **{name: value for name, value in fields.items() if value is not None}}
