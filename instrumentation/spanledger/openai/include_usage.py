"""Token counts of streamed chat completions: asked for on the caller's behalf, and kept from the caller.

OpenAI reports the usage of a stream only with `stream_options={"include_usage": true}`, in one more chunk without
choices. We ask for it and take that chunk out again, so the caller's stream is what it would have been.

- A caller who set `include_usage`, either way, gets exactly that.
- A server that refuses the option (status 400 or 422, and the message names it) gets the call again without it, and is
  never asked again: the application does not see a failure that we caused.
- With `with_streaming_response` the caller may read the bytes themselves: nothing is asked for.
- `SPANLEDGER_OPENAI_INCLUDE_USAGE=false` switches this off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from spanledger.invocation import AsyncStreamObserver, StreamObserver, warn_once
from spanledger.openai.parameters import given

VARIABLE = "SPANLEDGER_OPENAI_INCLUDE_USAGE"

_RAW_RESPONSE = "X-Stainless-Raw-Response"
_REFUSALS = frozenset({400, 404, 422})
_refusing: set[tuple[str | None, int | None]] = set()


def is_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether usage may be asked for; read once, when the SDK is instrumented."""
    given_value = environment.get(VARIABLE, "").strip().lower()
    if given_value not in {"", "true", "1", "yes", "on", "false", "0", "no", "off"}:
        warn_once(f"expected {VARIABLE} to be true or false, got {given_value!r}; continuing with true")
    return given_value not in {"false", "0", "no", "off"}


def with_usage(arguments: Mapping[str, Any], server: tuple[str | None, int | None]) -> Mapping[str, Any] | None:
    """Give the arguments that also ask for usage, or None where that is not ours to do."""
    if server in _refusing or _reads_raw_bytes(arguments):
        return None
    options = given(arguments, "stream_options")
    if options is not None and (not isinstance(options, Mapping) or "include_usage" in options):
        return None
    return {**arguments, "stream_options": {**(options or {}), "include_usage": True}}


def _reads_raw_bytes(arguments: Mapping[str, Any]) -> bool:
    """Whether the caller may read the bytes (`with_streaming_response`), out of which nothing can be taken."""
    headers = given(arguments, "extra_headers")
    return isinstance(headers, Mapping) and headers.get(_RAW_RESPONSE) == "stream"


def remember_refusal(error: BaseException, server: tuple[str | None, int | None]) -> bool:
    """Tell whether `error` is a server's refusal of the option; that server is not asked again."""
    text = str(error)
    if getattr(error, "status_code", None) not in _REFUSALS:
        return False
    if "stream_options" not in text and "include_usage" not in text:
        return False
    _refusing.add(server)
    return True


def _is_usage_chunk(chunk: Any) -> bool:
    """Whether `chunk` is the one that exists only because usage was asked for; takes `usage: null` from the others."""
    try:
        if chunk.choices:
            chunk.__pydantic_fields_set__.discard("usage")
            return False
        return getattr(chunk, "usage", None) is not None
    except AttributeError:  # the caller had the chunks parsed into a type of its own
        return False


class UsageHidingObserver(StreamObserver):
    """Observes a stream whose usage chunk the caller did not ask for."""

    __slots__ = ()
    hides = staticmethod(_is_usage_chunk)


class AsyncUsageHidingObserver(AsyncStreamObserver):
    """Observes an async stream whose usage chunk the caller did not ask for."""

    __slots__ = ()
    hides = staticmethod(_is_usage_chunk)
