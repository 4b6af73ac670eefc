"""One event as people see it: an envelope, the row that holds it, and how far that row is secured.

Rules
- An intent row (`…:begin`) is folded into its completion; one without a completion is an event with outcome
  `incomplete`. A row that was delivered twice is one row. Two rows with different hashes are two, whatever they
  claim; so are a row and what claims its hash with other bytes (`altered`).
- Except what came over OTLP (`ingested`) for a span whose own process recorded its end (`captured`): it is named beside
  the process's row, as one event (adr/0011).
- Causal order: an event stands after the event that it ran inside of or is about, and else by its start. Clocks of
  several hosts may disagree; causes do not.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

BEGIN = ":begin"


@dataclass(frozen=True, slots=True)
class Event:
    """`chain` and `row_hash` are lower-case hex; `state` is recorded, stored, sealed, anchored or altered."""

    envelope: Mapping[str, Any]
    chain: str
    seq: int
    row_hash: str
    time_ns: int
    state: str = "stored"
    intent: Event | None = field(default=None, repr=False)
    received: tuple[Event, ...] = field(default=(), repr=False)

    @classmethod
    def from_row(cls, chain: str, seq: int, row_hash: str, time_ns: int, env: str | bytes) -> Event:
        """Parse a row; an envelope that is no JSON object is shown as event type `raw`."""
        try:
            envelope = orjson.loads(env)
        except orjson.JSONDecodeError:
            envelope = None
        if not isinstance(envelope, dict):
            envelope = {"event_type": "raw", "event_id": f"{chain}:{seq}"}
        return cls(envelope, chain, seq, row_hash, time_ns)

    @property
    def event_id(self) -> str:
        """The event's id, without the `:begin` of an intent row."""
        return self.text("event_id").removesuffix(BEGIN)

    @property
    def is_intent(self) -> bool:
        """True for a `…:begin` row."""
        return self.text("event_id").endswith(BEGIN)

    @property
    def event_type(self) -> str:
        """The envelope's event type."""
        return self.text("event_type")

    @property
    def outcome(self) -> str:
        """How it ended; `incomplete` for a begin without an end, empty where nothing can end."""
        return self.text("outcome") or ("incomplete" if self.is_intent else "")

    @property
    def start_ns(self) -> int:
        """When it started; the row's own time where the event does not say."""
        return _nanoseconds(self.at("time", "start")) or self.time_ns

    @property
    def end_ns(self) -> int:
        """When it ended; its start where it never did."""
        return _nanoseconds(self.at("time", "end")) or self.start_ns

    @property
    def start(self) -> datetime:
        """`start_ns` as a UTC datetime, to the microsecond."""
        return moment(self.start_ns)

    @property
    def duration_ms(self) -> float | None:
        """Duration in milliseconds; None where there is no end, or nothing that takes time."""
        if (
            self.at("time", "end") is None
            or self.is_intent
            or (self.end_ns == self.start_ns and not self.text("span_id"))
        ):
            return None
        return (self.end_ns - self.start_ns) / 1e6

    @property
    def cost_usd(self) -> Decimal | None:
        """Cost in US dollars; None when the price is unknown."""
        try:
            return Decimal(str(self.at("cost", "usd") or "x"))
        except InvalidOperation:
            return None

    @property
    def model(self) -> str:
        """The model that answered, or that was asked for."""
        return self.text("snapshot", "model") or self.text("snapshot", "model_requested")

    @property
    def parent_id(self) -> str:
        """Event id of what this ran inside of; empty for a root."""
        parent = self.text("parent_span_id")
        return f"{self.text('trace_id')}:{parent}" if parent else ""

    def at(self, *path: str) -> Any:
        """Return the envelope's value at `path`, or None."""
        value: Any = self.envelope
        for key in path:
            if not isinstance(value, Mapping):
                return None
            value = value.get(key)
        return value

    def text(self, *path: str) -> str:
        """Return the envelope's value at `path` as text; empty when there is none."""
        value = self.at(*path)
        return value if isinstance(value, str) else "" if value is None else str(value)

    def items(self) -> list[Mapping[str, Any]]:
        """Return every content reference of the event, input first."""
        lists = (self.at("input"), self.at("output"))
        return [item for items in lists if isinstance(items, list) for item in items if isinstance(item, Mapping)]

    def references(self) -> list[str]:
        """Return the references, in hex, of every content of the event."""
        named = [self.text("error", "message_ref"), self.text("attributes_ref"), self.text("attributes_ref", "ref")]
        found = [str(item.get("ref", "")) for item in self.items()] + named
        return [reference for reference in found if len(reference) == 64]

    def as_record(self) -> dict[str, Any]:
        """Return the envelope with `chain`, `seq`, `row_hash` and `state`, and where intent and received rows stand."""
        record = {**self.envelope, "event_id": self.event_id}
        if self.outcome:
            record["outcome"] = self.outcome
        record |= {"chain": self.chain, "seq": self.seq, "row_hash": self.row_hash, "state": self.state}
        if self.intent is not None:
            record["intent"] = self.intent.place
        if self.received:
            record["received"] = [event.place for event in self.received]
        return record

    @property
    def place(self) -> dict[str, Any]:
        """Chain, number and hash of the row."""
        return {"chain": self.chain, "seq": self.seq, "row_hash": self.row_hash}

    @property
    def is_received(self) -> bool:
        """True for what came over OTLP."""
        return self.text("capture", "tier") == "ingested"


def fold(events: Iterable[Event]) -> list[Event]:
    """Return one event per event: copies dropped, intents and received rows folded into what the process recorded."""
    rows = {(event.chain, event.seq, event.row_hash, event.state == "altered"): event for event in events}
    intents = {event.event_id: event for event in rows.values() if event.is_intent}
    ends = [event for event in rows.values() if not event.is_intent]
    completed = {event.event_id for event in ends}
    captured = {_owned_id(event) for event in ends if event.text("capture", "tier") == "captured"}
    received: dict[tuple[str, str], list[Event]] = {}
    for event in ends:
        if event.is_received and _owned_id(event) in captured:
            received.setdefault(_owned_id(event), []).append(event)
    return [
        _folded(event, intents.get(event.event_id), received.get(_owned_id(event), ()))
        for event in rows.values()
        if not (event.is_intent and event.event_id in completed)
        and not (event.is_received and _owned_id(event) in received)
    ]


def _owned_id(event: Event) -> tuple[str, str]:
    return event.text("tenant"), event.event_id


def _folded(event: Event, intent: Event | None, received: Sequence[Event]) -> Event:
    if event.is_intent or (intent is None and not received):
        return event
    return replace(event, intent=intent, received=tuple(received))


def in_causal_order(events: Sequence[Event]) -> list[Event]:
    """Return the events so that causes come first, and else by start."""
    indexes = {event.event_id: index for index, event in enumerate(events)}
    followers: dict[int, list[int]] = {}
    waiting = [0] * len(events)
    for index, event in enumerate(events):
        for cause in {event.parent_id, event.text("parent_event_id").removesuffix(BEGIN)}:
            before = indexes.get(cause)
            if before is not None and before != index:
                followers.setdefault(before, []).append(index)
                waiting[index] += 1
    ready = [(*_age(event), index) for index, event in enumerate(events) if not waiting[index]]
    heapq.heapify(ready)
    ordered: list[int] = []
    while ready:
        index = heapq.heappop(ready)[-1]
        ordered.append(index)
        for follower in followers.get(index, ()):
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(ready, (*_age(events[follower]), follower))
    in_circles = sorted(set(range(len(events))) - set(ordered), key=lambda index: _age(events[index]))
    return [events[index] for index in (*ordered, *in_circles)]


def depths(events: Sequence[Event]) -> dict[str, int]:
    """Return how deep each event lies inside others, by event id."""
    parents = {event.event_id: event.parent_id for event in events}
    found: dict[str, int] = {}
    for event_id in parents:
        depth, current, seen = 0, event_id, {event_id}
        while (current := parents.get(current, "")) in parents and current not in seen:
            seen.add(current)
            depth += 1
        found[event_id] = depth
    return found


def moment(time_ns: int) -> datetime:
    """Return Unix nanoseconds as a UTC datetime, cut to the microsecond."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000)
    except (OverflowError, ValueError, OSError):
        return datetime.max.replace(tzinfo=UTC)


def _age(event: Event) -> tuple[int, int, str, int]:
    return event.start_ns, event.time_ns, event.chain, event.seq


def _nanoseconds(value: Any) -> int:
    text = str(value) if value is not None else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
