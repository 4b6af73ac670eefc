"""What other instrumentations say, read as if we had said it: any emitter's span to the neutral call records.

    reading = read_span(facts)      # None: no dialect that we know, a plain span
    reading.request, reading.result # the same records that our own instrumentors hand over
    reading.attributes              # everything else, so that nothing is dropped

Rules
- A dialect rewrites the span's attributes to the newest GenAI conventions; one reader takes it from there.
- What a dialect does not understand stays in `reading.attributes` and `reading.events`, unchanged.
- Numbers are taken as they were reported. A dialect never counts, sums up or guesses.
- Pure functions: values in, values out; malformed values stay where they were and never raise.
"""

from __future__ import annotations

from spanledger_exporter.normalise.dialects import (
    anthropic_native,
    deprecated_gen_ai,
    logfire,
    openinference,
    openlit,
    openllmetry,
)
from spanledger_exporter.normalise.dialects.gen_ai import read_gen_ai
from spanledger_exporter.normalise.dialects.span_facts import Reading, SpanEvent, SpanFacts

__all__ = ["Reading", "SpanEvent", "SpanFacts", "dialect_of", "is_dialect_key", "read_span"]

_REWRITES = {
    "anthropic": anthropic_native.rewrite,
    "openinference": openinference.rewrite,
    "logfire": logfire.rewrite,
    "openlit": openlit.rewrite,
    "openllmetry": openllmetry.rewrite,
    "gen_ai_deprecated": deprecated_gen_ai.rewrite,
}
_RECOGNISERS = {
    "anthropic": anthropic_native.recognises,
    "openinference": openinference.recognises,
    "logfire": logfire.recognises,
    "openlit": openlit.recognises,
    "openllmetry": openllmetry.recognises,
    "gen_ai_deprecated": deprecated_gen_ai.recognises,
}
_CURRENT_PREFIXES = ("gen_ai.", "mcp.", "spanledger.")
_DIALECT_PREFIXES = (*_CURRENT_PREFIXES, "openinference.", "llm.", "traceloop.", "embedding.", "retrieval.")


def dialect_of(facts: SpanFacts) -> str | None:
    """Return the name of the dialect that a span speaks, or None for a span that is not about AI calls."""
    for name, recognises in _RECOGNISERS.items():
        if recognises(facts):
            return name
    if facts.scope.startswith("spanledger"):
        return "spanledger"
    return "gen_ai" if any(key.startswith(_CURRENT_PREFIXES) for key in facts.attributes) else None


def is_dialect_key(key: str) -> bool:
    """Say whether an attribute of this name makes its span worth an audit row."""
    return key.startswith(_DIALECT_PREFIXES)


def read_span(facts: SpanFacts) -> Reading | None:
    """Return the call that a span describes, or None when it speaks no dialect that we know."""
    dialect = dialect_of(facts)
    if dialect is None:
        return None
    attributes, events = dict(facts.attributes), list(facts.events)
    rewrite = _REWRITES.get(dialect)
    if rewrite is not None:
        rewrite(facts, attributes, events)
    return read_gen_ai(facts, dialect=dialect, attributes=attributes, events=events)
