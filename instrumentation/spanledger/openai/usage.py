"""Token usage as OpenAI reports it; what was not reported stays None."""

from __future__ import annotations

from typing import Any

from spanledger.openai.parameters import field, fields_of
from spanledger_semconv.invocation import Usage

_NO_COUNTS: dict[str, int] = {}
_PROMPT_DETAILS = "prompt_tokens_details"
_COMPLETION_DETAILS = "completion_tokens_details"
_CHAT_USAGE = frozenset({"prompt_tokens", "completion_tokens", _PROMPT_DETAILS, _COMPLETION_DETAILS})


def chat_usage(usage: Any) -> Usage | None:
    """Read the usage of chat completions, legacy completions and embeddings."""
    if usage is None:
        return None
    counts = fields_of(usage, _CHAT_USAGE)
    details_in, details_out = counts[_PROMPT_DETAILS], counts[_COMPLETION_DETAILS]
    if details_in is None and details_out is None:
        return Usage(counts["prompt_tokens"], counts["completion_tokens"], other=_NO_COUNTS)
    return Usage(
        input_tokens=counts["prompt_tokens"],
        output_tokens=counts["completion_tokens"],
        cache_read=field(details_in, "cached_tokens"),
        cache_write=field(details_in, "cache_write_tokens"),
        reasoning=field(details_out, "reasoning_tokens"),
        other=_counts(
            input_audio=field(details_in, "audio_tokens"),
            output_audio=field(details_out, "audio_tokens"),
            accepted_prediction=field(details_out, "accepted_prediction_tokens"),
            rejected_prediction=field(details_out, "rejected_prediction_tokens"),
        ),
    )


def responses_usage(usage: Any, output: Any = None) -> Usage | None:
    """Read the usage of the Responses API; searches that the provider made are billed apart, and stand in `output`."""
    if usage is None:
        return None
    details_in = field(usage, "input_tokens_details")
    cache_write = field(details_in, "cache_write_tokens")
    return Usage(
        input_tokens=field(usage, "input_tokens"),
        output_tokens=field(usage, "output_tokens"),
        cache_read=field(details_in, "cached_tokens"),
        cache_write=field(details_in, "cache_creation_input_tokens") if cache_write is None else cache_write,
        reasoning=field(field(usage, "output_tokens_details"), "reasoning_tokens"),
        other=_counts(web_searches=_web_searches(output), storage_searches=_calls(output, "file_search_call")),
    )


def generated_usage(usage: Any) -> Usage | None:
    """Read the usage of images, transcriptions and decisions, which tell modalities apart.

    Audio that is billed by the second has none.
    """
    if field(usage, "input_tokens") is None and field(usage, "output_tokens") is None:
        return None
    given_in = field(usage, "input_tokens_details") or field(usage, "input_token_details")
    given_out = field(usage, "output_tokens_details")
    return Usage(
        input_tokens=field(usage, "input_tokens"),
        output_tokens=field(usage, "output_tokens"),
        cache_read=field(given_in, "cached_tokens"),
        cache_write=field(given_in, "cache_write_tokens"),
        reasoning=field(given_out, "reasoning_tokens"),
        other=_counts(
            input_text=field(given_in, "text_tokens"),
            input_image=field(given_in, "image_tokens"),
            input_audio=field(given_in, "audio_tokens"),
            output_text=field(given_out, "text_tokens"),
            output_image=field(given_out, "image_tokens"),
        ),
    )


def _calls(output: Any, kind: str) -> int:
    return sum(field(item, "type") == kind for item in output or ())


def _web_searches(output: Any) -> int:
    """Count the searches: opening a page that was found, or looking into it, is the same kind of item and free."""
    calls = [item for item in output or () if field(item, "type") == "web_search_call"]
    return sum(field(field(call, "action"), "type") in ("search", None) for call in calls)


def _counts(**counts: Any) -> dict[str, int]:
    """Keep the counts that say something; some servers report negative ones, which no usage is."""
    return {name: count for name, count in counts.items() if isinstance(count, int) and count > 0}
