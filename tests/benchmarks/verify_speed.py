"""How fast a ledger is judged: rows per second of the command-line verifier and of the SQL health check.

    python tests/benchmarks/verify_speed.py --rows 10000,100000,1000000 [--plot verify_speed.png]

Writes a ledger of 1 kB envelopes straight into an embedded store (chains of up to 100,000 rows, sealed by our sealer)
that grows from size to size, and measures at each, in fresh processes: the command line's whole verification; its walk
over the rows alone (bytes out of the store, links, every SHA-256 and Merkle tree) on one core, with the extra `bulk`
and without it; and the SQL health check. Prints the machine with the figures.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from ledgers import MONDAY_NS
from spanledger_exporter.anchors.configured import open_anchors
from spanledger_exporter.cli import main as command
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.keys.key_ring import open_key_ring
from spanledger_exporter.ledger.canonical import canonical_envelope
from spanledger_exporter.ledger.row import Row, genesis_hash, make_row
from spanledger_exporter.seal.sealer import seal
from spanledger_exporter.ship.delivery import row_block
from spanledger_exporter.spool.chain import RowId
from spanledger_exporter.spool.fields import RowFields
from spanledger_exporter.spool.lineage import register_chain
from spanledger_exporter.store.connection import open_store
from spanledger_exporter.store.schema import ensure_schema
from spanledger_exporter.verify import column_hashes
from spanledger_exporter.verify.chains import ChainWalk
from spanledger_exporter.verify.log_review import review_log
from spanledger_exporter.verify.sql_walk import walk_in_sql
from spanledger_exporter.verify.store_source import StoreSource
from spanledger_exporter.verify.verdict import Findings

CHAIN_ROWS = 100_000
BLOCK_ROWS = 50_000
ENVELOPE_BYTES = 1_000
ROUNDS = 3


def settings_of(directory: Path) -> Settings:
    """Return the settings of a data directory."""
    return load_settings({"SPANLEDGER_DIR": str(directory)}, working_directory=directory)


def grow(directory: Path, rows: int, *, start: int) -> None:
    """Write rows from number `start` up to `rows`, and seal them."""
    settings = settings_of(directory)
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        while start < rows:
            chain = chain_of(start, min(CHAIN_ROWS, rows - start))
            first = chain[0]
            register_chain(settings.anchors_directory, RowId(first.chain_id, 0, first.row_hash), time_ns=first.time_ns)
            for at in range(0, len(chain), BLOCK_ROWS):
                part = chain[at : at + BLOCK_ROWS]
                fields: list[RowFields] = [
                    (r.seq, r.time_ns, r.prev_hash, r.env_hash, r.row_hash, r.tenant, r.env) for r in part
                ]
                store.insert_block("rows", row_block(first.chain_id, fields), token=f"{start}:{at}")
            start += len(chain)
        seal(store, settings=settings, keys=open_key_ring(settings), anchors=open_anchors(settings))


def chain_of(start: int, count: int) -> list[Row]:
    """Return a chain of rows with true hashes; its number, and its times, come from `start`."""
    chain_id = sha256(f"chain from {start}".encode()).digest()[:16]
    opening, template = envelope("chain.open"), envelope("model_call")
    rows: list[Row] = []
    link = genesis_hash(chain_id)
    for seq in range(count):
        now = MONDAY_NS + (start + seq) * 100_000
        told = {b"@chain": chain_id.hex().encode(), b"@seq": b"%d" % seq, b"@now": b"%d" % now}
        env = template if seq else opening
        for mark, value in told.items():
            env = env.replace(mark, value)
        row = make_row(chain_id=chain_id, seq=seq, prev_hash=link, time_ns=now, env=env, tenant="default")
        link = row.row_hash
        rows.append(row)
    return rows


def envelope(event_type: str) -> bytes:
    """Return canonical bytes of about a kilobyte, with marks for what differs from row to row."""
    return canonical_envelope(
        {
            "schema": "spanledger.event/1",
            "event_id": "@chain:@seq",
            "event_type": event_type,
            "tenant": "default",
            "environment": "production",
            "service": {"name": "triage", "version": "1.4.0"},
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "time": {"start": "@now", "end": "@now"},
            "usage": {"input_tokens": 1200, "output_tokens": 80},
            "attributes": {"gen_ai.response.id": "x" * (ENVELOPE_BYTES - 460)},
        }
    )


def whole(settings: Settings) -> tuple[float, float]:
    """Run `spanledger verify` itself, from opening the store to the verdict."""
    os.environ["SPANLEDGER_DIR"] = str(settings.directory)
    out = io.StringIO()
    start, cpu = time.perf_counter(), time.process_time()
    with redirect_stdout(out):
        status = command(["verify", "--json"])
    assert status == 0, out.getvalue()
    return time.perf_counter() - start, time.process_time() - cpu


def walk(settings: Settings) -> tuple[float, float]:
    """Judge hashes, links and segments as the command line does, on one core.

    Loading what hashes columns is counted, too.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before the engine starts its threads
    with open_store(settings, role="reader") as store:
        source, findings = StoreSource(store), Findings()
        view = review_log(source.log(), findings)
        start, cpu = time.perf_counter(), time.process_time()
        steps = ChainWalk(findings, view.segments, column_hashes.column_hashes(source.row_count()))
        for batch in source.rows():
            steps.feed(batch)
        steps.finish()
        assert findings.verdict().word == "verified"
        return time.perf_counter() - start, time.process_time() - cpu


def plain(settings: Settings) -> tuple[float, float]:
    """Do the same with the standard library alone."""
    column_hashes.BULK_ROWS = 2**64
    return walk(settings)


def sql(settings: Settings) -> tuple[float, float]:
    """Judge hashes, links and segments inside the server."""
    with open_store(settings, role="reader") as store:
        source, findings = StoreSource(store), Findings()
        view = review_log(source.log(), findings)
        start, cpu = time.perf_counter(), time.process_time()
        walk_in_sql(source, view.segments, findings)
        assert findings.verdict().word == "verified"
        return time.perf_counter() - start, time.process_time() - cpu


MEASURES: dict[str, Callable[[Settings], tuple[float, float]]] = {
    "whole": whole,
    "walk": walk,
    "plain": plain,
    "sql": sql,
}


def measure(name: str, directory: str, answers: Any) -> None:
    """Run one measure in this fresh process; report seconds, processor seconds of all threads, and peak memory."""
    settings = settings_of(Path(directory))
    seconds, cpu = MEASURES[name](settings)
    answers.put((seconds, cpu, peak_mb()))


def peak_mb() -> float:
    """Return this process's own peak of resident memory; getrusage would count that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def measured(name: str, directory: Path, *, rounds: int) -> tuple[float, float, float]:
    """Return median seconds, median processor seconds and the largest peak memory (MB) of a few fresh processes."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    found: list[tuple[float, float, float]] = []
    for _ in range(rounds):
        process = context.Process(target=measure, args=(name, str(directory), answers))
        process.start()
        found.append(answers.get())
        process.join()
    wall, cpu, memory = zip(*found, strict=True)
    return median(wall), median(cpu), max(memory)


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Draw processor time against rows: a straight line of slope one is linear, whatever else the machine does."""
    plt = importlib.import_module("matplotlib.pyplot")  # not needed to measure, only to draw
    figure, axes = plt.subplots(figsize=(7, 4.2))
    rows = [result["rows"] for result in results]
    labels = {
        "whole": "verify, everything",
        "walk": "verify, rows",
        "plain": "the same without the extra `bulk`",
        "sql": "verify --sql, rows",
    }
    for name, label in labels.items():
        axes.plot(rows, [result[f"{name}_cpu"] for result in results], marker="o", label=label)
    largest = results[-1]
    straight = [largest["whole_cpu"] * size / largest["rows"] for size in rows]
    axes.plot(rows, straight, color="grey", linestyle=":", label="in proportion to the rows")
    axes.set_xlim(rows[0] * 0.8, rows[-1] * 1.25)
    axes.set(xscale="log", yscale="log", xlabel="rows (1 kB envelopes)", ylabel="processor seconds, all threads")
    axes.set_title("Time to judge a ledger")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> int:
    """Measure, print, and draw if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="10000,100000", help="sizes, separated by commas")
    parser.add_argument("--plot", type=Path, help="draw time against rows into this PNG (needs matplotlib)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="fresh processes for each figure")
    parser.add_argument("--keep", type=Path, help="write the ledger into this empty directory, and keep it")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument(
        "--from", dest="earlier", type=Path, help="measure nothing, draw the figures of an earlier --json"
    )
    arguments = parser.parse_args()
    if arguments.earlier:
        plot(json.loads(arguments.earlier.read_text()), arguments.plot)
        return 0
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    results: list[dict[str, Any]] = []
    directory = arguments.keep or Path(tempfile.mkdtemp(prefix="verify-speed-"))
    start = 0
    try:
        for rows in sorted(map(int, arguments.rows.split(","))):
            grow(directory, rows, start=start)
            start = rows
            result: dict[str, Any] = {"rows": rows}
            for name in MEASURES:
                seconds, cpu, memory = measured(name, directory, rounds=arguments.rounds)
                result |= {name: seconds, f"{name}_cpu": cpu, f"{name}_mb": memory}
                speed = f"{seconds:8.2f} s ({cpu:.2f} s of processor: {rows / cpu:,.0f} rows/s and core)"
                print(f"{rows:>9,} rows  {name:<5} {speed}  peak {memory:,.0f} MB", flush=True)
            results.append(result)
            if arguments.json:
                arguments.json.write_text(json.dumps(results, indent=1))
    finally:
        if not arguments.keep:
            shutil.rmtree(directory)
    if arguments.plot:
        plot(results, arguments.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
