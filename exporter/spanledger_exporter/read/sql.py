"""People's own SQL, read-only.

Rules
- One statement that selects, describes or explains; everything else is refused before the engine sees it.
- What a query reads from is judged by the engine's own parser (`EXPLAIN AST`), so that no quoting or comment hides it:
  tables, views, and table functions that make rows of their own. Files, addresses and other servers are not the ledger.
- A FixedString is shown as lower-case hex. Unqualified names and `spanledger.`-qualified ones mean the same tables.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from spanledger_exporter.errors import StoreError, UsageError
from spanledger_exporter.store.address import DEFAULT_DATABASE
from spanledger_exporter.store.connection import Store

_READS: Final = ("select", "with", "show", "describe", "desc", "explain", "exists", "(")
_STATEMENTS: Final = ("SelectWithUnionQuery", "SelectQuery", "Show", "Describe", "Explain", "Exists")
_OWN_ROWS: Final = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "values", "generate_series", "generateseries", "null", "view"}
)
_OUTSIDE: Final = frozenset({"file", "catboostevaluate", "sleep", "sleepeachrow"})
"""Functions of a single row that read files, or only keep the engine busy."""

_ABOUT_THE_QUERY: Final = frozenset(
    {20, 36, 38, 41, 42, 43, 46, 47, 50, 53, 60, 62, 81, 115, 179, 184, 207, 215, 258, 386, 440}
)
"""The engine's codes for what the asker wrote: syntax, unknown names, types, aggregation. Not for what then fails."""

_TOKENS: Final = re.compile(
    r"""'(?:[^'\\]|\\.|'')*' | `(?:[^`\\]|\\.)*` | "(?:[^"\\]|\\.)*" | --[^\n]* | /\*.*?\*/""", re.DOTALL | re.VERBOSE
)


def run_sql(store: Store, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the column names and rows of a reading query.

    Raises UsageError for anything else and for a query that the engine does not understand, StoreError where it fails.
    """
    statement = check_statement(sql)
    if store.database != DEFAULT_DATABASE:
        statement = _requalified(statement, store.database)
    try:
        check_tree([row[0] for row in store.query(f"EXPLAIN AST {statement}")])
        names, rows = store.query_table(statement)
    except StoreError as error:
        if error.code in _ABOUT_THE_QUERY:
            raise UsageError(str(error)) from error
        raise
    return names, [tuple(_shown(value) for value in row) for row in rows]


def check_statement(sql: str) -> str:
    """Return the statement without a final semicolon.

    Raises UsageError when it is not exactly one statement that begins like reading.
    """
    statement = sql.strip().rstrip(";").strip()
    bare = _TOKENS.sub(" ", statement)
    words = bare.split(maxsplit=1)
    if not words:
        raise UsageError('expected a query such as "SELECT count() FROM events", got nothing')
    if not words[0].lower().startswith(_READS):
        raise UsageError(
            f"expected a query that reads (SELECT, WITH, SHOW, DESCRIBE, EXPLAIN), got {words[0].upper()!r}"
        )
    if ";" in bare:
        raise UsageError("expected one statement, got several")
    return statement


def check_tree(lines: Sequence[str]) -> None:
    """Judge a statement by its syntax tree as the engine prints it: one node per line, indented by depth.

    Raises UsageError when it does anything but read the ledger.
    """
    if not lines[0].startswith(_STATEMENTS):
        raise UsageError(f"expected a query that reads, got {lines[0].split()[0]}")
    # To explain is to run the subqueries that give one value; what is explained is judged like any query.
    if lines[0].startswith("Explain") and not any(line.startswith(" Select") for line in lines):
        raise UsageError("expected EXPLAIN of a SELECT, got another kind")
    if any(re.match(r" Literal ", line) for line in lines):
        raise UsageError("expected a query without INTO OUTFILE, got one: use -o FILE for the result")
    for above, line in pairwise(lines):
        node, name = (*line.split(), "", "")[:2]
        is_source = above.strip().startswith("TableExpression")
        if node == "Function" and (name.lower() not in _OWN_ROWS if is_source else name.lower() in _OUTSIDE):
            raise UsageError(
                f"expected a query over the ledger's tables and views, got {name}(): it reads something else"
            )


def _requalified(statement: str, database: str) -> str:
    """Point `spanledger.` names at the store's own database; strings and comments stay as they are."""
    pieces: list[str] = []
    end = 0
    for token in _TOKENS.finditer(statement):
        pieces += [_renamed(statement[end : token.start()], database), token[0]]
        end = token.end()
    return "".join([*pieces, _renamed(statement[end:], database)])


def _renamed(text: str, database: str) -> str:
    return re.sub(rf"\b{DEFAULT_DATABASE}\s*\.", f"`{database}`.", text)


def _shown(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, (list, tuple)):
        return [_shown(item) for item in value]
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    return value
