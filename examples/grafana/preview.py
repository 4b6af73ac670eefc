"""Draw dashboards from their JSON and the answers of a real engine: `python examples/grafana/preview.py -o DIR`.

No Grafana server is needed, and this is none: every panel's query runs on the ledger that the settings name, and the
answers are drawn where the panel's grid position says. It shows what the dashboards answer, not how Grafana looks.
Needs the extra `bench` (matplotlib).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from grafana.definitions import DASHBOARDS
from grafana.panels import COLUMNS, Dashboard, Panel, dashboard_json
from spanledger_exporter.config import load_settings
from spanledger_exporter.store.connection import Store, open_store

mpl.use("Agg")

UNITS = {"currencyUSD": "${:,.4f}", "percentunit": "{:.1%}", "ms": "{:,.0f} ms", "s": "{:,.0f} s", "short": "{:,.10g}"}
BACKGROUND, FOREGROUND = "#181b1f", "#ccccdc"
ROW_INCHES, COLUMN_INCHES = 0.42, 0.72
TABLE_ROWS, TABLE_COLUMNS, CELL_CHARACTERS = 7, 9, 24


def expand(sql: str, *, interval_s: int, trace_id: str) -> str:
    """Expand the macros with every tenant and service chosen and all of time in view."""
    sql = re.sub(r"\$__timeFilter\(\w+\)", "1=1", sql)
    sql = re.sub(r"\$__timeInterval\((\w+)\)", rf"toStartOfInterval(toDateTime(\1), INTERVAL {interval_s} second)", sql)
    sql = re.sub(r"\$__conditionalAll\(.+?\), \$\w+\)", "1=1", sql)
    return sql.replace("${trace_id}", trace_id)


def draw(dashboard: Dashboard, store: Store, path: Path, *, interval_s: int) -> None:
    """Draw one dashboard into the PNG `path`."""
    found = store.query("SELECT any(trace_id) FROM events WHERE trace_id != '' AND event_type = 'model_call'")
    document = dashboard_json(dashboard)
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in document["panels"])
    figure = plt.figure(figsize=(COLUMNS * COLUMN_INCHES, bottom * ROW_INCHES + 0.8), facecolor=BACKGROUND)
    figure.suptitle(f"spanledger: {dashboard.title}", color=FOREGROUND, fontsize=15, x=0.01, ha="left")
    top = 1 - 0.8 / (bottom * ROW_INCHES + 0.8)
    for panel, placed in zip(dashboard.panels, document["panels"], strict=True):
        at = placed["gridPos"]
        labels = {"timeseries": 0.05, "barchart": 0.11}.get(panel.kind, 0.0)  # room for what stands beside the axis
        left, width = at["x"] / COLUMNS + 0.006 + labels, at["w"] / COLUMNS - 0.012 - labels
        low, height = top * (1 - (at["y"] + at["h"]) / bottom) + 0.022, top * at["h"] / bottom - 0.05
        axes = figure.add_axes((left, low, width, height), facecolor=BACKGROUND)
        axes.set_title(panel.title, color=FOREGROUND, fontsize=10, loc="left")
        answer = store.query_table(expand(panel.sql, interval_s=interval_s, trace_id=found[0][0] if found else ""))
        _DRAW[panel.kind](axes, panel, *answer)
    figure.savefig(path, dpi=70, facecolor=BACKGROUND)
    plt.close(figure)


def _text(value: object, unit: str) -> str:
    if value is None:
        return "none"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    if isinstance(value, str) or unit not in UNITS:
        return str(value)
    return UNITS[unit].format(float(str(value)))


def _stat(axes: Axes, panel: Panel, _columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    axes.axis("off")
    value = rows[0][0] if rows else None
    limit = panel.alarm_above if panel.alarm_above is not None else panel.warn_above
    alarmed = value is not None and limit is not None and float(str(value)) >= limit
    colour = "#f2495c" if alarmed and panel.alarm_above is not None else "#ff9830" if alarmed else "#73bf69"
    axes.text(0.5, 0.4, _text(value, panel.unit), color=colour, fontsize=21, ha="center", va="center")


def _timeseries(axes: Axes, panel: Panel, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    series: dict[str, list[tuple[Any, float]]] = defaultdict(list)
    is_long = bool(rows) and len(columns) == 3 and isinstance(rows[0][1], str)
    for row in rows:
        pairs = [(row[1] or "none", row[2])] if is_long else zip(columns[1:], row[1:], strict=True)
        for name, value in pairs:
            if value is not None:
                series[str(name)].append((row[0], float(str(value))))
    for name, points in series.items():
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, linewidth=1.2, label=name)
    if series:
        axes.legend(fontsize=7, facecolor=BACKGROUND, edgecolor="none", labelcolor=FOREGROUND, ncols=3)
    axes.tick_params(colors=FOREGROUND, labelsize=7)
    axes.grid(visible=True, color="#2c3235", linewidth=0.6)
    axes.yaxis.set_major_formatter(lambda value, _position: _text(value, panel.unit))
    axes.spines[:].set_color("#2c3235")


def _barchart(axes: Axes, panel: Panel, _columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    names = [str(row[0]) or "none" for row in rows][::-1]
    bars = axes.barh(names, [float(str(row[1] or 0)) for row in rows][::-1], color="#5794f2")
    axes.bar_label(bars, [_text(row[1], panel.unit) for row in rows][::-1], color=FOREGROUND, fontsize=7, padding=3)
    axes.margins(x=0.15)
    axes.tick_params(colors=FOREGROUND, labelsize=8)
    axes.xaxis.set_visible(False)
    axes.spines[:].set_visible(False)


def _table(axes: Axes, panel: Panel, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    axes.axis("off")
    shown = list(columns[:TABLE_COLUMNS])
    cells = [
        [_text(value, panel.units.get(name, ""))[:CELL_CHARACTERS] for name, value in zip(shown, row, strict=False)]
        for row in rows[:TABLE_ROWS]
    ]
    if not cells:
        return
    table = axes.table(cells, colLabels=shown, loc="upper left", cellLoc="left", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(7.5)
    for cell in table.get_celld().values():
        cell.set_text_props(color=FOREGROUND)
        cell.set_edgecolor("#2c3235")


_DRAW = {"stat": _stat, "timeseries": _timeseries, "barchart": _barchart, "table": _table, "traces": _table}


def main() -> int:
    """Draw the named dashboards of the ledger that the settings name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-o", "--output", type=Path, required=True, help="directory for the PNG files")
    parser.add_argument("--interval", type=int, default=3600, help="seconds per point of a time series")
    parser.add_argument("uids", nargs="*", help="dashboards to draw; all of them by default")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    with open_store(load_settings(), role="reader") as store:
        for dashboard in DASHBOARDS:
            if not arguments.uids or dashboard.uid in arguments.uids:
                draw(dashboard, store, arguments.output / f"{dashboard.uid}.png", interval_s=arguments.interval)
                print(f"{arguments.output / dashboard.uid}.png", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
