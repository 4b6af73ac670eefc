"""The shipped Grafana files: each query runs in the real engine and answers, and the JSON keeps the plugin's rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.alerts import ALERTS, Alert, alerts_document
from grafana.definitions import DASHBOARDS
from grafana.generate import generated
from grafana.panels import PLUGIN, Dashboard, Panel, dashboard_json
from grafana_macros import expand_macros
from ledger_story import tell
from ledgers import Ledger
from spanledger_exporter.config import load_settings
from spanledger_exporter.monitor.alarm import as_row
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema
from spanledger_exporter.store.views import ensure_views

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PANELS = [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels]
PANEL_IDS = [f"{dashboard.title}: {panel.title}" for dashboard, panel in PANELS]
TRACE_COLUMNS = [
    "traceID",
    "spanID",
    "parentSpanID",
    "serviceName",
    "operationName",
    "startTime",
    "duration",
    "tags",
    "serviceTags",
    "statusCode",
]
MACRO = re.compile(r"\$__\w+")


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    """Return the story, with a loss, a person who looked and a monitor that did."""
    ledger = Ledger()
    tell(ledger)
    chain = ledger.open_chain(service="shipper", role="shipper")
    chain.append({"event_type": "loss", "name": "loss", "loss": {"events": 2, "reason": "No space left on device"}})
    chain.append({"event_type": "access", "name": "timeline", "actor": {"type": "user", "id": "auditor"}})
    said = {"verdict": "tampered", "rows_read": False, "findings_total": 1, "findings": [{"reason": "row 12 is gone"}]}
    ledger.open_chain(service="monitor", role="monitor").append(as_row(said))
    return ledger


@pytest.fixture(scope="module")
def store(ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a store that holds the story, one checkpoint and one anchor."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path_factory.mktemp("grafana"))}, working_directory=Path("/"))
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        ensure_views(store)
        ledger.write(store)
        store.command(
            "INSERT INTO checkpoints (size, root, note, created_at) VALUES (1, unhex('00'), 'note', now64(6))"
        )
        store.command(
            "INSERT INTO anchors (size, kind, target, receipt, created_at) VALUES (1, 'directory', 'a', '', now64(6))"
        )
        yield store


def expand(sql: str, ledger: Ledger, *, everything: bool) -> str:
    """Expand the macros for the story, whose first trace is the one that is named."""
    trace_id = next(value["trace_id"] for row in ledger.rows if "trace_id" in (value := json.loads(row.env)))
    return expand_macros(sql, trace_id=trace_id, everything=everything)


@pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=PANEL_IDS)
@pytest.mark.parametrize("everything", [True, False], ids=["all", "one"])
def test_every_panel_answers_on_the_story(
    store: Store, ledger: Ledger, *, dashboard: Dashboard, panel: Panel, everything: bool
) -> None:
    """Each query parses, runs and gives at least one row, whatever the variables say."""
    sql = expand(panel.sql, ledger, everything=everything)
    assert not MACRO.search(sql), f"{panel.title} has a macro that nobody expands"
    columns, rows = store.query_table(sql)
    assert rows, f"{dashboard.title}: {panel.title} shows nothing on the story"
    if panel.kind == "traces":
        assert columns == TRACE_COLUMNS
    if panel.kind == "timeseries":
        assert columns[0] == "time"
    if panel.kind == "stat":
        assert len(rows) == len(columns) == 1
        assert rows[0][0] is not None, f"{dashboard.title}: {panel.title} has no value on the story"


@pytest.mark.parametrize("alert", ALERTS, ids=[alert.uid for alert in ALERTS])
def test_every_alert_gives_one_number(store: Store, ledger: Ledger, alert: Alert) -> None:
    """An alert that gives no row or no number never fires."""
    assert "$__conditionalAll" not in alert.sql, "works only in panels"
    ((value,),) = store.query(expand(alert.sql, ledger, everything=True))
    assert float(value) >= 0


@pytest.mark.parametrize("uid", ["spanledger-loss", "spanledger-self-review"])
def test_an_alert_sees_what_happened_long_ago_and_was_stored_in_the_last_hour(store: Store, uid: str) -> None:
    """Losses come with an outage, and their rows after it."""
    alert = next(alert for alert in ALERTS if alert.uid == uid)
    in_the_last_hour = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 > now() - INTERVAL 1 HOUR", alert.sql)
    ((value,),) = store.query(in_the_last_hour)
    assert value > alert.above


def test_the_monitors_last_word_is_shown_and_wakes_somebody(store: Store) -> None:
    """The verdict stands on the dashboard of its name with what was found first."""
    (verdicts,) = [panel for _, panel in PANELS if panel.title == "Verdicts"]
    ((_, verdict, _, findings, first),) = store.query(verdicts.sql)
    assert (verdict, findings, first) == ("tampered", 1, "row 12 is gone")
    (alert,) = [alert for alert in ALERTS if alert.uid == "spanledger-verdict"]
    assert store.query(alert.sql)[0][0] > alert.above


def test_every_table_that_links_a_case_says_of_which_tenant() -> None:
    """The link takes the tenant from that column: two tenants may have a case of the same name."""
    for dashboard, panel in PANELS:
        assert ("case_id" in panel.links) <= (" tenant," in panel.sql), f"{dashboard.title}: {panel.title}"


def test_every_variables_query_answers(store: Store) -> None:
    """The choices of tenant and service come from the data."""
    for dashboard in DASHBOARDS:
        for variable in dashboard_json(dashboard)["templating"]["list"]:
            if variable["type"] == "query":
                assert store.query(variable["query"]["rawSql"])


def test_the_files_are_what_the_definitions_say() -> None:
    """Run `python examples/grafana/generate.py` after a change."""
    assert [path.name for path, text in generated().items() if not path.exists() or path.read_text() != text] == []


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=[dashboard.uid for dashboard in DASHBOARDS])
def test_a_dashboard_keeps_the_rules_of_the_plugin(dashboard: Dashboard) -> None:
    """Title, description, unit, target shape and data source variable are there; no two panels overlap."""
    document = dashboard_json(dashboard)
    assert document["templating"]["list"][0]["name"] == "datasource"
    cells: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == {"type": PLUGIN, "uid": "${datasource}"}
        (target,) = panel["targets"]
        assert target["editorType"] == "sql"
        assert target["format"] in {0, 1, 2, 3}
        place = panel["gridPos"]
        mine = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not mine & cells, f"{panel['title']} lies over another panel"
        cells |= mine


def test_alert_rules_say_what_to_do() -> None:
    """Whoever is woken reads the next step in the alert."""
    for rule in alerts_document()["groups"][0]["rules"]:
        assert len(rule["annotations"]["description"]) > 30
        assert rule["labels"]["severity"] in {"warning", "critical"}


def compose() -> dict[str, Any]:
    """Read the compose file."""
    document: dict[str, Any] = yaml.safe_load((EXAMPLES / "compose.yaml").read_text())
    return document


def test_the_compose_file_names_only_files_that_exist() -> None:
    """Every mounted path of the repository is there."""
    for service in compose()["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (EXAMPLES / source).exists(), source


def test_the_compose_file_is_pinned_and_whole() -> None:
    """Each image has an exact tag, each dependency is a service, each named volume is declared."""
    document = compose()
    services = document["services"]
    for name, service in services.items():
        tag = service["image"].rpartition(":")[2]
        assert re.search(r"\d+\.\d+", tag), f"{name} is not pinned"
        assert set(service.get("depends_on", ())) <= set(services)
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source.startswith(".") or source in document["volumes"]


def test_the_collectors_pipelines_name_what_is_defined() -> None:
    """A typing error in a pipeline would stop the whole collector."""
    config = yaml.safe_load((EXAMPLES / "collector" / "config.yaml").read_text())
    for pipeline in config["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= set(config[kind])
