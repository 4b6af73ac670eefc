"""Items of the Responses API (a flat list, in and out) as messages in the conventions' shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spanledger.openai.chat_messages import as_sequence
from spanledger.openai.parameters import field
from spanledger.openai.parts import Part, content_parts, parsed_json, plain, text_part, tool_call_part

Message = dict[str, Any]

_TOOL_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_TOOL_OUTPUTS = frozenset(
    {
        "function_call_output",
        "custom_tool_call_output",
        "computer_call_output",
        "shell_call_output",
        "local_shell_call_output",
        "apply_patch_call_output",
    }
)
_SERVER_TOOLS = {
    "code_interpreter_call": "code_interpreter",
    "file_search_call": "file_search",
    "image_generation_call": "image_generation",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcp_list_tools",
    "tool_search_call": "tool_search",
    "web_search_call": "web_search",
}
_SERVER_TOOL_OUTPUTS = {"tool_search_output": "tool_search"}
_FINISH_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}


def input_messages(source: Any) -> list[Message]:
    """Give the messages of a request; parallel tool calls, which the list splits, are one turn."""
    if isinstance(source, str):
        return [{"role": "user", "parts": [text_part(source)], "name": None}]
    messages: list[Message] = []
    for item in as_sequence(source):
        message = _input_message(item)
        if message is None:
            continue
        if messages and _is_tool_call_turn(message) and _is_tool_call_turn(messages[-1]):
            messages[-1]["parts"] += message["parts"]
        else:
            messages.append(message)
    return messages


def _input_message(item: Any) -> Message | None:
    kind = field(item, "type")
    if kind in _TOOL_CALLS or kind == "computer_call":
        return _message("assistant", [_tool_call(item, kind)])
    if kind in _TOOL_OUTPUTS:
        response = plain(field(item, "output"))
        return _message("tool", [{"type": "tool_call_response", "id": _call_id(item), "response": response}])
    if kind == "reasoning":
        return _message("assistant", _reasoning_parts(item))
    role = field(item, "role")
    if isinstance(role, str):
        return _message(role, content_parts(field(item, "content")), field(item, "name"))
    return _message("user", _other_item(item, kind))


def _other_item(item: Any, kind: Any) -> list[Part]:
    """Keep an item that is no message: a compaction, a reference, the output of a server tool sent back."""
    if not isinstance(kind, str):
        return []
    data = plain(item)
    return [{**data, "type": kind}] if isinstance(data, Mapping) else []


def _message(role: str, parts: list[Part], name: Any = None) -> Message | None:
    return {"role": role, "parts": parts, "name": str(name) if name is not None else None} if parts else None


def _is_tool_call_turn(message: Message) -> bool:
    return message["role"] == "assistant" and all(part["type"] == "tool_call" for part in message["parts"])


def _tool_call(item: Any, kind: str) -> Part:
    if kind == "computer_call":
        return tool_call_part(_call_id(item), "computer", _computer_arguments(item))
    arguments = field(item, _TOOL_CALLS[kind])
    # A custom tool takes free text, which must not be read as JSON.
    parsed = parsed_json(arguments) if kind == "function_call" else plain(arguments)
    return {"type": "tool_call", "id": _call_id(item), "name": field(item, "name") or "", "arguments": parsed}


def _computer_arguments(item: Any) -> dict[str, Any]:
    data = plain(item)
    return {name: data[name] for name in ("action", "actions") if data.get(name) is not None}


def _call_id(item: Any) -> Any:
    """Give the id that pairs a call with its output; some providers leave `call_id` out."""
    return field(item, "call_id") or field(item, "id")


def _reasoning_parts(item: Any) -> list[Part]:
    blocks = [*as_sequence(field(item, "summary"))]
    blocks += [block for block in as_sequence(field(item, "content")) if field(block, "type") == "reasoning_text"]
    return [{"type": "reasoning", "content": text} for block in blocks if isinstance(text := field(block, "text"), str)]


def output_messages(response: Any) -> list[Message]:
    """Give the messages of an answer; a tool call belongs to the text that it follows."""
    messages: list[Message] = []
    for item in as_sequence(getattr(response, "output", None)):
        kind = field(item, "type")
        if kind in _TOOL_CALLS or kind == "computer_call":
            if field(item, "status") in {None, "completed", "incomplete"}:
                _add_tool_call(messages, _tool_call(item, kind))
        elif (message := _output_message(item, kind)) is not None:
            messages.append(message)
    return messages


def _output_message(item: Any, kind: str) -> Message | None:
    if kind == "message":
        return _finished(field(item, "role"), _text_parts(item), finish_reason(field(item, "status")))
    if kind == "reasoning":
        parts = _reasoning_parts(item)
        return _finished("assistant", parts, finish_reason(field(item, "status"))) if parts else None
    return _server_tool(item, kind)


def _text_parts(item: Any) -> list[Part]:
    texts = [field(block, "text") or field(block, "refusal") for block in as_sequence(field(item, "content"))]
    return [text_part(text) for text in texts if isinstance(text, str)]


def _finished(role: str, parts: list[Part], reason: str | None) -> Message | None:
    return None if reason is None else {"role": role, "parts": parts, "finish_reason": reason, "name": None}


def _add_tool_call(messages: list[Message], part: Part) -> None:
    last = messages[-1] if messages else None
    if (
        last is not None
        and last["finish_reason"] in {"stop", "tool_call"}
        and all(known["type"] in {"text", "tool_call"} for known in last["parts"])
    ):
        last["parts"].append(part)
        last["finish_reason"] = "tool_call"
    else:
        messages.append({"role": "assistant", "parts": [part], "finish_reason": "tool_call", "name": None})


def _server_tool(item: Any, kind: str) -> Message | None:
    """Give a tool that the provider ran itself, with everything that the item says about it."""
    call_name = _SERVER_TOOLS.get(kind)
    output_name = _SERVER_TOOL_OUTPUTS.get(kind)
    if call_name is None and output_name is None:
        return None
    if kind.startswith("tool_search") and field(item, "execution") != "server":
        return None
    reason = _server_tool_reason(item, kind)
    if reason is None:
        return None
    data = plain(item)
    item_id, call_id = data.pop("id", None), data.pop("call_id", None)
    data.pop("type", None)
    name = data.pop("name", None)
    data["type"] = call_name or output_name
    if output_name is not None:
        part: Part = {"type": "server_tool_call_response", "id": call_id, "server_tool_call_response": data}
    else:
        part = {
            "type": "server_tool_call",
            "id": call_id if isinstance(call_id, str) else item_id,
            "name": name if isinstance(name, str) else call_name,
            "server_tool_call": data,
        }
    return _finished("assistant", [part], reason)


def _server_tool_reason(item: Any, kind: str) -> str | None:
    if kind == "mcp_list_tools":
        return "error" if field(item, "error") else "stop"
    return finish_reason(field(item, "status"))


def finish_reason(status: str | None, incomplete_reason: str | None = None) -> str | None:
    """Name the finish reason that a status means; None while there is none."""
    if status == "completed":
        return "stop"
    if status in {"failed", "cancelled"}:
        return "error"
    if status == "incomplete":
        return _FINISH_REASONS.get(incomplete_reason, incomplete_reason) if incomplete_reason else status
    return None


def finish_reasons(response: Any) -> list[str]:
    """Give the finish reasons of an answer, each once: of its items, or of the answer as a whole."""
    status = getattr(response, "status", None)
    overall = finish_reason(status, field(getattr(response, "incomplete_details", None), "reason"))
    if status in {"failed", "cancelled", "incomplete"}:
        return [overall] if overall else []
    if status in {"queued", "in_progress"}:
        return []
    reasons = [_item_reason(item) for item in as_sequence(getattr(response, "output", None))]
    return list(dict.fromkeys(reason for reason in reasons if reason)) or ([overall] if overall else [])


def _item_reason(item: Any) -> str | None:
    kind = field(item, "type")
    if kind in _TOOL_CALLS or kind == "computer_call":
        return "tool_calls" if field(item, "status") in {None, "completed", "incomplete"} else None
    return finish_reason(field(item, "status")) if kind == "message" else None


def has_compaction(items: Any) -> bool:
    """Tell whether a compacted conversation is among the items."""
    return (
        isinstance(items, Sequence)
        and not isinstance(items, str)
        and any(field(item, "type") == "compaction" for item in items)
    )


def tool_definitions(tools: Sequence[Any]) -> list[dict[str, Any]]:
    """Give the definitions of the tools offered; a built-in tool goes by its type."""
    definitions: list[dict[str, Any]] = []
    for tool in tools:
        kind = field(tool, "type")
        if not isinstance(kind, str):
            continue
        name = field(tool, "name")
        if kind == "function":
            definitions.append(
                {
                    "name": name if isinstance(name, str) else "",
                    "description": field(tool, "description"),
                    "parameters": plain(field(tool, "parameters")),
                    "type": "function",
                }
            )
        else:
            definitions.append({"name": name if isinstance(name, str) else kind, "type": kind})
    return definitions
