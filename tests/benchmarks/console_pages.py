"""How long the console's pages and the views take on a big ledger.

    python tests/benchmarks/console_pages.py [rows] [directory]

Writes the story of `ledger_story` again and again until the store holds `rows` rows (default 1,000,000), seals nothing,
starts the console, and asks for each page; prints medians, the machine, and what was measured. A directory that is
given and already holds a store is used as it is.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ledger_story import CASES, tell
from ledgers import Ledger
from served_console import serving
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.store.connection import open_store
from spanledger_exporter.store.schema import ensure_schema

ROUNDS = 5
BATCH_ROWS = 50_000

PAGES = {
    "newest events": "/",
    "search by case": "/?case=CASE-77-1",
    "search by outcome": "/?outcome=error",
    "search by reviewer": "/?reviewer=triage-agent",
    "search unfinished": "/?outcome=incomplete",
    "search text in one case": "/?text=Alert+CASE-77-1&case=CASE-77-1",
    "search text everywhere": "/?text=CASE-77-1",
    "a case": "/case/CASE-77-2",
    "review queue": "/queue",
    "access log": "/access",
}
QUERIES = {
    "events of a case": "SELECT count() FROM events WHERE case_id = 'CASE-77-1'",
    "events by type": "SELECT event_type, count() FROM events GROUP BY event_type",
    "cost by model": "SELECT model, sum(cost_usd) FROM costs GROUP BY model",
    "runs, newest ten": "SELECT * FROM runs ORDER BY start DESC LIMIT 10",
    "models": "SELECT * FROM models",
    "tools": "SELECT * FROM tools",
    "decisions below 0.5": "SELECT count() FROM decisions WHERE confidence < 0.5",
    "reviews that edited": "SELECT count() FROM reviews WHERE action = 'edit'",
    "integrity": "SELECT * FROM integrity ORDER BY last_time DESC LIMIT 10",
}


def main() -> None:
    """Fill, measure, print."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(scratch)
        settings = load_settings({"SPANLEDGER_DIR": str(directory)}, working_directory=Path("/"))
        if not settings.store_directory.is_dir():
            fill(settings, rows)
        load = os.getloadavg()[0]
        print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}")
        with open_store(settings, role="owner") as store:
            print(f"{store.query('SELECT count() FROM rows')[0][0]:,} rows, {ROUNDS} rounds each, median (worst) in ms")
            for name, sql in QUERIES.items():
                report(f"view: {name}", partial(store.query, sql))
        with serving(directory) as console:
            for name, path in PAGES.items():
                report(f"page: {name}", partial(console.ask, path))


def report(name: str, run: Callable[[], object]) -> None:
    """Print the median and the worst time of `run`, after one round that warms up."""
    run()
    times_ms: list[float] = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        run()
        times_ms.append((time.perf_counter() - started) * 1000)
    print(f"{name:<34}{statistics.median(times_ms):8.0f} ({max(times_ms):.0f})", flush=True)


def fill(settings: Settings, rows: int) -> None:
    """Write the story over and over, each time with cases of its own."""
    ledger, written, round_ = Ledger(), 0, 0
    known: set[bytes] = set()
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        while written < rows:
            tell(ledger, tuple(replace(c, case_id=f"CASE-{round_}-{c.case_id[-1]}") for c in CASES))
            round_ += 1
            if len(ledger.rows) >= min(BATCH_ROWS, rows):
                ledger.contents = {ref: content for ref, content in ledger.contents.items() if ref not in known}
                known |= set(ledger.contents)
                ledger.write(store)
                written += len(ledger.rows)
                ledger.rows.clear()
                ledger.contents.clear()
                print(f"\r{written:,} rows written", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)


if __name__ == "__main__":
    main()
