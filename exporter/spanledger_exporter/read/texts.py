"""Finding rows by a text in what they refer to.

Rules
- Every answer is whole: what differs between the ways below is what they read, never what they find.
- A text stands in a stored plain content that the event refers to, in its name, or is its case or id. Case does not
  matter. Encrypted, withheld and erased contents cannot be searched.

Ways to look for a text, and the first that fits is taken
1. Few rows meet the other criteria (a case, an hour): the contents of these rows are read, and no others. Where there
   are no other criteria it is not asked.
2. Few contents hold the text, and none of them is an artifact, which half of all rows may refer to: the index
   `by_reference` knows which rows do.
3. The text is common: from the newest row backwards, in windows that grow, until the page is full.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

from spanledger_exporter.read.at_once import at_once
from spanledger_exporter.read.criteria import Conditions, Criteria
from spanledger_exporter.read.places import AT_PLACES, BEFORE_TIME, FROM_TIME, Fetch, Place, Rows, at_places
from spanledger_exporter.store.connection import Store
from spanledger_exporter.store.tables import REFERENCES_SQL

FEW_ROWS: Final = 20_000
FEW_CONTENTS: Final = 255
"""What the engine's multi-search takes."""

WINDOW_ROWS: Final = 512
"""Rows of the first window: a text that a tenth of all rows hold fills a page from them."""

_CALLED: Final = "positionCaseInsensitiveUTF8(name, {text:String}) > 0"
_NAMED: Final = f"({_CALLED} OR case_id = {{text:String}} OR event_id = {{text:String}})"


def text_fetch(rows: Rows, criteria: Criteria, conditions: Conditions) -> Fetch:
    """Return how to find the rows that meet `conditions` and hold the text of `criteria`."""
    texts = _Texts(rows, criteria.text, criteria.tenant)
    if criteria.is_narrow and _is_few(rows, conditions):
        return texts.within(conditions)
    references = texts.references()
    return texts.in_windows(conditions) if references is None else texts.at_references(conditions, references)


def _is_few(rows: Rows, conditions: Conditions) -> bool:
    sql = f"SELECT count() FROM (SELECT 1 FROM {rows.table} WHERE {conditions} LIMIT {FEW_ROWS + 1})"
    return bool(rows.store.query(sql, conditions.parameters)[0][0] <= FEW_ROWS)


class _Texts:
    """Ways to find the rows that hold one text."""

    def __init__(self, rows: Rows, text: str, tenant: str) -> None:
        self.rows, self.store = rows, rows.store
        self._content = f"{rows.store.database}.content"
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
        # DISTINCT stops at its limit, GROUP BY reads everything. A content may stand twice, as two classes.
        rows = self.store.query(
            f"SELECT DISTINCT lower(hex(ref)), class = 'artifact' FROM {self._content} "
            f"WHERE {self._holds} LIMIT {2 * FEW_CONTENTS + 1}",
            self.parameters,
        )
        found = sorted({reference for reference, _ in rows})
        is_common = len(found) > FEW_CONTENTS or any(is_artifact for _, is_artifact in rows)
        return None if is_common else found

    def at_references(self, conditions: Conditions, references: list[str]) -> Fetch:
        """Return how to find the rows that refer to one of `references`, or are called like the text."""
        ways = self._ways_by_name(conditions)
        if references:
            wanted = "{references:Array(String)}"
            of_references = f"multiSearchAny(env, {wanted}) AND hasAny({REFERENCES_SQL}, {wanted})"
            ways.append(conditions.also(of_references, references=references))
        return self.rows.fetch(*ways)

    def _ways_by_name(self, conditions: Conditions) -> list[Conditions]:
        """Return the parts of `_NAMED` one by one: joined by OR they would cost the reading of three columns."""
        is_called, may_be_id = at_once(self.store, self._is_called, self._may_be_id)
        ways = [conditions.also("case_id = {text:String}", **self.parameters)]
        if is_called:
            names = f"SELECT DISTINCT name FROM {self.rows.table} WHERE {_CALLED}"
            ways.append(conditions.also(f"name GLOBAL IN ({names})", **self.parameters))
        if may_be_id:
            ways.append(conditions.also("event_id = {text:String}", **self.parameters))
        return ways

    def _is_called(self, store: Store) -> bool:
        """Say whether any row is called like the text: planning a way that leads nowhere costs as much as asking."""
        return bool(store.query(f"SELECT 1 FROM {self.rows.table} WHERE {_CALLED} LIMIT 1", self.parameters))

    def _may_be_id(self, store: Store) -> bool:
        """Say whether an id is as long as the text: lengths cost a quarter of what ids do."""
        sql = f"SELECT 1 FROM {self.rows.table} WHERE length(event_id) = length({{text:String}}) LIMIT 1"
        return bool(store.query(sql, self.parameters))

    def within(self, conditions: Conditions) -> Fetch:
        """Return how to find the rows that hold the text among those that meet `conditions`."""
        of_rows = f"SELECT arrayJoin({REFERENCES_SQL}) AS reference FROM {self.rows.table} WHERE {conditions}"
        holding = (
            f"SELECT lower(hex(ref)) FROM {self._content} WHERE {self._holds} "
            f"AND ref GLOBAL IN (SELECT toFixedString(unhex(reference), 32) FROM ({of_rows}))"
        )
        referring = (
            f"SELECT chain_id, seq FROM (SELECT chain_id, seq, arrayJoin({REFERENCES_SQL}) AS reference "
            f"FROM {self.rows.table} WHERE {conditions}) WHERE reference GLOBAL IN ({holding})"
        )
        return self.rows.fetch(
            conditions.also(f"({_NAMED} OR (chain_id, seq) GLOBAL IN ({referring}))", **self.parameters)
        )

    def in_windows(self, conditions: Conditions) -> Fetch:
        """Return how to find the newest rows that hold the text, window by window."""

        def fetch(taken: int) -> list[Place]:
            newest = self.rows.newest(conditions, taken=WINDOW_ROWS)
            found = self._among(newest)
            if len(newest) < WINDOW_ROWS:
                return found[:taken]
            # Rows that started together may lie on both sides of the window's edge: the next window has them all.
            edge_ns = newest[-1].start_ns
            found = [place for place in found if place.start_ns > edge_ns]
            size, before = WINDOW_ROWS * 4, conditions.also(BEFORE_TIME, before=edge_ns + 1)
            while len(found) < taken:
                first_ns = self.rows.start_of_window(before, size)
                window = before if first_ns is None else before.also(FROM_TIME, first=first_ns)
                found += self.within(window)(taken - len(found))
                if first_ns is None:
                    break
                before, size = conditions.also(BEFORE_TIME, before=first_ns), size * 4
            return found[:taken]

        return fetch

    def _among(self, places: Sequence[Place]) -> list[Place]:
        """Return those of a few hundred places whose rows hold the text, by looking at nothing else."""
        if not places:
            return []
        rows = self.store.query(
            f"SELECT lower(hex(chain_id)), seq, {_NAMED}, {REFERENCES_SQL} FROM {self.rows.table} WHERE {AT_PLACES}",
            self.parameters | at_places([(place.chain, place.seq) for place in places]),
        )
        wanted = {reference for *_, references in rows for reference in references if len(reference) == 64}
        holding = {
            reference
            for (reference,) in self.store.query(
                f"SELECT lower(hex(ref)) FROM {self._content} WHERE {self._holds} AND ref IN "
                "(SELECT toFixedString(unhex(r), 32) FROM (SELECT arrayJoin({references:Array(String)}) AS r))",
                self.parameters | {"references": sorted(wanted)},
            )
        }
        found = {(chain, seq) for chain, seq, named, references in rows if named or not holding.isdisjoint(references)}
        return [place for place in places if (place.chain, place.seq) in found]


def _pattern(text: str) -> str:
    """Return the LIKE pattern for a text that stands anywhere."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
