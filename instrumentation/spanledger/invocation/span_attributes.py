"""What the span of a call says of its request and its result; content is added elsewhere (`content.py`)."""

# pyright: reportPrivateUsage=false
# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.trace import Span

from spanledger_semconv import attributes as names
from spanledger_semconv.invocation import InvocationRequest, InvocationResult, Usage

_SAID_ON_SPAN = frozenset({"cancelled", "incomplete", "escalated"})  # what a span's status cannot say
_OTHER_USAGE = {
    "input_audio": names.GEN_AI_USAGE_AUDIO_INPUT_TOKENS,
    "output_audio": names.GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS,
}


def request_attributes(request: InvocationRequest) -> dict[str, Any]:
    """Every span attribute that is known when a call starts, except content."""
    attributes: dict[str, Any] = {names.GEN_AI_OPERATION_NAME: request.operation}
    if request.provider is not None:
        attributes[names.GEN_AI_PROVIDER_NAME] = request.provider
    if request.model is not None:
        attributes[names.GEN_AI_REQUEST_MODEL] = request.model
    attributes.update(request.attributes)
    prompt = request.prompt
    if prompt is not None:
        if prompt.digest is not None:
            attributes[names.SPANLEDGER_PROMPT_HASH] = prompt.digest
        if prompt.name is not None:
            attributes[names.GEN_AI_PROMPT_NAME] = prompt.name
        if prompt.version is not None:
            attributes[names.GEN_AI_PROMPT_VERSION] = prompt.version
    if request.tools:
        attributes[names.SPANLEDGER_TOOL_DIGESTS] = tuple(f"{name}={digest}" for name, digest in request.tools.items())
    site = request.call_site
    if site is not None:
        attributes[names.SPANLEDGER_CALL_SITE_MODULE] = site.module
        attributes[names.SPANLEDGER_CALL_SITE_FUNCTION] = site.function
    return attributes


def result_attributes(result: InvocationResult) -> dict[str, Any]:
    """Every span attribute that `result` gives, except content."""
    attributes: dict[str, Any] = dict(result.attributes)
    if result.response_id is not None:
        attributes[names.GEN_AI_RESPONSE_ID] = result.response_id
    if result.model is not None:
        attributes[names.GEN_AI_RESPONSE_MODEL] = result.model
    reasons: Sequence[str] = result.finish_reasons
    if reasons:
        attributes[names.GEN_AI_RESPONSE_FINISH_REASONS] = tuple(reasons)
    if result.time_to_first_chunk_s is not None:
        attributes[names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] = result.time_to_first_chunk_s
    if result.error_type is not None:
        attributes[names.ERROR_TYPE] = result.error_type
    if result.outcome in _SAID_ON_SPAN:
        attributes[names.SPANLEDGER_EVENT_OUTCOME] = result.outcome
    if result.usage is not None:
        _add_usage(result.usage, attributes)
    return attributes


def _add_usage(usage: Usage, attributes: dict[str, Any]) -> None:
    """Totals as reported, also 0; subsets only where there is something in them."""
    if usage.input_tokens is not None:
        attributes[names.GEN_AI_USAGE_INPUT_TOKENS] = usage.input_tokens
    if usage.output_tokens is not None:
        attributes[names.GEN_AI_USAGE_OUTPUT_TOKENS] = usage.output_tokens
    if usage.cache_read:
        attributes[names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS] = usage.cache_read
    if usage.cache_write:
        attributes[names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS] = usage.cache_write
    if usage.reasoning:
        attributes[names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS] = usage.reasoning
    for key, count in usage.other.items():
        if count and key in _OTHER_USAGE:
            attributes[_OTHER_USAGE[key]] = count


_SDK = "opentelemetry.sdk.trace"
_PLAIN = frozenset({str, int, float, bool})


def set_attributes(span: Span, attributes: dict[str, Any]) -> None:
    """Do what `span.set_attributes` does: at once where nothing is to be cleaned, cut or dropped.

    The SDK takes three calls for each attribute. Any other span than its own, and any value that it would not keep as
    it is, goes the public way; so does everything once the SDK keeps its attributes elsewhere.
    """
    held: Any = span
    try:
        kept = held._attributes
        room = kept.maxlen is None or len(kept._dict) + len(attributes) <= kept.maxlen
        if type(span).__module__ == _SDK and kept.max_value_len is None and room and _are_plain(attributes):
            with held._lock, kept._lock:
                if held._end_time is None:
                    kept._dict.update(attributes)
                    return
    except AttributeError:
        pass
    span.set_attributes(attributes)


def _are_plain(attributes: dict[str, Any]) -> bool:
    for value in attributes.values():
        kind = type(value)
        if kind not in _PLAIN and not (kind is tuple and _PLAIN.issuperset(map(type, value))):
            return False
    return True
