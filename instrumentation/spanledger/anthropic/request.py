"""What a request to `/v1/messages` says, read from its body before the SDK prepares and sends it.

Rules
- Nothing is consumed: the SDK still has to send the same body. What can be read only once is replaced by a copy.
- What the caller left out (`omit`, `NOT_GIVEN`) is left out here too; nothing is guessed.
- Content is read when somebody looks (`Deferred`), which is at the latest when the span starts.
- Secrets stay out: of an MCP server only name and address are kept, never its token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spanledger.anthropic.parts import parts, plain
from spanledger.invocation import Deferred, DeferredMapping, prompt_digest, tool_digests
from spanledger.invocation.read_once import kept
from spanledger_semconv import attributes as names
from spanledger_semconv.invocation import CallSite, InvocationRequest, PromptIdentity

Body = dict[str, Any]

OPERATION = "chat"

_PLAIN_ATTRIBUTES = {
    "max_tokens": names.GEN_AI_REQUEST_MAX_TOKENS,
    "temperature": names.GEN_AI_REQUEST_TEMPERATURE,
    "top_p": names.GEN_AI_REQUEST_TOP_P,
    "top_k": names.GEN_AI_REQUEST_TOP_K,
    "service_tier": names.ANTHROPIC_REQUEST_SERVICE_TIER,
    "speed": names.ANTHROPIC_REQUEST_SPEED,
}
_LEFT_OUT = frozenset({"Omit", "NotGiven"})


def given_body(options: Any) -> Body:
    """Return the body of a request as it will be sent, without what the caller left out."""
    body = options.json_data if isinstance(options.json_data, Mapping) else {}
    extra = getattr(options, "extra_json", None)
    merged = {**body, **extra} if isinstance(extra, Mapping) else body
    return {name: value for name, value in merged.items() if type(value).__name__ not in _LEFT_OUT}


def keep_for_two(options: Any) -> bool:
    """Replace iterators and files anywhere in the body by what two readers can read.

    False when one of them raised: the SDK will meet the same items and the same exception, and nothing is sent.
    """
    failures: list[Exception] = []
    if isinstance(options.json_data, Mapping):
        options.json_data = kept(options.json_data, failures)
    return not failures


def read_request(client: Any, body: Body, *, is_stream: bool, call_site: CallSite | None) -> InvocationRequest:
    """Describe one request."""
    # Lists are copied: an application may go on filling its own while a stream is open.
    system, messages, tools = body.get("system") or (), tuple(body.get("messages") or ()), _tools(body)
    return InvocationRequest(
        operation=OPERATION,
        provider=getattr(client, "_gen_ai_provider_name", "anthropic"),
        model=body.get("model"),
        attributes=_attributes(client, body, is_stream=is_stream),
        system_instructions=Deferred(lambda: parts(system)),
        input_messages=Deferred(lambda: [_message(message) for message in messages]),
        tool_definitions=Deferred(lambda: [_definition(tool) for tool in tools]),
        tools=DeferredMapping(lambda: tool_digests([_identity(tool) for tool in tools])),
        prompt=PromptIdentity(digest=prompt_digest(_texts(system), _output_schema(body))),
        call_site=call_site,
    )


def _attributes(client: Any, body: Body, *, is_stream: bool) -> dict[str, Any]:
    found = {name: body[key] for key, name in _PLAIN_ATTRIBUTES.items() if isinstance(body.get(key), int | float | str)}
    if is_stream:
        found[names.GEN_AI_REQUEST_STREAM] = True
    stops = body.get("stop_sequences")
    if stops and isinstance(stops, Sequence):
        found[names.GEN_AI_REQUEST_STOP_SEQUENCES] = tuple(stops)
    effort = _get(body.get("output_config"), "effort")
    if isinstance(effort, str):
        found[names.GEN_AI_REQUEST_REASONING_LEVEL] = effort
    if _output_schema(body) is not None:
        found[names.GEN_AI_OUTPUT_TYPE] = "json"
    found.update(_thinking(body.get("thinking")))
    found.update(_server(client))
    return found


def _thinking(thinking: Any) -> Iterator[tuple[str, Any]]:
    kind, budget = _get(thinking, "type"), _get(thinking, "budget_tokens")
    if isinstance(kind, str):
        yield names.ANTHROPIC_THINKING_TYPE, kind
    if isinstance(budget, int):
        yield names.ANTHROPIC_THINKING_BUDGET_TOKENS, budget


def _server(client: Any) -> Iterator[tuple[str, Any]]:
    url: Any = getattr(client, "base_url", None)
    if getattr(url, "host", None):
        yield names.SERVER_ADDRESS, url.host
        yield names.SERVER_PORT, url.port or (80 if url.scheme == "http" else 443)
    # The client's own option: a conversation that the application itself named.
    conversation = _get(getattr(client, "open_telemetry", None), "conversation_id")
    if isinstance(conversation, str):
        yield names.GEN_AI_CONVERSATION_ID, conversation


def _output_schema(body: Body) -> Any:
    """Return the schema that the answer has to follow; `output_format` is the older place for it."""
    for wanted in (_get(body.get("output_config"), "format"), body.get("output_format")):
        if _get(wanted, "type") == "json_schema":
            return _get(wanted, "schema")
    return None


def _texts(system: Any) -> list[str]:
    return [str(found["content"]) for found in parts(system) if found["type"] == "text"]


def _message(message: Any) -> dict[str, Any]:
    fields = plain(message)
    return {"role": fields.get("role", "user"), "parts": parts(fields.get("content", ""))}


def _tools(body: Body) -> list[Mapping[str, Any]]:
    """Return every tool that the model may use, and every MCP server, without its secret."""
    servers = [plain(server) for server in body.get("mcp_servers") or ()]
    kept = [{"type": "mcp", "name": server.get("name"), "url": server.get("url")} for server in servers]
    return [*(plain(tool) for tool in body.get("tools") or ()), *kept]


def _definition(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool in the conventions' shape: a function, or the provider's own tool as it was sent."""
    if "input_schema" not in tool:
        return dict(tool)
    fields = {"name": tool.get("name"), "description": tool.get("description"), "parameters": tool["input_schema"]}
    return {"type": "function", **{key: value for key, value in fields.items() if value is not None}}


def _identity(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a tool this version of it: where the cache is cut is no part of that."""
    return {key: value for key, value in tool.items() if key != "cache_control"}


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
