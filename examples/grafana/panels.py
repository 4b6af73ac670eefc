"""Small builders for Grafana dashboards on the ClickHouse data source.

Rules
- Every panel has a title, a description that says what to do with it, and a unit; a builder cannot be called without.
- Every query names the database, filters by the dashboard's time range, and by tenant and service where it can.
- Trace panels select exactly the column names that the data source's trace view asks for.
- Grafana's own SDK has no type for ClickHouse targets, so these are plain dictionaries.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

PLUGIN = "grafana-clickhouse-datasource"
PLUGIN_VERSION = "4.20.0"
DATASOURCE: Mapping[str, str] = {"type": PLUGIN, "uid": "${datasource}"}
SCHEMA_VERSION = 42
WATERFALL = "/d/spanledger-trace?var-trace_id=${__value.raw:percentencode}"
COLUMNS = 24
"""Width of Grafana's grid."""

Kind = Literal["stat", "timeseries", "table", "barchart", "traces"]

# The data source's numbering of result formats, and the query type that goes with each.
_FORMATS: Mapping[Kind, tuple[int, str]] = {
    "timeseries": (0, "timeseries"),
    "stat": (1, "table"),
    "table": (1, "table"),
    "barchart": (1, "table"),
    "traces": (3, "traces"),
}

_OPTIONS: Mapping[Kind, Mapping[str, Any]] = {
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value"},
    "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    "table": {"showHeader": True, "cellHeight": "sm"},
    "barchart": {"orientation": "horizontal", "showValue": "auto", "legend": {"showLegend": False}},
    "traces": {},
}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; past `warn_above` and `alarm_above` a value is coloured, `links` maps a column to the URL it opens."""

    kind: Kind
    title: str
    description: str
    sql: str
    unit: str = "short"
    width: int = 12
    height: int = 8
    warn_above: float | None = None
    alarm_above: float | None = None
    links: Mapping[str, str] = field(default_factory=dict[str, str])
    units: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard: `uid` is stable, `panels` flow left to right, top to bottom."""

    uid: str
    title: str
    description: str
    panels: Sequence[Panel]
    variables: Sequence[Mapping[str, Any]] = ()
    time_from: str = "now-7d"


def dashboard_json(dashboard: Dashboard) -> dict[str, Any]:
    """Return the dashboard as Grafana's JSON model."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["spanledger"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": dashboard.time_from, "to": "now"},
        "timezone": "utc",
        "links": [_navigation()],
        "templating": {"list": [*_common_variables(), *dashboard.variables]},
        "annotations": {"list": []},
        "panels": [*_placed(dashboard.panels)],
    }


def query_variable(name: str, label: str, sql: str) -> dict[str, Any]:
    """Return a multi-select variable with an All choice, filled by `sql`."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"rawSql": sql, "editorType": "sql", "queryType": "table"},
        "multi": True,
        "includeAll": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "refresh": 2,
        "sort": 1,
    }


def text_variable(name: str, label: str, value: str) -> dict[str, Any]:
    """Return a free-text variable."""
    return {
        "name": name,
        "label": label,
        "type": "textbox",
        "query": value,
        "current": {"text": value, "value": value},
    }


def _common_variables() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": PLUGIN, "refresh": 1},
        query_variable("tenant", "Tenant", "SELECT DISTINCT tenant FROM spanledger.rows ORDER BY tenant"),
        query_variable(
            "service", "Service", "SELECT DISTINCT service FROM spanledger.rows WHERE service != '' ORDER BY service"
        ),
        text_variable("console", "Console URL", "http://localhost:8420"),
    ]


def _navigation() -> dict[str, Any]:
    return {
        "title": "spanledger",
        "type": "dashboards",
        "tags": ["spanledger"],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
    }


def _placed(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    placed: list[dict[str, Any]] = []
    x = y = row_height = 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > COLUMNS:
            x, y, row_height = 0, y + row_height, 0
        position = {"x": x, "y": y, "w": panel.width, "h": panel.height}
        placed.append(_panel_json(panel, number, position))
        x, row_height = x + panel.width, max(row_height, panel.height)
    return placed


def _panel_json(panel: Panel, number: int, position: Mapping[str, int]) -> dict[str, Any]:
    result_format, query_type = _FORMATS[panel.kind]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": position,
        "targets": [
            {
                "refId": "A",
                "datasource": DATASOURCE,
                "pluginVersion": PLUGIN_VERSION,
                "editorType": "sql",
                "queryType": query_type,
                "format": result_format,
                "rawSql": textwrap.dedent(panel.sql).strip(),
            }
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": [*_overrides(panel)]},
        "options": dict(_OPTIONS[panel.kind]),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green" if panel.alarm_above is not None else "text", "value": None}]
    if panel.warn_above is not None:
        steps.append({"color": "orange", "value": panel.warn_above})
    if panel.alarm_above is not None:
        steps.append({"color": "red", "value": panel.alarm_above})
    return {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}, "noValue": "none"}


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    links = [_override(column, "links", _links(column, url)) for column, url in panel.links.items()]
    return [*links, *(_override(column, "unit", unit) for column, unit in panel.units.items())]


def _links(column: str, url: str) -> list[dict[str, Any]]:
    in_console = {"title": "open in the console", "url": url, "targetBlank": True}
    as_waterfall = {"title": "show the waterfall", "url": WATERFALL}
    return [in_console, as_waterfall] if column == "trace_id" else [in_console]


def _override(column: str, name: str, value: object) -> dict[str, Any]:
    return {"matcher": {"id": "byName", "options": column}, "properties": [{"id": name, "value": value}]}
