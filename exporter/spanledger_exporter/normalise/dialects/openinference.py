"""OpenInference (Arize): `openinference.span.kind`, flattened `llm.*`, `embedding.*`, `retrieval.*`, `tool.*`.

`input.value` and `output.value` repeat the messages of a model call as the SDK saw them; they are content only where
nothing better is there (chains, agents, tools), else they stay among the attributes. `llm.token_count.prompt` includes
what was cached.
"""

from __future__ import annotations

from typing import Any

from spanledger_exporter.normalise.dialects.gen_ai import OTHER_USAGE_PREFIX
from spanledger_exporter.normalise.dialects.span_facts import (
    SpanEvent,
    SpanFacts,
    as_list,
    mapping,
    media_part,
    object_at,
    parsed,
    part_of,
    rename,
    take_tree,
)
from spanledger_semconv import attributes as keys

_OPERATIONS = {
    "LLM": "chat",
    "EMBEDDING": "embeddings",
    "RETRIEVER": "retrieval",
    "TOOL": "execute_tool",
    "AGENT": "invoke_agent",
    "CHAIN": "invoke_workflow",
}
_EVENT_TYPES = {"RERANKER": "retrieval", "EVALUATOR": "evaluation", "GUARDRAIL": "evaluation", "DECISION": "decision"}
_NAMES = {
    "llm.provider": keys.GEN_AI_PROVIDER_NAME,
    "llm.system": keys.GEN_AI_PROVIDER_NAME,
    "llm.request.model_name": keys.GEN_AI_REQUEST_MODEL,
    "llm.response.model_name": keys.GEN_AI_RESPONSE_MODEL,
    "embedding.model_name": keys.GEN_AI_REQUEST_MODEL,
    "reranker.model_name": keys.GEN_AI_REQUEST_MODEL,
    "reranker.query": keys.GEN_AI_RETRIEVAL_QUERY_TEXT,
    "reranker.top_k": keys.GEN_AI_RETRIEVAL_TOP_K,
    "llm.token_count.prompt": keys.GEN_AI_USAGE_INPUT_TOKENS,
    "llm.token_count.completion": keys.GEN_AI_USAGE_OUTPUT_TOKENS,
    "llm.token_count.prompt_details.cache_read": keys.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "llm.token_count.prompt_details.cache_input": keys.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "llm.token_count.prompt_details.cache_write": keys.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS,
    "llm.token_count.prompt_details.audio": keys.GEN_AI_USAGE_AUDIO_INPUT_TOKENS,
    "llm.token_count.completion_details.reasoning": keys.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
    "llm.token_count.completion_details.audio": keys.GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS,
    "llm.prompt_template.version": keys.GEN_AI_PROMPT_VERSION,
    "prompt.id": keys.GEN_AI_PROMPT_NAME,
    "tool.name": keys.GEN_AI_TOOL_NAME,
    "tool.description": keys.GEN_AI_TOOL_DESCRIPTION,
    "tool.id": keys.GEN_AI_TOOL_CALL_ID,
    "agent.name": keys.GEN_AI_AGENT_NAME,
    "session.id": keys.SPANLEDGER_SESSION_ID,
    "user.id": keys.SPANLEDGER_USER_ID,
}
_PROVIDERS = {
    "aws": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google": "gcp.gen_ai",
    "mistralai": "mistral_ai",
    "vertexai": "gcp.vertex_ai",
    "xai": "x_ai",
}
_PARAMETERS = {
    "model": keys.GEN_AI_REQUEST_MODEL,
    "model_name": keys.GEN_AI_REQUEST_MODEL,
    "temperature": keys.GEN_AI_REQUEST_TEMPERATURE,
    "top_p": keys.GEN_AI_REQUEST_TOP_P,
    "top_k": keys.GEN_AI_REQUEST_TOP_K,
    "max_tokens": keys.GEN_AI_REQUEST_MAX_TOKENS,
    "max_completion_tokens": keys.GEN_AI_REQUEST_MAX_TOKENS,
    "max_output_tokens": keys.GEN_AI_REQUEST_MAX_TOKENS,
    "seed": keys.GEN_AI_REQUEST_SEED,
    "frequency_penalty": keys.GEN_AI_REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": keys.GEN_AI_REQUEST_PRESENCE_PENALTY,
    "stream": keys.GEN_AI_REQUEST_STREAM,
    "service_tier": keys.OPENAI_REQUEST_SERVICE_TIER,
}


def recognises(facts: SpanFacts) -> bool:
    """Say whether the span names its OpenInference kind."""
    return "openinference.span.kind" in facts.attributes


def rewrite(_facts: SpanFacts, attributes: dict[str, Any], _events: list[SpanEvent]) -> None:
    """Turn OpenInference's attributes into the current conventions."""
    kind = str(attributes["openinference.span.kind"]).upper()
    rename(attributes, _NAMES)
    provider = attributes.get(keys.GEN_AI_PROVIDER_NAME)
    if provider == attributes.get("llm.system"):
        attributes.pop("llm.system", None)
    if isinstance(provider, str):
        attributes[keys.GEN_AI_PROVIDER_NAME] = _PROVIDERS.get(provider, provider)
    _take_operation(attributes, kind)
    _take_parameters(attributes)
    _read_answer(attributes)
    _take_messages(attributes)
    _take_documents(attributes)
    _take_embeddings(attributes)
    _take_values(attributes, kind)


def _take_operation(attributes: dict[str, Any], kind: str) -> None:
    if kind in _OPERATIONS:
        attributes.setdefault(keys.GEN_AI_OPERATION_NAME, _OPERATIONS[kind])
    elif kind in _EVENT_TYPES:
        attributes.setdefault(keys.SPANLEDGER_EVENT_TYPE, _EVENT_TYPES[kind])
    if "llm.finish_reason" in attributes:
        attributes[keys.GEN_AI_RESPONSE_FINISH_REASONS] = as_list(attributes.pop("llm.finish_reason"))


def _take_parameters(attributes: dict[str, Any]) -> None:
    """Read the parameters; the JSON they came in stays, it holds ones that the conventions have no name for."""
    for source in ("llm.invocation_parameters", "embedding.invocation_parameters"):
        for name, value in object_at(attributes, source).items():
            if name in _PARAMETERS and value is not None:
                attributes.setdefault(_PARAMETERS[name], value)
    if "llm.model_name" in attributes:  # the answering model, once there is an answer
        name = attributes.pop("llm.model_name")
        has_answer = keys.GEN_AI_USAGE_OUTPUT_TOKENS in attributes or keys.GEN_AI_RESPONSE_FINISH_REASONS in attributes
        attributes.setdefault(keys.GEN_AI_RESPONSE_MODEL if has_answer else keys.GEN_AI_REQUEST_MODEL, name)
        attributes.setdefault(keys.GEN_AI_REQUEST_MODEL, name)


def _read_answer(attributes: dict[str, Any]) -> None:
    """Read from the provider's own answer what decides the price and has no attribute: tier, cache lifetimes."""
    answer = object_at(attributes, "output.value")
    usage = mapping(answer.get("usage"))
    written = mapping(usage.get("cache_creation"))
    found = {
        keys.OPENAI_RESPONSE_SERVICE_TIER: answer.get("service_tier"),
        keys.OPENAI_RESPONSE_SYSTEM_FINGERPRINT: answer.get("system_fingerprint"),
        keys.ANTHROPIC_RESPONSE_SERVICE_TIER: usage.get("service_tier"),
        OTHER_USAGE_PREFIX + "cache_write_5m": written.get("ephemeral_5m_input_tokens"),
        OTHER_USAGE_PREFIX + "cache_write_1h": written.get("ephemeral_1h_input_tokens"),
    }
    for key, value in found.items():
        if isinstance(value, (str, int)):
            attributes.setdefault(key, value)


def _take_messages(attributes: dict[str, Any]) -> None:
    for prefix, target in (
        ("llm.input_messages", keys.GEN_AI_INPUT_MESSAGES),
        ("llm.output_messages", keys.GEN_AI_OUTPUT_MESSAGES),
    ):
        messages = [_message(mapping(item)) for item in as_list(take_tree(attributes, prefix))]
        if messages:
            attributes[target] = messages
    tools = [_tool(mapping(item)) for item in as_list(take_tree(attributes, "llm.tools"))]
    if tools:
        attributes[keys.GEN_AI_TOOL_DEFINITIONS] = tools
    for prefix, inner, target in (
        ("llm.prompts", "prompt", keys.GEN_AI_INPUT_MESSAGES),
        ("llm.choices", "completion", keys.GEN_AI_OUTPUT_MESSAGES),
    ):
        texts = [mapping(mapping(item).get(inner)).get("text") for item in as_list(take_tree(attributes, prefix))]
        if texts:
            role = "user" if inner == "prompt" else "assistant"
            attributes[target] = [{"role": role, "parts": [{"type": "text", "content": text}]} for text in texts]


def _message(item: dict[str, Any]) -> dict[str, Any]:
    message = mapping(item.pop("message", None)) | item
    role = message.pop("role", None)
    call_id = message.pop("tool_call_id", None)
    content = message.pop("content", None)
    contents = [_content(mapping(part)) for part in as_list(message.pop("contents", None))]
    calls = [_tool_call(mapping(call)) for call in as_list(message.pop("tool_calls", None))]
    if any(part["type"] == "tool_call" for part in contents):
        calls = []  # the same calls again, in their place between the other parts
    parts = contents or ([] if content is None else [{"type": "text", "content": content}])
    if role == "tool" and call_id is not None:
        response = content if content is not None else contents
        parts = [{"type": "tool_call_response", "id": call_id, "response": response}]
    return {**message, "role": role, "parts": parts + calls}


def _content(item: dict[str, Any]) -> dict[str, Any]:
    if "tool_call" in item:
        return _tool_call(item)
    part = mapping(item.pop("message_content", None)) | item
    kind = part.pop("type", "text")
    if kind == "text":
        return part_of(part, "text", text="content")
    if kind == "reasoning":
        return part_of(part, "reasoning", text="content")
    for modality in ("image", "audio", "video", "document", "file"):
        inner = mapping(mapping(part.get(modality)).get(modality))
        if "url" in inner:
            del part[modality]
            return {**part, **media_part(str(inner.pop("url")), modality), **inner}
    return {**part, "type": kind}


def _tool_call(item: dict[str, Any]) -> dict[str, Any]:
    call = mapping(item.get("tool_call")) or item
    function = mapping(call.pop("function", None))
    part: dict[str, Any] = {"type": "tool_call"}
    if "id" in call:
        part["id"] = call["id"]
    return {**part, "name": function.get("name", ""), "arguments": parsed(function.get("arguments"))}


def _tool(item: dict[str, Any]) -> dict[str, Any]:
    schema = mapping(parsed(mapping(item.get("tool")).get("json_schema")))
    function = mapping(schema.get("function"))
    if function:
        return {"type": "function", **function}
    if "input_schema" in schema:
        return part_of(schema, "function", input_schema="parameters")
    return {"type": "function", **schema} if schema else item


def _take_documents(attributes: dict[str, Any]) -> None:
    for prefix in ("retrieval.documents", "reranker.output_documents"):
        documents = [_document(mapping(item)) for item in as_list(take_tree(attributes, prefix))]
        if documents:
            attributes[keys.GEN_AI_RETRIEVAL_DOCUMENTS] = documents


def _document(item: dict[str, Any]) -> dict[str, Any]:
    document = mapping(item.get("document")) or item
    if "metadata" in document:
        document["metadata"] = parsed(document["metadata"])
    return document


def _take_embeddings(attributes: dict[str, Any]) -> None:
    """Take the embedded texts; the vectors stay among the attributes."""
    found = sorted(k for k in attributes if k.startswith("embedding.embeddings.") and k.endswith(".text"))
    texts = [{"role": "user", "parts": [{"type": "text", "content": attributes.pop(key)}]} for key in found]
    if texts:
        attributes.setdefault(keys.GEN_AI_INPUT_MESSAGES, texts)


def _take_values(attributes: dict[str, Any], kind: str) -> None:
    """Use `input.value` and `output.value` where there is nothing better."""
    if kind == "TOOL":
        rename(
            attributes, {"input.value": keys.GEN_AI_TOOL_CALL_ARGUMENTS, "output.value": keys.GEN_AI_TOOL_CALL_RESULT}
        )
        return
    if kind == "RETRIEVER":
        rename(attributes, {"input.value": keys.GEN_AI_RETRIEVAL_QUERY_TEXT})
        if keys.GEN_AI_RETRIEVAL_DOCUMENTS in attributes:
            return
    for source, target, role in (
        ("input.value", keys.GEN_AI_INPUT_MESSAGES, "user"),
        ("output.value", keys.GEN_AI_OUTPUT_MESSAGES, "assistant"),
    ):
        if source in attributes and target not in attributes:
            attributes[target] = [{"role": role, "parts": [_value_part(attributes.pop(source))]}]


def _value_part(value: Any) -> dict[str, Any]:
    content = parsed(value)
    is_text = isinstance(content, (str, int, float)) or content is None
    return {"type": "text", "content": str(value)} if is_text else {"type": "json", "content": content}
