"""Rows per second of the write path on one core, against the persisting audit packages on PyPI, in one run.

    python tests/benchmarks/write_path.py [--rows 20000] [--no-peers]

Every writer gets the same record of about 2 kB and must have it in a file (or SQLite) when its call returns, chained to
the one before; only `durability=power` syncs the disk. Target: 100,000 rows per second and core for chain plus spool.
The peers are installed into a temporary environment and run there; figures are medians of five rounds, on this machine,
now. Rows per CPU second are what one core does; rows per second of wall time also hold what else the machine had to do.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

import orjson

from spanledger_exporter.config import load_settings
from spanledger_exporter.normalise.fallback import encode_envelope
from spanledger_exporter.recorder import Recorder
from spanledger_exporter.spool.chain import Chain

Rates = tuple[float, float]
PEERS = ["aevum-core", "halo-record", "agent-governance-toolkit[core]"]
ROUNDS = 5
RECORD = {
    "schema": "spanledger.event/1",
    "event_id": "4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7",
    "event_type": "model_call",
    "tenant": "default",
    "service": {"name": "triage", "version": "1.4"},
    "time": {"start": "1795256758330363378", "end": "1795256759330363378"},
    "snapshot": {"provider": "openai", "model": "gpt-4o-2024-08-06", "model_params": {"temperature": "0.2"}},
    "usage": {"input_tokens": 1000, "output_tokens": 50},
    "input": [
        {
            "role": "user",
            "type": "text",
            "ref": f"{number:064x}",
            "bytes": 812,
            "media": "text/plain",
            "class": "payload",
        }
        for number in range(10)
    ],
}

PEER_PROGRAM = """
import json, os, statistics, sys, tempfile, time, warnings
warnings.simplefilter("ignore")
record, rows, rounds = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
os.chdir(tempfile.mkdtemp())

def halo():

    import importlib
    log = importlib.import_module("halo_record.record").Recorder("halo.jsonl")
    return lambda: log.append({"record_id": os.urandom(8).hex(), "action": dict(record)})

def toolkit_file():
    from agentmesh.governance.audit import AuditLog
    from agentmesh.governance.audit_backends import FileAuditSink
    log = AuditLog(sink=FileAuditSink("toolkit.jsonl", b"k" * 32))
    return lambda: log.log("model_call", "did:mesh:agent", "chat", data=record)

def toolkit_sqlite():
    from agent_control_plane.flight_recorder import FlightRecorder
    recorder = FlightRecorder("toolkit.db", enable_batching=False)
    text = json.dumps(record)
    return lambda: recorder.start_trace("agent", "chat", record, text)

def aevum():
    import hashlib
    from aevum.core.audit.sigchain import Sigchain
    from aevum.core.sqlite_store import SqliteReceiptStore
    chain, store = Sigchain(), SqliteReceiptStore("aevum.db")
    def append():
        event = chain.new_event(event_type="model_call", payload=record, actor="agent")
        blob = repr(event).encode()
        store.put(hashlib.sha256(blob).hexdigest(), blob)
    return append

found = {}
for name, make in {
    "halo-record, JSON lines": halo,
    "agent-governance-toolkit, FileAuditSink": toolkit_file,
    "agent-governance-toolkit, FlightRecorder": toolkit_sqlite,
    "aevum-core, Sigchain + SqliteReceiptStore": aevum,
}.items():
    try:
        append = make()
        rates = []
        for _ in range(rounds):
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(rows):
                append()
            rates.append((rows / (time.process_time() - cpu), rows / (time.perf_counter() - wall)))
        found[name] = [statistics.median(column) for column in zip(*rates)]
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
"""


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--peer-rows", type=int, default=300)
    parser.add_argument("--no-peers", action="store_true")
    arguments = parser.parse_args()
    size = len(encode_envelope(RECORD))
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, records of {size} bytes")
    ours = {
        "spanledger: chain + spool": _rates(_chain_and_spool, arguments.rows),
        "spanledger: record(), encoding included": _rates(_recorder, arguments.rows),
        "spanledger: record(), durability=power": _rates(_durable, min(arguments.rows, 200)),
    }
    peers = {} if arguments.no_peers else _peers(arguments.peer_rows)
    best = ours["spanledger: record(), encoding included"]
    print(f"{'':<46} {'rows per CPU second':>20} {'rows per second':>16} {'CPU ratio':>10}")
    for name, rates in {**ours, **peers}.items():
        if isinstance(rates, str):
            print(f"{name:<46} did not run: {rates}")
        else:
            print(f"{name:<46} {rates[0]:>20,.0f} {rates[1]:>16,.0f} {best[0] / rates[0]:>9.1f}×")


def _rates(make: Callable[[Path], Callable[[], object]], rows: int) -> Rates:
    """Return rows per CPU second and per second of wall time."""
    rates: list[Rates] = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as directory:
            append = make(Path(directory))
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(rows):
                append()
            rates.append((rows / (time.process_time() - cpu), rows / (time.perf_counter() - wall)))
    return statistics.median(rate[0] for rate in rates), statistics.median(rate[1] for rate in rates)


def _chain_and_spool(directory: Path) -> Callable[[], object]:
    chain = Chain(directory, b"c" * 16, clock=time.time_ns)
    env = orjson.dumps(RECORD, option=orjson.OPT_SORT_KEYS)
    return lambda: chain.append(env, (), tenant="default")


def _recorder(directory: Path) -> Callable[[], object]:
    recorder = Recorder(load_settings({"SPANLEDGER_DIR": str(directory)}), role="cli")
    return lambda: recorder.record(RECORD)


def _durable(directory: Path) -> Callable[[], object]:
    settings = load_settings({"SPANLEDGER_DIR": str(directory), "SPANLEDGER_DURABILITY": "power"})
    recorder = Recorder(settings, role="cli")
    return lambda: recorder.record(RECORD)


def _peers(rows: int) -> dict[str, Rates | str]:
    with tempfile.TemporaryDirectory() as directory:
        venv.create(directory, with_pip=True)
        python = str(Path(directory) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "-q", *PEERS], check=True, stderr=subprocess.DEVNULL)
        finished = subprocess.run(
            [python, "-c", PEER_PROGRAM, json.dumps(RECORD), str(rows), str(ROUNDS)],
            check=True,
            capture_output=True,
            text=True,
        )
    found: dict[str, Rates | str] = json.loads(finished.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
