"""Every listing of the command line, in every format; a command that is added has to say what it is."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet
import pytest

from command_line import Run
from spanledger_exporter.cli import available_commands

LISTINGS = {
    "timeline": ("timeline", "--case", "CASE-1"),
    "search": ("search", "--case", "CASE-1"),
    "sql": ("sql", "SELECT case_id, count() AS events FROM events GROUP BY case_id"),
    "show": ("show", "EVENT"),
    "review": ("review", "--queue"),
    "decision": ("decision", "close case", "--result", "closed"),
    "prompts": ("prompts", "list"),
    "models": ("models",),
    "tools": ("tools",),
    "retrievals": ("retrievals",),
    "policies": ("policies",),
    "doctor": ("doctor",),
    "anchor": ("anchor",),
}
NO_LISTINGS = {
    "init", "collector", "ship", "seal", "verify", "export", "keys", "evidence", "monitor", "witness", "console",
}  # fmt: skip
"""These do something, or print one document whose form is fixed; `export` has formats of its own."""


def test_every_command_is_known_here() -> None:
    """A new command is a listing, and tested below, or it is not one."""
    assert set(available_commands()) == LISTINGS.keys() | NO_LISTINGS
    assert LISTINGS.keys().isdisjoint(NO_LISTINGS)


@pytest.fixture
def lines(run: Run) -> dict[str, tuple[str, ...]]:
    """Return the listings' command lines, with an event that there is."""
    assert run("keys", "show", "--json").status == 0
    [event] = run("search", "--case", "CASE-1", "--limit", "1", "--json").json()
    return {
        name: tuple(event["event_id"] if word == "EVENT" else word for word in line) for name, line in LISTINGS.items()
    }


@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_is_a_table_json_csv_or_parquet(
    run: Run, lines: dict[str, tuple[str, ...]], name: str, tmp_path: Path
) -> None:
    """The formats for programs hold the same records, the table is for people."""
    line = lines[name]
    assert run(*line, "--format", "table").out.strip()
    records = run(*line, "--format", "json").json()
    assert records
    table = list(csv.DictReader(io.StringIO(run(*line, "--format", "csv").out)))
    path = tmp_path / "listing.parquet"
    run(*line, "--format", "parquet", "-o", str(path))
    columns = pyarrow.parquet.read_table(path)
    # A reading command finds the access rows of those before it only where it is asked for them.
    assert len(table) == columns.num_rows == len(records)
    assert set(table[0]) == set(columns.column_names)
    assert set(records[0]) <= set(columns.column_names)
    assert json.dumps(records)
