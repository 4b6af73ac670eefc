"""Exactly one usage-bearing span per call, whoever else watches the same client.

| who | what happens |
|---|---|
| suppressed instrumentation (`suppress_instrumentation`) | we record nothing |
| our own call, whose method calls another observed one | the outer call is recorded |
| our own call, and code of the application that runs inside it: a signal handler, a finaliser, an HTTP hook | both |
| an outer opentelemetry-util-genai span that says it records the call | we record nothing |
| an instrumentation of that family below us | our context tells it that the call is recorded |
| another instrumentation that listens to neither | we step aside and say once which variable disables it |
| HTTP instrumentation | its spans are children of ours and carry no usage |
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,  # pyright: ignore[reportPrivateUsage]  # instrumentation-utils reads the same one
    Context,
)

from spanledger.invocation.call_site import is_made_by_library
from spanledger.invocation.faults import warn_once

DISABLED_INSTRUMENTATIONS = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"

_UTIL_GENAI_INFERENCE = "opentelemetry.genai.client.inference.context"
_UTIL_GENAI_EMBEDDING = "opentelemetry.genai.client.embedding.context"
_UTIL_GENAI_FETCH = "opentelemetry.genai.client.fetch_response.context"
_TRACELOOP = "suppress_language_model_instrumentation"
_OURS = "spanledger-markers"
"""Key in the context of a call of ours under which its markers are found: other values are somebody else's."""

_UTIL_GENAI_DATA = {
    _UTIL_GENAI_INFERENCE: ("opentelemetry.util.genai._inference_invocation", "InferenceData"),
    _UTIL_GENAI_EMBEDDING: ("opentelemetry.util.genai._embedding_invocation", "EmbeddingData"),
    _UTIL_GENAI_FETCH: ("opentelemetry.util.genai._fetch_response_invocation", "FetchResponseData"),
}


def nested_markers() -> Mapping[str, object]:
    """Give the context entries that tell instrumentations below us that the call is recorded already.

    opentelemetry-util-genai believes only an object of its own class, into which it writes what it saw (and, by
    default, no content); nobody reads it.
    """
    markers: dict[str, object] = {_TRACELOOP: True}
    for key, (module, name) in _UTIL_GENAI_DATA.items():
        try:
            markers[key] = getattr(sys.modules[module], name)()
        except Exception:  # not imported, or of a version that we do not know: then nobody asks for its class
            markers[key] = True
    markers[_OURS] = dict(markers)
    return markers


_SUPPRESSING = frozenset(
    {
        _SUPPRESS_INSTRUMENTATION_KEY,
        "suppress_instrumentation",
        _UTIL_GENAI_INFERENCE,
        _UTIL_GENAI_EMBEDDING,
        _UTIL_GENAI_FETCH,
        _TRACELOOP,
    }
)


def is_recorded_elsewhere(context: Context) -> bool:
    """Whether somebody further out records the call, or wants nothing recorded."""
    if not context:
        return False
    # Most contexts hold a span and little else: look for our few keys in one step before looking at their values.
    return not _SUPPRESSING.isdisjoint(context) and any(context.get(key) for key in _SUPPRESSING)


def is_another_call(context: Context, inside: tuple[str, ...]) -> bool:
    """Whether `context` is that of a call of ours, and the call that starts now is not a part of it.

    Code of the application runs in the context of a call that it interrupts, or that calls it back; and an exception
    thrown into a thread can leave that context behind for good. `inside` is what `modules_inside` gave.
    """
    ours: Any = context.get(_OURS)
    if ours is None or any(context.get(key) and context[key] is not ours.get(key) for key in _SUPPRESSING):
        return False
    return not is_made_by_library(inside)


@dataclass(frozen=True, slots=True)
class Rival:
    """Another instrumentation of the same client.

    `module` and `instrumentor` say where its `BaseInstrumentor` lives, `entry_point` what disables it;
    `listens` is whether it honours one of the markers above.
    """

    module: str
    instrumentor: str
    entry_point: str
    listens: bool

    def is_active(self) -> bool:
        """Whether it is imported and switched on; an import is never caused by asking."""
        module = sys.modules.get(self.module)
        kind = getattr(module, self.instrumentor, None)
        instance = getattr(kind, "_instance", None)
        return bool(getattr(instance, "_is_instrumented_by_opentelemetry", False))


def must_step_aside(rivals: tuple[Rival, ...], ours: str) -> bool:
    """Warn once about each active rival; True when one of them cannot be told that we record the call."""
    active = [rival for rival in rivals if rival.is_active()]
    for rival in active:
        what_happens = (
            f"calls are recorded once, by whichever of the two is outermost; set {DISABLED_INSTRUMENTATIONS}="
            f"{rival.entry_point} or ={ours} to choose"
            if rival.listens
            else f"{ours} steps aside so that each call is counted once; set {DISABLED_INSTRUMENTATIONS}="
            f"{rival.entry_point} to have {ours} record it in full"
        )
        warn_once(f"{rival.module} also instruments this client: {what_happens}")
    return any(not rival.listens for rival in active)
