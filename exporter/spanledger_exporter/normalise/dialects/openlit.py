"""OpenLIT 1.45: current names for most things, and five habits that a reader must know.

- It writes its own defaults for parameters that nobody sent (`temperature` 1.0, `seed` 0, …): such a value says nothing
  and is moved to `openlit.default.*`.
- It counts the tokens of an OpenAI stream itself where the provider did not report them: usage is `estimated`; of
  other providers' streams we cannot tell, and it is `unknown`.
- It leaves cached tokens out of Anthropic's `input_tokens`: they are added, as the conventions' count includes them.
- It writes the tools that a model asked for as if the span were a tool's: moved to `openlit.tool.*`; they are in the
  answer.
- It repeats the system prompt as a message, and keeps vendors' words for finish reasons: once, and the conventions'.

A cost of 0 is what OpenLIT says of a price it does not know: `gen_ai.usage.cost` stays where it was and is no cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spanledger_exporter.normalise.dialects.deprecated_gen_ai import rename_old
from spanledger_exporter.normalise.dialects.span_facts import (
    SpanEvent,
    SpanFacts,
    as_list,
    mapping,
    parsed,
    rename,
)
from spanledger_semconv import attributes as keys

_SDK_NAME = "telemetry.sdk.name"
_TIME_TO_FIRST_TOKEN = "gen_ai.server.time_to_first_token"  # noqa: S105  # a token of text
_DEFAULTS: Mapping[str, tuple[Any, ...]] = {
    keys.GEN_AI_REQUEST_SEED: (0, ""),
    keys.GEN_AI_REQUEST_FREQUENCY_PENALTY: (0,),
    keys.GEN_AI_REQUEST_PRESENCE_PENALTY: (0,),
    keys.GEN_AI_REQUEST_TEMPERATURE: (1,),
    keys.GEN_AI_REQUEST_TOP_P: (1,),
    keys.GEN_AI_REQUEST_TOP_K: (1,),
    keys.GEN_AI_REQUEST_MAX_TOKENS: (-1,),
    keys.GEN_AI_REQUEST_STOP_SEQUENCES: ((), []),
    "gen_ai.request.user": ("",),
    keys.OPENAI_REQUEST_SERVICE_TIER: ("auto",),
    keys.OPENAI_RESPONSE_SERVICE_TIER: ("auto",),
}
_ON_MODEL_CALLS = {
    keys.GEN_AI_TOOL_NAME: "openlit.tool.name",
    keys.GEN_AI_TOOL_CALL_ID: "openlit.tool.call.id",
    keys.GEN_AI_TOOL_CALL_ARGUMENTS: "openlit.tool.call.arguments",
    "gen_ai.tool.args": "openlit.tool.args",
}
_FINISH_REASONS = {
    "completed": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
}
_REPORTED_BY = "anthropic"  # of which OpenLIT takes every count from the provider


def recognises(facts: SpanFacts) -> bool:
    """Say whether OpenLIT made the span."""
    return facts.scope.startswith("openlit.") or facts.attributes.get(_SDK_NAME) == "openlit"


def rewrite(_facts: SpanFacts, attributes: dict[str, Any], _events: list[SpanEvent]) -> None:
    """Turn OpenLIT's attributes into what the conventions mean by their names."""
    if attributes.get(keys.GEN_AI_OPERATION_NAME) != "execute_tool":
        rename(attributes, _ON_MODEL_CALLS)
    _set_usage_source(attributes)  # before the old names of the cache counts go
    rename_old(attributes)
    _move_defaults(attributes)
    _include_cached(attributes)
    if attributes.get(keys.GEN_AI_REQUEST_STREAM) is True:
        rename(attributes, {_TIME_TO_FIRST_TOKEN: keys.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK})
    _keep_instructions_once(attributes)
    _name_finish_reasons(attributes)


def _move_defaults(attributes: dict[str, Any]) -> None:
    for key, defaults in _DEFAULTS.items():
        if key in attributes and any(attributes[key] == default for default in defaults):
            attributes[f"openlit.default.{key.removeprefix('gen_ai.')}"] = attributes.pop(key)


def _set_usage_source(attributes: dict[str, Any]) -> None:
    """Say where the counts of a stream come from; only with a report does OpenLIT write cached tokens, even none."""
    if (
        attributes.get(keys.GEN_AI_REQUEST_STREAM) is not True
        or keys.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS in attributes
    ):
        return
    provider = attributes.get(keys.GEN_AI_PROVIDER_NAME)
    if provider != _REPORTED_BY:
        attributes.setdefault(keys.SPANLEDGER_USAGE_SOURCE, "estimated" if provider == "openai" else "unknown")


def _include_cached(attributes: dict[str, Any]) -> None:
    if attributes.get(keys.GEN_AI_PROVIDER_NAME) != "anthropic":
        return
    counted = (
        keys.GEN_AI_USAGE_INPUT_TOKENS,
        keys.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
        keys.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS,
    )
    counts = [attributes.get(key, 0) for key in counted]
    if counted[0] in attributes and all(type(count) is int for count in counts):
        attributes["openlit.usage.input_tokens"] = counts[0]
        attributes[counted[0]] = sum(counts)


def _keep_instructions_once(attributes: dict[str, Any]) -> None:
    """Keep the system prompt where the provider's API has it: apart for Anthropic, as a message for the others."""
    instructions = parsed(attributes.get(keys.GEN_AI_SYSTEM_INSTRUCTIONS))
    messages = [mapping(item) for item in as_list(parsed(attributes.get(keys.GEN_AI_INPUT_MESSAGES)))]
    repeated = [
        message for message in messages if message.get("role") == "system" and message.get("parts") == instructions
    ]
    if not instructions or not repeated:
        return
    if attributes.get(keys.GEN_AI_PROVIDER_NAME) == "anthropic":
        attributes[keys.GEN_AI_INPUT_MESSAGES] = [message for message in messages if message not in repeated]
    else:
        del attributes[keys.GEN_AI_SYSTEM_INSTRUCTIONS]


def _name_finish_reasons(attributes: dict[str, Any]) -> None:
    reasons = as_list(parsed(attributes.get(keys.GEN_AI_RESPONSE_FINISH_REASONS)))
    named = [_FINISH_REASONS.get(str(reason), str(reason)) for reason in reasons]
    if named != reasons:
        attributes["openlit.finish_reasons"] = reasons
        attributes[keys.GEN_AI_RESPONSE_FINISH_REASONS] = named
