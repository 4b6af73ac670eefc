"""From the spool to rows in the embedded store: how many spans per second, and how long a row waits under load.

    python tests/benchmarks/ship_throughput.py                      the throughput of a backlog
    python tests/benchmarks/ship_throughput.py --load --plot ship.png   latency against offered load as well

Two kinds of spans are told apart, because they cost differently:

- a *one-row span* is one row of about 2.1 kB without content: a retrieval, a tool or agent span, a decision
- a *model call* is two rows, the intent and the completion, of about 1.3 and 2.1 kB, and two contents of its own of 600
  bytes: what a short chat leaves behind

Everything is real: the recorder's spool on disk, the shipper, chDB. There is one chain, so that one insert runs at a
time; rounds alternate, medians are printed. Processor time is that of the whole process, engine threads included. The
machine is shared with whatever else runs on it: rates on the clock say what it had left, processor time says the cost.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

from spanledger_exporter.cli import collect_seldom
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.ledger.content import Content, content_ref
from spanledger_exporter.recorder import Recorder, open_recorder
from spanledger_exporter.ship.shipper import drain
from spanledger_exporter.ship.status import spool_status
from spanledger_exporter.store.connection import Store, open_store

TEXT = "text/plain; charset=utf-8"
PROSE = " ".join(topics.values()).encode("ascii", "ignore").decode()
KINDS = ("one-row spans", "model calls")


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=40_000, help="spans in the backlog (40,000)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--disk", action="store_true", help="measure bytes a call instead, in spool and store")
    parser.add_argument("--load", action="store_true", help="measure latency against offered load")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each load (8)")
    parser.add_argument("--plot", type=Path, help="draw into this PNG")
    arguments = parser.parse_args()
    busy = os.getloadavg()[0]
    print(f"machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, load {busy:.1f}")
    if arguments.disk:
        disk(arguments.calls)
        return
    sizes = [1_000, 2_000, 5_000, 10_000]
    rates = backlog(arguments.calls, sizes, rounds=arguments.rounds)
    loads = load(arguments.seconds) if arguments.load else []
    if arguments.plot:
        draw(arguments.plot, rates, loads)


@dataclass(frozen=True, slots=True)
class Round:
    """Spans per second on the clock, and microseconds of processor per span, all threads together."""

    per_second: float
    cpu_us: float


def text(number: int, size: int) -> Content:
    """Return English prose of `size` bytes, from Python's own documentation; a number makes it unlike any other."""
    start = number * 7_919 % (len(PROSE) - size)
    data = f"{number}: {PROSE[start : start + size]}"[:size].encode()
    return Content(content_ref(TEXT, data), "payload", TEXT, len(data), data)


def part(content: Content, role: str) -> dict[str, Any]:
    """Return the item that refers to a content."""
    return {
        "role": role, "type": "text", "ref": content.ref.hex(), "bytes": content.size, "media": TEXT,
        "class": "payload",
    }  # fmt: skip


def record_span(recorder: Recorder, number: int, *, kind: str) -> None:
    """Record one span: a row, or the intent and completion of a call with their contents."""
    is_call = kind == "model calls"
    trace, span = os.urandom(16).hex(), os.urandom(8).hex()
    asked, answered = text(2 * number, 600), text(2 * number + 1, 600)
    now = time.time_ns()
    base: dict[str, Any] = {
        "event_id": f"{trace}:{span}:begin",
        "event_type": "model_call",
        "trace_id": trace,
        "span_id": span,
        "time": {"start": str(now)},
        "name": "chat gpt-5-mini",
        "operation": "chat",
        "actor": {"type": "agent", "id": "triage-agent", "role": "analyst"},
        "context": {"case_id": f"CASE-{number // 20}", "session_id": f"session-{number // 50}"},
        "snapshot": {
            "provider": "openai",
            "model_requested": "gpt-5-mini",
            "model_params": {"temperature": 0.2, "max_tokens": 1000},
            "prompt": {"name": "triage", "version": "12", "hash": "a" * 64},
            "tools": {"lookup_host": "b" * 64, "search_logs": "c" * 64},
            "code": {"function": "triage.agent.answer", "line": 112},
        },
        "input": [part(asked, "user")],
        "capture": {"tier": "captured", "scope": "spanledger.openai", "version": "0.1.0", "dialect": "gen_ai"},
        "attributes": {"server.address": "api.openai.com", "server.port": 443, "gen_ai.request.model": "gpt-5-mini"},
    }
    if is_call:
        recorder.record(base, [asked])
    recorder.record(
        {
            **base,
            "event_id": f"{trace}:{span}",
            "time": {"start": str(now), "end": str(now + 800_000_000)},
            "snapshot": {**base["snapshot"], "model": "gpt-5-mini-2026-08-07"},
            "output": [part(answered, "assistant")],
            "usage": {"input_tokens": 1200 + number % 97, "output_tokens": 150 + number % 31, "cache_read": 1024},
            "cost": {
                "usd": "0.000612",
                "input_usd": "0.0003",
                "output_usd": "0.000312",
                "price_source": "genai-prices",
            },
            "latency_ms": 812.5,
            "finish_reasons": ["stop"],
            "outcome": "success",
        },
        [answered] if is_call else [],
    )


def fill(settings: Settings, spans: int, *, kind: str) -> None:
    """Fill the spool with a backlog."""
    with open_recorder(settings, role="application") as recorder:
        for number in range(spans):
            record_span(recorder, number, kind=kind)


def backlog(spans: int, sizes: list[int], *, rounds: int) -> dict[str, list[tuple[int, Round]]]:
    """Drain a backlog in batches of each size; returns the medians by size, for each kind of span."""
    found: dict[tuple[str, int], list[Round]] = {}
    for _ in range(rounds):
        for kind in KINDS:
            for size in sizes:
                found.setdefault((kind, size), []).append(drained(spans, size, kind=kind))
    medians: dict[str, list[tuple[int, Round]]] = {}
    for (kind, size), rounds_of in found.items():
        median = Round(
            statistics.median(one.per_second for one in rounds_of), statistics.median(one.cpu_us for one in rounds_of)
        )
        medians.setdefault(kind, []).append((size, median))
        print(
            f"{kind:<14} batches of {size:>6,} rows: {median.per_second:>7,.0f} spans/s on the clock, "
            f"{median.cpu_us:>6.1f} us of processor a span: {1e6 / median.cpu_us:>7,.0f} spans/s and core"
        )
    return medians


def drained(spans: int, size: int, *, kind: str) -> Round:
    """Measure one drain in a process of its own: a process hosts one engine directory."""
    arguments = [sys.executable, __file__, "--calls", str(spans)]
    environ = {**os.environ, "SHIP_ROUND": f"{size},{kind}"}
    done = subprocess.run(arguments, check=True, env=environ, capture_output=True, text=True)
    return Round(*map(float, done.stdout.split()))


def one_round(spans: int, size: int, *, kind: str) -> Round:
    """Fill and drain, as the command does."""
    collect_seldom()
    with tempfile.TemporaryDirectory() as directory:
        settings = load_settings({"SPANLEDGER_DIR": directory})
        fill(settings, 10, kind="model calls")
        with open_store(settings, role="owner") as store:
            drain(settings, store)  # imports and the engine's first insert are not what is measured
            fill(settings, spans, kind=kind)
            started, busy = time.perf_counter(), time.process_time()
            drain(settings, store, max_rows=size)
            took, used = time.perf_counter() - started, time.process_time() - busy
            return Round(spans / took, used / spans * 1e6)


def disk(calls: int) -> None:
    """Print what a call takes in the spool, and in the store after merging, and what a day of them takes there."""
    with tempfile.TemporaryDirectory() as directory:
        settings = load_settings({"SPANLEDGER_DIR": directory})
        fill(settings, calls, kind="model calls")
        print(f"spool: {spool_status(settings.spool_directory).stored_bytes / calls:,.0f} bytes a call")
        with open_store(settings, role="owner") as store:
            drain(settings, store)
            sizes = {table: merged_size(store, table) / calls for table in ("rows", "content")}
    for table, size in sizes.items():
        print(f"{table}: {size:,.0f} bytes a call")
    for rate in (1, 10, 100, 1_000, 4_000):
        print(f"{rate:>5,} calls/s: {sum(sizes.values()) * rate * 86_400 / 1e9:,.2f} GB a day")


def merged_size(store: Store, table: str) -> int:
    """Return what a table takes on disk when everything is merged, in bytes."""
    store.command(f"OPTIMIZE TABLE {table} FINAL")
    found = store.query(
        "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = {table:String}", {"table": table}
    )
    return int(found[0][0])


def load(seconds: float) -> list[tuple[float, float, float, float]]:
    """Offer calls at growing rates beside a following shipper; returns calls/s, stored/s, p50 and p99 lag in s."""
    found: list[tuple[float, float, float, float]] = []
    for offered in (100, 500, 1_000, 2_000, 4_000, 8_000):
        found.append(under_load(offered, seconds))
        calls, stored, middle, late = found[-1]
        print(
            f"offered {calls:>7,.0f} calls/s: stored {stored:>7,.0f} calls/s, lag p50 {middle:.2f} s, p99 {late:.2f} s"
        )
    return found


def under_load(offered: float, seconds: float) -> tuple[float, float, float, float]:
    """Record calls at a steady rate while another process ships them."""
    with tempfile.TemporaryDirectory() as directory:
        environ = {**os.environ, "SPANLEDGER_DIR": directory}
        command = (
            "import sys; from spanledger_exporter.cli import main; sys.argv = ['', 'ship', '--follow', '--no-seal']; "
            "sys.exit(main())"
        )
        settings = load_settings({"SPANLEDGER_DIR": directory})
        with open_recorder(settings, role="application") as recorder:
            shipper = subprocess.Popen([sys.executable, "-c", command], env=environ, stderr=subprocess.DEVNULL)
            wait_until_shipped(settings)  # the engine starts, and has what began the chain
            started = time.monotonic()
            count = 0
            for number in paced(offered, seconds):
                record_span(recorder, number, kind="model calls")
                count = number + 1
            took = time.monotonic() - started
            wait_until_shipped(settings)
            drained_in = time.monotonic() - started
            shipper.terminate()
            shipper.wait()
        with open_store(settings, role="owner") as store:
            middle, late, stored = store.query(
                "SELECT quantile(0.5)(lag), quantile(0.99)(lag), count() FROM (SELECT "
                "(toUnixTimestamp64Nano(toDateTime64(stored_at, 9)) - toInt64(time_ns)) / 1e9 AS lag "
                "FROM rows WHERE event_type = 'model_call')"
            )[0]
        return count / took, stored / 2 / drained_in, middle, late


def wait_until_shipped(settings: Settings) -> None:
    """Return when nothing waits in the spool."""
    while spool_status(settings.spool_directory).unshipped_bytes:
        time.sleep(0.05)


def paced(rate: float, seconds: float) -> Iterator[int]:
    """Yield numbers at `rate` a second for `seconds`, as far as this process keeps up."""
    started = time.monotonic()
    number = 0
    while (now := time.monotonic() - started) < seconds:
        if number <= now * rate:
            yield number
            number += 1
        else:
            time.sleep(min(0.001, number / rate - now))


def draw(path: Path, rates: dict[str, list[tuple[int, Round]]], loads: list[tuple[float, float, float, float]]) -> None:
    """Draw throughput against batch size, and lag against offered load."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels = 3 if loads else 1
    figure, axes = plt.subplots(1, panels, figsize=(5.5 * panels, 4.2), constrained_layout=True, squeeze=False)
    backlogs, stored, lags = axes[0][0], axes[0][panels // 2], axes[0][-1]
    for label, points in rates.items():
        backlogs.plot([size for size, _ in points], [one.cpu_us for _, one in points], marker="o", label=label)
    backlogs.set(title="Draining a backlog into chDB", xlabel="rows per batch", ylim=(0, None))
    backlogs.set_ylabel("µs of processor a span")
    backlogs.legend()
    if loads:
        calls = [point[0] for point in sorted(loads)]
        stored.plot(calls, [point[1] for point in sorted(loads)], marker="o", label="stored")
        stored.plot(calls, calls, color="0.7", linestyle="--", label="offered")
        stored.set(title="Throughput against load", xlabel="calls/s offered", ylabel="calls/s stored", ylim=(0, None))
        stored.legend()
        lags.plot(calls, [point[2] for point in sorted(loads)], marker="o", label="p50")
        lags.plot(calls, [point[3] for point in sorted(loads)], marker="o", label="p99")
        lags.set(title="Latency against load, recorded to stored", xlabel="calls/s offered", ylabel="seconds")
        lags.set_ylim(bottom=0)
        lags.legend()
    others = f"load {os.getloadavg()[1]:.0f} while it was measured, its own included"
    figure.suptitle(f"{os.cpu_count()} cores, {platform.machine()}, {others}", fontsize="small")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    if wanted := os.environ.get("SHIP_ROUND"):
        rows, kind_of_span = wanted.split(",")
        measured = one_round(int(sys.argv[2]), int(rows), kind=kind_of_span)
        print(measured.per_second, measured.cpu_us)
    else:
        main()
