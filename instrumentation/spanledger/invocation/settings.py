"""The `OTEL_INSTRUMENTATION_GENAI_*` variables, read once when an instrumentor is switched on.

- `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`: `NO_CONTENT` (the default), `SPAN_ONLY` (also `true`),
  `EVENT_ONLY`, `SPAN_AND_EVENT`.
- `OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT`: `true` or `false`; the default is whether events carry content.
- `SPANLEDGER_GENAI_METRICS`: names of the metrics: `latest` (the default), `released`, `both`.

A value that is none of these is one clear line in the log, and the default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from spanledger.invocation.faults import warn_once

CAPTURE_MESSAGE_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
EMIT_EVENT = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"
METRICS = "SPANLEDGER_GENAI_METRICS"

MetricNames = Literal["latest", "released", "both"]

_ON_SPAN_AND_EVENT = {
    "no_content": (False, False),
    "false": (False, False),
    "span_only": (True, False),
    "true": (True, False),  # what the documentation of several official instrumentors still tells users to set
    "event_only": (False, True),
    "span_and_event": (True, True),
}
_METRIC_NAMES: dict[str, MetricNames] = {"latest": "latest", "released": "released", "both": "both"}
_BOOLEANS = {"true": True, "false": False}

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """Where message content goes besides the hand-over, and which metric names are used."""

    content_on_span: bool = False
    content_on_event: bool = False
    emit_event: bool = False
    metric_names: MetricNames = "latest"


def read_settings(environment: Mapping[str, str] = os.environ) -> CaptureSettings:
    """Give the settings of `environment`; a wrong value is reported once and replaced by the default."""
    on_span, on_event = _choice(environment, CAPTURE_MESSAGE_CONTENT, _ON_SPAN_AND_EVENT, default="no_content")
    return CaptureSettings(
        content_on_span=on_span,
        content_on_event=on_event,
        emit_event=_choice(environment, EMIT_EVENT, _BOOLEANS, default=str(on_event).lower()),
        metric_names=_choice(environment, METRICS, _METRIC_NAMES, default="latest"),
    )


def _choice(environment: Mapping[str, str], name: str, choices: Mapping[str, Value], *, default: str) -> Value:
    given = environment.get(name, "").strip()
    chosen = choices.get(given.lower() or default)
    if chosen is not None:
        return chosen
    warn_once(f"expected {name} to be one of {', '.join(choices)}, got {given!r}; continuing with {default!r}")
    return choices[default]
