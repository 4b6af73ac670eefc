"""The shipped Grafana files over a store in which nothing is recorded, and then only what waits for a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from grafana.alerts import ALERTS, Alert
from grafana.definitions import DASHBOARDS
from grafana.panels import Dashboard, Panel
from grafana_macros import expand_macros
from ledgers import Ledger
from spanledger_exporter.config import load_settings
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema
from spanledger_exporter.store.views import ensure_views

PANELS = [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels]
PANEL_IDS = [f"{dashboard.title}: {panel.title}" for dashboard, panel in PANELS]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a store in which nothing is recorded."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path_factory.mktemp("nothing"))}, working_directory=Path("/"))
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        ensure_views(store)
        yield store


@pytest.mark.parametrize("alert", ALERTS, ids=[alert.uid for alert in ALERTS])
def test_no_alert_fires_where_nothing_is_recorded(store: Store, alert: Alert) -> None:
    """A new installation wakes nobody."""
    ((value,),) = store.query(expand_macros(alert.sql))
    assert value <= alert.above


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=PANEL_IDS)
def test_no_panel_divides_by_nothing_or_shows_an_age_of_decades(
    store: Store, dashboard: Dashboard, panel: Panel
) -> None:
    """Nothing to count is nothing or 0, never NaN, and never the time since 1970."""
    for row in store.query(expand_macros(panel.sql)):
        for value in row:
            assert value is None or 0 <= value < 1_000, f"{dashboard.title}: {panel.title} says {value}"


def test_what_waits_is_overdue_past_its_due_time_or_after_a_day(store: Store) -> None:
    """Whatever the dashboard's time range: the oldest thing that waits is the most important one."""
    dues = {"in time": "2262-01-01T00:00:00Z", "late": "2026-11-02T00:00:00Z", "odd": "soon", "": ""}
    own = Ledger(tenant="queue")
    chain = own.open_chain()
    for reason, due in dues.items():
        chain.append({"event_type": "escalation", "name": reason, "escalation": {"to": "lead", "due": due}})
    own.write(store)
    open_, overdue, waiting = (
        next(panel for dashboard, panel in PANELS if (dashboard.title, panel.title) == ("Human review", title))
        for title in ("Open", "Overdue", "Waiting")
    )
    assert "$__timeFilter" not in open_.sql + overdue.sql + waiting.sql
    names = {row[4] for row in store.query(expand_macros(waiting.sql))}
    assert names == {"in time", "late", "odd", ""}
    assert store.query(expand_macros(open_.sql)) == [(4,)]
    assert store.query(expand_macros(overdue.sql)) == [(3,)]
