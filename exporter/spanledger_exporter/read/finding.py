"""Finding events in the store: by case, by trace, by id, by criteria, by text.

Rules
- `tenant`, where given, limits every query; nothing of another tenant is read.
- Values travel as bound parameters, never inside the SQL.
- A search finds completions and unfinished intents; a completed intent is not found a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spanledger_exporter.errors import UsageError
from spanledger_exporter.read.event import BEGIN, Event, fold, in_causal_order
from spanledger_exporter.read.states import load_coverage
from spanledger_exporter.store.connection import Store
from spanledger_semconv.events import HOUSEKEEPING

DEFAULT_LIMIT = 100
MAX_TEXT_MATCHES = 2_000
"""Contents that one text search follows back to their events; a search that finds more is told to narrow down."""

MAX_NEEDLES = 255
"""What the engine's multi-search takes; it scans envelopes several times faster than taking their references apart."""

_COLUMNS = "lower(hex(chain_id)), seq, lower(hex(row_hash)), time_ns, env"
_ONCE = "LIMIT 1 BY chain_id, seq, row_hash"


@dataclass(frozen=True, slots=True)
class Criteria:
    """What to look for; an empty value does not limit. Times are Unix nanoseconds, `until_ns` is exclusive."""

    since_ns: int | None = None
    until_ns: int | None = None
    event_type: str = ""
    model: str = ""
    actor: str = ""
    reviewer: str = ""
    case_id: str = ""
    outcome: str = ""
    text: str = ""
    tenant: str = ""
    with_housekeeping: bool = True
    limit: int = DEFAULT_LIMIT
    offset: int = 0


def find_case(store: Store, case_id: str, *, tenant: str = "") -> list[Event]:
    """Return a case in causal order: its events, and what its traces did without naming any case."""
    traces = f"SELECT trace_id FROM {store.database}.rows WHERE case_id = {{case:String}} AND trace_id != ''"
    where = f"case_id = {{case:String}} OR (case_id = '' AND trace_id IN ({traces}))"
    return _ordered(store, _about(store, where, {"case": case_id}, tenant=tenant))


def find_trace(store: Store, trace_id: str, *, tenant: str = "") -> list[Event]:
    """Return a trace in causal order, with what people recorded about its events."""
    return _ordered(store, _about(store, "trace_id = {trace:String}", {"trace": trace_id.lower()}, tenant=tenant))


def find_event(store: Store, event_id: str, *, tenant: str = "") -> list[Event]:
    """Return the rows of one event; more than one means that several rows claim the id."""
    parameters: dict[str, Any] = {"ids": [event_id.removesuffix(BEGIN), event_id.removesuffix(BEGIN) + BEGIN]}
    found = _rows(store, "event_id IN {ids:Array(String)}", parameters, tenant=tenant)
    return _ordered(store, found)


def find_row(store: Store, chain: str, seq: int, *, tenant: str = "") -> list[Event]:
    """Return the event at a place of a chain (hex)."""
    parameters = {"chain": chain.lower(), "seq": seq}
    where = "chain_id = toFixedString(unhex({chain:String}), 16) AND seq = {seq:UInt64}"
    found = _rows(store, where, parameters, tenant=tenant)
    return _ordered(store, found)


def search(store: Store, criteria: Criteria) -> list[Event]:
    """Return the newest events that meet all criteria, newest first."""
    conditions = _Conditions()
    conditions.add_criteria(criteria)
    if criteria.text:
        conditions.add_text(criteria.text, _references_to_text(store, criteria.text, tenant=criteria.tenant))
    conditions.add(
        f"(NOT endsWith(event_id, '{BEGIN}') OR substring(event_id, 1, length(event_id) - {len(BEGIN)}) NOT IN "
        f"(SELECT event_id FROM {store.database}.rows WHERE span_id != '' AND NOT endsWith(event_id, '{BEGIN}')))"
    )
    # Two steps: the narrow columns find the places, then only those rows' envelopes are read. Copies of a row take a
    # place each here and are folded below: a LIMIT BY would make the engine sort everything instead of the newest few.
    places = store.query(
        f"SELECT chain_id, seq FROM {store.database}.rows WHERE {conditions} "
        "ORDER BY time DESC, time_ns DESC, chain_id, seq DESC LIMIT {limit:UInt64} OFFSET {offset:UInt64}",
        {**conditions.parameters, "limit": criteria.limit, "offset": criteria.offset},
    )
    events = fold(_rows_at(store, places, tenant=criteria.tenant))
    marked = load_coverage(store, {event.chain for event in events}).mark(events)
    return sorted(marked, key=lambda event: (event.start_ns, event.time_ns, event.seq), reverse=True)


def conditions_of(criteria: Criteria) -> tuple[str, dict[str, Any]]:
    """Return the SQL condition on `rows` for everything but the text, and its parameters."""
    conditions = _Conditions()
    conditions.add_criteria(criteria)
    return str(conditions), conditions.parameters


class _Conditions:
    """SQL conditions joined by AND, with their bound parameters."""

    _REVIEWER = (
        "(actor_id = {reviewer:String} OR JSONExtractString(env, 'review', 'reviewer', 'id') = {reviewer:String})"
    )
    _NAMED = (
        "positionCaseInsensitiveUTF8(name, {text:String}) > 0 OR case_id = {text:String} OR event_id = {text:String}"
    )
    _REFERENCES = 'extractAll(env, \'"(?:ref|message_ref|attributes_ref)":"([0-9a-f]{64})"\')'

    def __init__(self) -> None:
        self._conditions: list[str] = []
        self.parameters: dict[str, Any] = {}

    def __str__(self) -> str:
        return " AND ".join(self._conditions) or "1"

    def add(self, condition: str, **parameters: Any) -> None:
        """Add a condition, unless one of its parameters is empty."""
        if all(value not in (None, "") for value in parameters.values()):
            self._conditions.append(condition)
            self.parameters.update(parameters)

    def add_criteria(self, criteria: Criteria) -> None:
        """Add everything except the text."""
        self.add("tenant = {tenant:String}", tenant=criteria.tenant)
        self.add("time >= fromUnixTimestamp64Nano({since:Int64})", since=criteria.since_ns)
        self.add("time < fromUnixTimestamp64Nano({until:Int64})", until=criteria.until_ns)
        self.add("event_type = {event_type:String}", event_type=criteria.event_type)
        self.add("(model = {model:String} OR model_requested = {model:String})", model=criteria.model)
        self.add("actor_id = {actor:String}", actor=criteria.actor)
        self.add(f"event_type = 'human_review' AND {self._REVIEWER}", reviewer=criteria.reviewer)
        self.add("case_id = {case:String}", case=criteria.case_id)
        if not criteria.with_housekeeping:
            self.add("event_type NOT IN {housekeeping:Array(String)}", housekeeping=sorted(HOUSEKEEPING))
        if criteria.outcome == "incomplete":
            self.add(f"(outcome = 'incomplete' OR endsWith(event_id, '{BEGIN}'))")
        else:
            self.add("outcome = {outcome:String}", outcome=criteria.outcome)

    def add_text(self, text: str, references: Sequence[str]) -> None:
        """Add that the event is called like `text`, or refers to one of the contents that hold it."""
        if references:
            wanted = "{references:Array(String)}"
            is_few = len(references) <= MAX_NEEDLES
            holds = f"multiSearchAny(env, {wanted})" if is_few else f"hasAny({self._REFERENCES}, {wanted})"
            self.add(f"({self._NAMED} OR {holds})", text=text, references=list(references))
        else:
            self.add(f"({self._NAMED})", text=text)


def _references_to_text(store: Store, text: str, *, tenant: str) -> list[str]:
    """Return the references (hex) of stored contents that contain `text`; encrypted ones cannot be searched."""
    condition, parameters = _of_tenant(tenant)
    rows = store.query(
        f"SELECT DISTINCT lower(hex(ref)) FROM {store.database}.content WHERE key_id = '' {condition}"
        "AND positionCaseInsensitiveUTF8(data, {text:String}) > 0 "
        f"LIMIT {MAX_TEXT_MATCHES + 1}",
        {**parameters, "text": text},
    )
    if len(rows) > MAX_TEXT_MATCHES:
        raise UsageError(f"expected a text that at most {MAX_TEXT_MATCHES:,} contents hold, got more: use rarer words")
    return [row[0] for row in rows]


def _about(store: Store, where: str, parameters: dict[str, Any], *, tenant: str) -> list[Event]:
    """Return the rows that meet `where`, and the rows that name one of them as what they are about."""
    found = _rows(store, where, parameters, tenant=tenant)
    ids = sorted({event.event_id for event in found})
    if not ids:
        return found
    return found + _rows(store, "parent_event_id IN {ids:Array(String)}", {"ids": ids}, tenant=tenant)


def _rows(store: Store, where: str, parameters: dict[str, Any], *, tenant: str) -> list[Event]:
    condition, values = _of_tenant(tenant)
    rows = store.query(
        f"SELECT {_COLUMNS} FROM {store.database}.rows WHERE ({where}) {condition}{_ONCE}", {**parameters, **values}
    )
    return [Event.from_row(*row) for row in rows]


def _rows_at(store: Store, places: Sequence[tuple[Any, ...]], *, tenant: str) -> list[Event]:
    """Return the rows at places of chains; an intent's completion is not looked for."""
    if not places:
        return []
    parameters = {
        "chains": sorted({place[0].hex() for place in places}),
        "seqs": sorted({place[1] for place in places}),
    }
    chains = "SELECT toFixedString(unhex(c), 16) FROM (SELECT arrayJoin({chains:Array(String)}) AS c)"
    where = f"chain_id IN ({chains}) AND seq IN {{seqs:Array(UInt64)}}"
    wanted = {(place[0].hex(), place[1]) for place in places}
    return [event for event in _rows(store, where, parameters, tenant=tenant) if (event.chain, event.seq) in wanted]


def _of_tenant(tenant: str) -> tuple[str, dict[str, Any]]:
    return ("AND tenant = {tenant:String} ", {"tenant": tenant}) if tenant else ("", {})


def _ordered(store: Store, events: Sequence[Event]) -> list[Event]:
    folded = fold(events)
    coverage = load_coverage(store, {event.chain for event in folded})
    return in_causal_order(coverage.mark(folded))
