"""Where the dashboards lead: every link of a table, followed in a running console."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from grafana.definitions import DASHBOARDS
from grafana.panels import WATERFALL, Panel
from grafana_macros import expand_macros
from ledger_story import Case, tell
from ledgers import Ledger
from served_console import Served, serving
from spanledger_exporter.config import load_settings
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema
from spanledger_exporter.store.views import ensure_views

ODD = "A&B/7? #50%"
LINKED = [(f"{board.title}: {panel.title}", panel) for board in DASHBOARDS for panel in board.panels if panel.links]


@dataclass(frozen=True, slots=True)
class Place:
    """A console, and by panel what the dashboards of its ledger show: rows by column name."""

    console: Served
    shown: dict[str, list[dict[str, Any]]]


def rows_of(store: Store, panel: Panel, trace_id: str) -> list[dict[str, Any]]:
    """Return what a panel shows."""
    columns, rows = store.query_table(expand_macros(panel.sql, trace_id=trace_id))
    return [dict(zip(columns, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Generator[Place]:
    """Yield a console over a case with an odd name that two tenants have."""
    directory = tmp_path_factory.mktemp("links")
    settings = load_settings({"SPANLEDGER_DIR": str(directory)}, working_directory=directory)
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        ensure_views(store)
        cases = Case(ODD, action="edit", tool_fails=True), Case("C-2", action="escalate", default_branch=True)
        for tenant in ("default", "a&b"):
            ledger = Ledger(tenant=tenant)
            tell(ledger, cases)
            ledger.write(store)
        trace_id = store.query("SELECT any(trace_id) FROM runs")[0][0]
        shown = {name: rows_of(store, panel, trace_id) for name, panel in LINKED}
    with serving(directory) as console:
        yield Place(console, shown)


def filled(link: str, row: dict[str, Any], column: str) -> str:
    """Fill a link's variables in as Grafana does; the console's own address becomes nothing."""
    text = link.replace("${__value.raw:percentencode}", quote(str(row[column]), safe=""))
    text = re.sub(r"\$\{__data\.fields\.(\w+):percentencode\}", lambda m: quote(str(row[m[1]]), safe=""), text)
    return text.removeprefix("${console}")


@pytest.mark.parametrize(("name", "panel"), LINKED, ids=[name for name, _ in LINKED])
def test_every_link_of_a_table_leads_to_the_page_it_names(place: Place, name: str, panel: Panel) -> None:
    """Also for a case whose name has everything in it that an address must not have."""
    assert place.shown[name]
    for row in place.shown[name]:
        for column, link in panel.links.items():
            if row[column]:
                address = filled(link, row, column)
                answer = place.console.ask(address)
                assert answer.status == 200, address
                assert "Nothing is recorded" not in answer.text, address


def test_the_waterfall_is_a_dashboard_that_takes_a_trace() -> None:
    """The second link of every trace id."""
    uid, _, query = WATERFALL.removeprefix("/d/").partition("?")
    (board,) = [board for board in DASHBOARDS if board.uid == uid]
    assert query.partition("=")[0] in {f"var-{variable['name']}" for variable in board.variables}
