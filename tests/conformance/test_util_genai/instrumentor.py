"""Switches an instrumentor on for the length of a block."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


@contextmanager
def instrument(
    instrumentor: Any, *, content_capture: str | None = None, emit_event: bool | None = None, **providers: Any
) -> Generator[Any]:
    """Instrument with the given providers and content mode, and undo both afterwards.

    `emit_event` says what the content mode says already.
    """
    del emit_event
    before = os.environ.pop(_CONTENT, None)
    if content_capture is not None:
        os.environ[_CONTENT] = content_capture
    instrumentor.instrument(**providers)
    try:
        yield instrumentor
    finally:
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()
        os.environ.pop(_CONTENT, None)
        if before is not None:
            os.environ[_CONTENT] = before
