"""Everything a span says that has no field of its own in the envelope: nothing silently disappears.

- Attributes on the clear list (`semconv`'s, and `SPANLEDGER_CLEAR_ATTRIBUTES`) stay in the envelope (`attributes`).
- Every other attribute, event and link goes into one JSON document of class `payload`, referred to by
  `attributes_ref`, so that nothing personal is frozen into the hashed row.
- What the SDK itself dropped or cut (span limits) is counted in `capture.dropped`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.trace import Link

from spanledger_exporter.normalise.context import FOREIGN_KEYS, IDENTITY_KEYS
from spanledger_exporter.normalise.dialects import SpanEvent
from spanledger_exporter.normalise.parts import Parts
from spanledger_exporter.normalise.shared_fields import Values, values_of
from spanledger_exporter.normalise.snapshot import SNAPSHOT_KEYS
from spanledger_semconv import attributes as keys
from spanledger_semconv.bodies import is_consumed

_ELSEWHERE: Final = (
    SNAPSHOT_KEYS
    | FOREIGN_KEYS
    | IDENTITY_KEYS
    | {
        keys.GEN_AI_OPERATION_NAME,
        keys.GEN_AI_RESPONSE_FINISH_REASONS,
        keys.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK,
        keys.SPANLEDGER_EVENT_TYPE,
        keys.SPANLEDGER_EVENT_OUTCOME,
        keys.SPANLEDGER_PARENT_EVENT_ID,
        keys.SPANLEDGER_ATTEMPT,
        keys.SPANLEDGER_IDEMPOTENCY_KEY,
        keys.SPANLEDGER_CONFIDENCE,
        keys.SPANLEDGER_COST_USD,
        keys.SPANLEDGER_COST_INPUT_USD,
        keys.SPANLEDGER_COST_OUTPUT_USD,
        keys.SPANLEDGER_COST_PRICE_SOURCE,
        keys.SPANLEDGER_COST_PRICE_VERSION,
        keys.SPANLEDGER_USAGE_SOURCE,
        keys.ERROR_TYPE,
    }
)
_OF_THE_RESULT: Final = frozenset(
    {
        keys.GEN_AI_RESPONSE_MODEL,
        keys.GEN_AI_RESPONSE_FINISH_REASONS,
        keys.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK,
        keys.ERROR_TYPE,
        keys.SPANLEDGER_EVENT_OUTCOME,
    }
)
_KEPT_TWICE: Final = frozenset({keys.GEN_AI_AGENT_NAME, keys.GEN_AI_AGENT_VERSION, keys.GEN_AI_CONVERSATION_ID})
"""Keys with a field of their own that readers and dashboards also look for under `attributes`."""


@dataclass(frozen=True, slots=True)
class Places:
    """Which attributes stay clear, which go by reference, and which have a field in what both rows of a span share."""

    clear: tuple[str, ...]
    other: tuple[str, ...]
    clear_values: Values
    other_values: Values
    base_values: Values

    def same_in_base(self, attributes: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
        """Say whether a span has learned nothing since `before` that what its rows share is made of."""
        try:
            return self.base_values(attributes) == self.base_values(before)
        except KeyError:
            return False


@dataclass(frozen=True, slots=True)
class ClearList:
    """Decides where an attribute goes; the decision is remembered per key."""

    keys: frozenset[str] = keys.CLEAR
    _places: dict[str, str] = field(default_factory=dict)
    _sorted: dict[tuple[str, ...], Places] = field(default_factory=dict)

    def place(self, key: str) -> str:
        """Return `elsewhere` (it has a field of its own), `clear` or `reference`."""
        place = self._places.get(key)
        if place is None:
            place = self._decide(key)
            if len(self._places) < MAX_REMEMBERED:
                self._places[key] = place
        return place

    def sorted_keys(self, names: tuple[str, ...], consumed: frozenset[str]) -> Places:
        """Return where attributes of these names go; calls of one kind have the same names."""
        known = self._sorted.get(names)
        if known is None:
            left = [name for name in names if name not in consumed]
            clear = tuple(name for name in left if self.place(name) == "clear")
            other = tuple(name for name in left if self.place(name) == "reference")
            in_base = tuple(name for name in names if self.place(name) == "elsewhere" and name not in _OF_THE_RESULT)
            known = Places(clear, other, values_of(clear), values_of(other), values_of(in_base))
            if len(self._sorted) < MAX_REMEMBERED:
                self._sorted[names] = known
        return known

    def _decide(self, key: str) -> str:
        has_field = key in _ELSEWHERE or key.startswith("gen_ai.request.") or is_consumed(key)
        if has_field and key not in _KEPT_TWICE:
            return "elsewhere"
        return "clear" if key in self.keys else "reference"


MAX_REMEMBERED: Final = 4096


def sort_attributes(places: Places, attributes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what of `attributes` stays clear, and what goes by reference."""
    clear = dict(zip(places.clear, places.clear_values(attributes), strict=True))
    other = dict(zip(places.other, places.other_values(attributes), strict=True)) if places.other else {}
    return clear, other


def reference_remainder(
    parts: Parts, other: Mapping[str, Any], events: Sequence[SpanEvent], links: Sequence[Link]
) -> str | None:
    """Store what has no field as one document and return its reference in hex; None when there is nothing."""
    document: dict[str, Any] = {}
    if other:
        document["attributes"] = dict(other)
    if events:
        document["events"] = [_event(event) for event in events]
    if links:
        document["links"] = [_link(link) for link in links]
    items = parts.document(document, "attributes") if document else []
    return items[0]["ref"] if items else None


def _event(event: SpanEvent) -> dict[str, Any]:
    return {"name": event.name, "time": str(event.time_ns), "attributes": dict(event.attributes)}


def _link(link: Link) -> dict[str, Any]:
    context = link.context
    ids = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    return {**ids, "attributes": dict(link.attributes or {})}
