"""Chat completion messages, tool definitions and prompt identity in the conventions' shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spanledger.invocation import DeferredMapping, prompt_digest, tool_digests
from spanledger.openai.parameters import field, fields_of
from spanledger.openai.parts import Part, content_parts, plain, text_part, tool_call_part

Message = dict[str, Any]

_NO_TOOLS: Mapping[str, str] = {}

_INSTRUCTION_ROLES = frozenset({"system", "developer"})
_PLAIN_ROLES = _INSTRUCTION_ROLES | {"user"}
_SEQUENCES = (list, tuple)
_ANSWER_MESSAGE = frozenset({"role", "content", "tool_calls", "refusal"})


def as_sequence(value: Any) -> Sequence[Any]:
    """Give a collection as a sequence without consuming an iterator; empty for anything else."""
    if isinstance(value, _SEQUENCES):
        return value
    if isinstance(value, str | bytes | bytearray | Mapping | Iterator) or not hasattr(value, "__iter__"):
        return ()
    return list(value)


def input_messages(messages: Sequence[Any]) -> list[Message]:
    """Give the messages of a request; one without any part is left out."""
    asked: list[Message] = []
    for item in messages:  # written out: every call of a conversation comes here, and a comprehension is a call
        message = _input_message(item)
        if message is not None:
            asked.append(message)
    return asked


def _input_message(message: Any) -> Message | None:
    if type(message) is dict:  # the usual message, without a call for each field
        role, content, name = message.get("role"), message.get("content"), message.get("name")
    else:
        role, content, name = field(message, "role"), field(message, "content"), field(message, "name")
    if type(content) is str and role in _PLAIN_ROLES:
        parts = [{"type": "text", "content": content}]
    elif role == "assistant":
        parts = _assistant_parts(message, content)
    elif role == "tool":
        parts = [{"type": "tool_call_response", "id": field(message, "tool_call_id"), "response": plain(content)}]
    else:
        parts = content_parts(content)
    if not parts:
        return None
    return {"role": str(role), "parts": parts, "name": str(name) if name is not None else None}


def _assistant_parts(message: Any, content: Any) -> list[Part]:
    parts = [_tool_call(call) for call in field(message, "tool_calls") or ()]
    parts += content_parts(content)
    refusal = field(message, "refusal")
    if isinstance(refusal, str):
        parts.append(text_part(refusal))
    return parts


def _tool_call(call: Any) -> Part:
    function = field(call, "function")
    if function is not None:
        return tool_call_part(field(call, "id"), field(function, "name"), field(function, "arguments"))
    custom = field(call, "custom")
    return tool_call_part(field(call, "id"), field(custom, "name"), field(custom, "input"))


def output_messages(choices: Sequence[Any]) -> list[Message]:
    """Give the messages of a whole answer, one per choice."""
    return [_output_message(choice.message, choice.finish_reason) for choice in choices if choice.message]


def _output_message(message: Any, reason: str | None) -> Message:
    fields = fields_of(message, _ANSWER_MESSAGE)
    content = fields["content"]
    if type(content) is str and fields["refusal"] is None and not fields["tool_calls"]:
        parts = [{"type": "text", "content": content}]
    else:
        parts = _assistant_parts(message, content)
    return {
        "role": fields["role"] or "assistant",
        "parts": parts,
        "finish_reason": finish_reason(reason),
        "name": None,
    }


def finish_reason(reason: str | None) -> str:
    """Give the conventions' name of a finish reason; `error` where one never arrived."""
    if reason in {"tool_calls", "function_call"}:
        return "tool_call"
    return reason or "error"


def tool_definitions(tools: Any) -> list[dict[str, Any]]:
    """Give the definitions of the tools offered to the model."""
    definitions: list[dict[str, Any]] = []
    for tool in as_sequence(tools):
        kind = field(tool, "type")
        function = field(tool, "function")
        if kind == "function" and function is not None:
            definitions.append(
                {
                    "name": field(function, "name") or "",
                    "description": field(function, "description"),
                    "parameters": plain(field(function, "parameters")),
                    "type": "function",
                }
            )
        elif isinstance(kind, str):
            definitions.append({"type": kind, "name": field(field(tool, kind), "name") or kind})
    return definitions


def chat_tool_digests(tools: Any) -> Mapping[str, str]:
    """Give the digest of each tool as it is sent, by name, built when somebody looks."""
    if tools is None:
        return _NO_TOOLS
    offered = as_sequence(tools)
    if not offered:
        return _NO_TOOLS
    return DeferredMapping(lambda: tool_digests([plain(_flat(tool)) for tool in offered]))


def _flat(tool: Any) -> Any:
    """Give what carries a tool's name: chat nests it under the tool's type."""
    return field(tool, str(field(tool, "type"))) or tool


def chat_prompt_digest(messages: Sequence[Any], response_format: Any) -> str:
    """Give the digest of the instructions and the output schema of a request."""
    instructions: list[str] = []
    for message in messages:
        role = message.get("role") if type(message) is dict else field(message, "role")
        if role in _INSTRUCTION_ROLES:
            content = message.get("content") if type(message) is dict else field(message, "content")
            if isinstance(content, str):
                instructions.append(content)
            else:
                instructions += [part["content"] for part in content_parts(content) if part["type"] == "text"]
    return prompt_digest(instructions, response_format)
