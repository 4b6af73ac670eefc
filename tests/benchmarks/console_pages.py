"""How long the console's pages and the views take on a big ledger.

    python tests/benchmarks/console_pages.py [rows] [directory]

Writes the story of `ledger_story` again and again until the store holds `rows` rows (default 1,000,000), lets the
engine merge them, seals them, starts the console, and asks for each page; prints medians, the machine, and what was
measured. A directory that is given and already holds a store is used as it is; what was not sealed is sealed.

Times are those of the wall. Beside them stands the CPU time that the console's process took, engine included: on a
machine that others use too it is what the page costs. The engine's cache of query conditions is emptied before each
view; pages are asked for with another case each round, so that it does not know them either.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ledger_story import CASES, tell
from ledgers import Ledger
from served_console import Answer, command, serving
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema

ROUNDS = 5
BATCH_ROWS = 50_000

PAGES = {
    "newest events": "/",
    "search by case": "/?case=CASE-{n}-1",
    "search by outcome": "/?outcome=error",
    "search by reviewer": "/?reviewer=triage-agent",
    "search unfinished": "/?outcome=incomplete",
    "search text in one case": "/?text=Alert+CASE-{n}-1&case=CASE-{n}-1",
    "search rare text everywhere": "/?text=CASE-{n}-1",
    "search common text everywhere": "/?text=failed+logins",
    "search text of all prompts": "/?text=triage+security",
    "a case": "/case/CASE-{n}-2",
    "a case as CSV": "/case/CASE-{n}-3/rows.csv",
    "an event and its proof": "/event?id={place}",
    "verdict, the newest one": "/verdict",
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
            rows = store.query("SELECT count() FROM rows")[0][0]
            print(f"{rows:,} rows, {ROUNDS} rounds each, median (worst) and CPU in ms")
            for name, sql in QUERIES.items():
                report(f"view: {name}", partial(view, store, sql), time.process_time)
            places = [f"{chain}:{seq}" for chain, seq in store.query(_PLACES)]
        sealed = command(directory, "seal")
        assert sealed.returncode == 0, sealed.stderr
        with serving(directory) as console:
            for name, path in PAGES.items():
                asked = (console.ask(path.format(n=77 + n, place=places[n])) for n in range(ROUNDS + 1))
                report(f"page: {name}", partial(found, asked), lambda: cpu_s(console.process_id))
            report("verdict, made anew", lambda: command(directory, "verify", "--json"), children_s, rounds=1)


_PLACES = f"SELECT lower(hex(chain_id)), seq FROM rows WHERE event_type = 'model_call' LIMIT {ROUNDS + 1}"


def view(store: Store, sql: str) -> None:
    """Ask a view whose conditions the engine has not seen."""
    store.command("SYSTEM DROP QUERY CONDITION CACHE")
    store.query(sql)


def found(answers: Iterator[Answer]) -> None:
    """Ask for the next page; it must be one."""
    answer = next(answers)
    assert answer.status == 200, answer.text


def cpu_s(process_id: int) -> float:
    """Return the CPU seconds that a process took so far, all its threads together."""
    fields = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_s() -> float:
    """Return the CPU seconds of all child processes that ended."""
    times = os.times()
    return times.children_user + times.children_system


def report(name: str, run: Callable[[], object], cpu: Callable[[], float], *, rounds: int = ROUNDS) -> None:
    """Print the median and the worst time of `run`, and its mean CPU time; one more round warms up before."""
    if rounds > 1:
        run()
    times_ms: list[float] = []
    cpu_before = cpu()
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        times_ms.append((time.perf_counter() - started) * 1000)
    cpu_ms = (cpu() - cpu_before) * 1000 / rounds
    print(f"{name:<42}{statistics.median(times_ms):8.0f} ({max(times_ms):.0f}){cpu_ms:8.0f} CPU", flush=True)


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
        store.command("OPTIMIZE TABLE rows FINAL")


if __name__ == "__main__":
    main()
