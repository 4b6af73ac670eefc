"""Where the newest events stand that meet some criteria, page by page; a text is looked for in what they refer to.

Rules
- A search finds completions and unfinished intents; a completed intent is not found a second time, and a row that was
  delivered twice takes one place.
- Every answer is whole: what differs between the ways below is what they read, never what they find.
- A text stands in a stored plain content that the event refers to, in its name, or is its case or id. Case does not
  matter. Encrypted, withheld and erased contents cannot be searched.

Ways to look for a text, and the first that fits is taken
1. Few rows meet the other criteria (a case, an hour): the contents of these rows are read, and no others.
2. Few contents hold the text, and none of them is an artifact, which half of all rows may refer to: the index
   `by_reference` knows which rows do.
3. The text is common: from the newest row backwards, in windows that grow, until the page is full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from spanledger_exporter.read.criteria import Conditions, Criteria
from spanledger_exporter.read.event import BEGIN
from spanledger_exporter.store.connection import Store
from spanledger_exporter.store.tables import REFERENCES_SQL

FEW_ROWS: Final = 20_000
FEW_CONTENTS: Final = 255
"""What the engine's multi-search takes."""

WINDOW_ROWS: Final = 2_048
IDS_PER_QUERY: Final = 5_000

_COLUMNS = "toUnixTimestamp64Nano(time) AS start_ns, time_ns, lower(hex(chain_id)) AS chain, seq, event_id, trace_id"
_NEWEST = "ORDER BY time DESC, time_ns DESC, chain_id, seq DESC LIMIT {taken:UInt64}"
_NEWEST_OF_BOTH = "ORDER BY start_ns DESC, time_ns DESC, chain, seq DESC LIMIT {taken:UInt64}"
"""The same order by the names of `_COLUMNS`; by stored columns the engine sorts in half the time."""
_NAMED = "(positionCaseInsensitiveUTF8(name, {text:String}) > 0 OR case_id = {text:String} OR event_id = {text:String})"


AT_PLACES: Final = (
    "chain_id IN (SELECT toFixedString(unhex(c), 16) FROM (SELECT arrayJoin({chains:Array(String)}) AS c)) "
    "AND seq IN {seqs:Array(UInt64)}"
)
"""The condition of rows at some places, and at a few others: the sort key finds chains and numbers, not pairs."""


def at_places(places: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Return the parameters of `AT_PLACES` for chains (hex) and sequence numbers."""
    return {"chains": sorted({chain for chain, _ in places}), "seqs": sorted({seq for _, seq in places})}


@dataclass(frozen=True, slots=True)
class Place:
    """One row that meets the criteria. `chain` is lower-case hex, times are Unix nanoseconds."""

    start_ns: int
    time_ns: int
    chain: str
    seq: int
    event_id: str
    trace_id: str


Fetch = Callable[[int], list[Place]]
"""Returns up to that many places, newest first; fewer only when there are no more."""


def newest_places(store: Store, criteria: Criteria) -> list[Place]:
    """Return the places of the page that `criteria` ask for, newest first."""
    conditions = Conditions.of(criteria)
    if criteria.outcome == "incomplete":  # nearly every candidate would be a completed intent
        completed = (
            f"SELECT event_id FROM {store.database}.rows WHERE span_id != '' AND NOT endsWith(event_id, '{BEGIN}')"
        )
        base = f"substring(event_id, 1, length(event_id) - {len(BEGIN)})"
        conditions = conditions.also(f"(NOT endsWith(event_id, '{BEGIN}') OR {base} GLOBAL NOT IN ({completed}))")
    fetch = _text_fetch(store, criteria, conditions) if criteria.text else _fetch(store, conditions)
    wanted = criteria.offset + criteria.limit
    taken = 2 * wanted + 50  # half of the newest rows may be completed intents
    while True:
        candidates = fetch(taken)
        found = _without_completed(store, _without_copies(candidates), tenant=criteria.tenant)
        if len(found) >= wanted or len(candidates) < taken:
            return found[criteria.offset : wanted]
        taken *= 4


def _fetch(store: Store, conditions: Conditions) -> Fetch:
    def fetch(taken: int) -> list[Place]:
        sql = f"SELECT {_COLUMNS} FROM {store.database}.rows WHERE {conditions} {_NEWEST}"
        return _places(store, sql, conditions.parameters | {"taken": taken})

    return fetch


def _places(store: Store, sql: str, parameters: dict[str, Any]) -> list[Place]:
    return [Place(*row) for row in store.query(sql, parameters)]


def _without_copies(places: Sequence[Place]) -> list[Place]:
    return list({(place.chain, place.seq): place for place in places}.values())


def _without_completed(store: Store, places: Sequence[Place], *, tenant: str) -> list[Place]:
    """Return the places without the intents that have a completion somewhere."""
    begun = [place for place in places if place.event_id.endswith(BEGIN)]
    completed: set[str] = set()
    for start in range(0, len(begun), IDS_PER_QUERY):
        some = begun[start : start + IDS_PER_QUERY]
        condition = "AND tenant = {tenant:String}" if tenant else ""
        rows = store.query(
            # The index over traces spares most of the table.
            f"SELECT event_id FROM {store.database}.rows WHERE trace_id IN {{traces:Array(String)}} "
            f"AND event_id IN {{ids:Array(String)}} AND span_id != '' {condition}",
            {
                "traces": sorted({place.trace_id for place in some}),
                "ids": [place.event_id.removesuffix(BEGIN) for place in some],
                **({"tenant": tenant} if tenant else {}),
            },
        )
        completed.update(event_id + BEGIN for (event_id,) in rows)
    return [place for place in places if place.event_id not in completed]


def _text_fetch(store: Store, criteria: Criteria, conditions: Conditions) -> Fetch:
    texts = _Texts(store, criteria.text, criteria.tenant)
    if _is_few(store, conditions):
        return texts.within(conditions)
    references = texts.references()
    return texts.in_windows(conditions) if references is None else texts.at_references(conditions, references)


def _is_few(store: Store, conditions: Conditions) -> bool:
    sql = f"SELECT count() FROM (SELECT 1 FROM {store.database}.rows WHERE {conditions} LIMIT {FEW_ROWS + 1})"
    return bool(store.query(sql, conditions.parameters)[0][0] <= FEW_ROWS)


class _Texts:
    """Ways to find the rows that hold one text."""

    def __init__(self, store: Store, text: str, tenant: str) -> None:
        self.store = store
        of_tenant = "AND tenant = {text_tenant:String} " if tenant else ""
        # A quoted word or a line break stands escaped in a content that is JSON.
        patterns = [_pattern(text), _pattern(orjson.dumps(text).decode()[1:-1])]
        self._holds = f"key_id = '' {of_tenant}AND (lowerUTF8(data) LIKE lowerUTF8({{pattern:String}})" + (
            " OR lowerUTF8(data) LIKE lowerUTF8({escaped:String}))" if patterns[1] != patterns[0] else ")"
        )
        self.parameters: dict[str, Any] = {"text": text, "pattern": patterns[0], "escaped": patterns[1]}
        if tenant:
            self.parameters["text_tenant"] = tenant

    def references(self) -> list[str] | None:
        """Return the contents (hex) that hold the text; None when they are many, or shared by many rows."""
        rows = self.store.query(
            f"SELECT lower(hex(ref)), max(class = 'artifact') FROM {self.store.database}.content "
            f"WHERE {self._holds} GROUP BY ref LIMIT {FEW_CONTENTS + 1}",
            self.parameters,
        )
        is_common = len(rows) > FEW_CONTENTS or any(is_artifact for _, is_artifact in rows)
        return None if is_common else [reference for reference, _ in rows]

    def at_references(self, conditions: Conditions, references: list[str]) -> Fetch:
        """Return how to find the rows that refer to one of `references`, or are called like the text."""
        ways = [conditions.also(_NAMED)]
        if references:
            wanted = "{references:Array(String)}"
            ways.append(conditions.also(f"hasAny({REFERENCES_SQL}, {wanted})").also(f"multiSearchAny(env, {wanted})"))
        selects = [f"(SELECT {_COLUMNS} FROM {self.store.database}.rows WHERE {way} {_NEWEST})" for way in ways]

        def fetch(taken: int) -> list[Place]:
            sql = f"SELECT * FROM ({' UNION DISTINCT '.join(selects)}) {_NEWEST_OF_BOTH}"
            parameters = conditions.parameters | self.parameters | {"references": references, "taken": taken}
            return _places(self.store, sql, parameters)

        return fetch

    def within(self, conditions: Conditions) -> Fetch:
        """Return how to find the rows that hold the text among those that meet `conditions`."""
        rows, content = f"{self.store.database}.rows", f"{self.store.database}.content"
        of_rows = f"SELECT arrayJoin({REFERENCES_SQL}) AS reference FROM {rows} WHERE {conditions}"
        holding = (
            f"SELECT lower(hex(ref)) FROM {content} WHERE {self._holds} "
            f"AND ref GLOBAL IN (SELECT toFixedString(unhex(reference), 32) FROM ({of_rows}))"
        )
        referring = (
            f"SELECT chain_id, seq FROM (SELECT chain_id, seq, arrayJoin({REFERENCES_SQL}) AS reference FROM {rows} "
            f"WHERE {conditions}) WHERE reference GLOBAL IN ({holding})"
        )
        met = conditions.also(f"({_NAMED} OR (chain_id, seq) GLOBAL IN ({referring}))", **self.parameters)
        return _fetch(self.store, met)

    def in_windows(self, conditions: Conditions) -> Fetch:
        """Return how to find the newest rows that hold the text, window by window."""

        def fetch(taken: int) -> list[Place]:
            newest = _fetch(self.store, conditions)(WINDOW_ROWS)
            found = self._among(newest)
            if len(newest) < WINDOW_ROWS:
                return found[:taken]
            # Rows that started together may lie on both sides of the window's edge: the next window has them all.
            edge_ns = newest[-1].start_ns
            found = [place for place in found if place.start_ns > edge_ns]
            size, before = WINDOW_ROWS * 4, conditions.also(_BEFORE, before=edge_ns + 1)
            while len(found) < taken:
                first_ns = self._start_of_window(before, size)
                window = before if first_ns is None else before.also(_FROM, first=first_ns)
                found += self.within(window)(taken - len(found))
                if first_ns is None:
                    break
                before, size = conditions.also(_BEFORE, before=first_ns), size * 4
            return found[:taken]

        return fetch

    def _among(self, places: Sequence[Place]) -> list[Place]:
        """Return those of a few thousand places whose rows hold the text, by looking at nothing else."""
        if not places:
            return []
        rows = self.store.query(
            f"SELECT lower(hex(chain_id)), seq, {_NAMED}, {REFERENCES_SQL} FROM {self.store.database}.rows "
            f"WHERE {AT_PLACES}",
            self.parameters | at_places([(place.chain, place.seq) for place in places]),
        )
        wanted = {reference for *_, references in rows for reference in references if len(reference) == 64}
        holding = {
            reference
            for (reference,) in self.store.query(
                f"SELECT lower(hex(ref)) FROM {self.store.database}.content WHERE {self._holds} AND ref IN "
                "(SELECT toFixedString(unhex(r), 32) FROM (SELECT arrayJoin({references:Array(String)}) AS r))",
                self.parameters | {"references": sorted(wanted)},
            )
        }
        found = {(chain, seq) for chain, seq, named, references in rows if named or not holding.isdisjoint(references)}
        return [place for place in places if (place.chain, place.seq) in found]

    def _start_of_window(self, conditions: Conditions, size: int) -> int | None:
        """Return when the row `size` places back started; None when there are fewer rows."""
        rows = self.store.query(
            f"SELECT toUnixTimestamp64Nano(time) FROM {self.store.database}.rows WHERE {conditions} "
            "ORDER BY time DESC LIMIT 1 OFFSET {size:UInt64}",
            conditions.parameters | {"size": size},
        )
        return int(rows[0][0]) if rows else None


_FROM: Final = "time >= fromUnixTimestamp64Nano({first:Int64})"
_BEFORE: Final = "time < fromUnixTimestamp64Nano({before:Int64})"


def _pattern(text: str) -> str:
    """Return the LIKE pattern for a text that stands anywhere."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
