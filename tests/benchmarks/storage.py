"""Bytes on disk per call of a long conversation, against storing each request in full, in the same engine.

    python tests/benchmarks/storage.py [--turns 50] [--conversations 8] [--message-bytes 4000] [--plot FILE.png]

A chat resends its history on every turn. Conversations run side by side, as they do in a real store, so that neighbours
on the disk belong to different ones. Both sides use ClickHouse with ZSTD(3), merged to one part; the texts are random
words, about as compressible as prose. Ours holds intent and completion of every call; the other side holds the request
and the answer once each.
"""

from __future__ import annotations

import argparse
import platform
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import TracerProvider

from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.otel.ledger import SpanLedger
from spanledger_exporter.otel.processor import AuditSpanProcessor
from spanledger_exporter.ship.shipper import drain
from spanledger_exporter.store.connection import Store, open_store
from spanledger_semconv.invocation import CONTEXT_KEY, Invocation, InvocationRequest, InvocationResult, Usage

SYSTEM = "You sort alerts. " * 40
Message = dict[str, Any]


def main() -> None:
    """Print bytes per call and their ratio, after every tenth turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--conversations", type=int, default=8)
    parser.add_argument("--message-bytes", type=int, default=4_000)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, messages of {arguments.message_bytes} bytes")
    steps = sorted({1, *range(10, arguments.turns + 1, 10), arguments.turns})
    measured = [(turns, *_measure(turns, arguments)) for turns in steps]
    print(f"{'turns':>5} {'ledger, bytes/call':>20} {'full requests, bytes/call':>27} {'share':>7}")
    for turns, ours, full in measured:
        print(f"{turns:>5} {ours:>20,.0f} {full:>27,.0f} {ours / full:>7.3f}")
    if arguments.plot:
        _plot(measured, arguments)


def _measure(turns: int, arguments: argparse.Namespace) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as directory:
        settings = load_settings({"SPANLEDGER_DIR": directory})
        calls = list(_calls(turns, arguments))
        _record(settings, calls)
        with open_store(settings, role="owner") as store:
            drain(settings, store)
            ours = sum(_on_disk(store, table) for table in ("rows", "content"))
            full = _store_in_full(store, calls)
    return ours / len(calls), full / len(calls)


def _calls(turns: int, arguments: argparse.Namespace) -> Iterator[tuple[list[Message], Message]]:
    """Yield history and answer of every call, the conversations in turn."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(8_000)]
    histories: list[list[Message]] = [[] for _ in range(arguments.conversations)]
    for _ in range(turns):
        for history in histories:
            history.append(_message("user", chance, words, arguments.message_bytes))
            answer = _message("assistant", chance, words, arguments.message_bytes)
            yield list(history), answer
            history.append(answer)


def _message(role: str, chance: random.Random, words: list[str], size: int) -> Message:
    text = " ".join(chance.choices(words, k=size // 6))[:size]
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def _record(settings: Settings, calls: list[tuple[list[Message], Message]]) -> None:
    provider = TracerProvider()
    provider.add_span_processor(AuditSpanProcessor(SpanLedger(settings)))
    tracer = provider.get_tracer("spanledger.openai")
    for history, answer in calls:
        system = [{"type": "text", "content": SYSTEM}]
        invocation = Invocation(InvocationRequest("chat", "openai", "gpt-4o", {}, system, history))
        span = tracer.start_span("chat gpt-4o", Context({**get_current(), CONTEXT_KEY: invocation}))
        invocation.result = InvocationResult(
            "success", model="gpt-4o", usage=Usage(1000, 100), output_messages=[answer]
        )
        span.end()
    provider.shutdown()


def _store_in_full(store: Store, calls: list[tuple[list[Message], Message]]) -> int:
    table = f"{store.database}.requests_in_full"
    store.command(f"CREATE TABLE {table} (n UInt64, body String CODEC(ZSTD(3))) ENGINE = MergeTree ORDER BY n")
    for start in range(0, len(calls), 50):
        rows = [
            (start + index, orjson.dumps({"system": SYSTEM, "messages": history, "answer": answer}).decode())
            for index, (history, answer) in enumerate(calls[start : start + 50])
        ]
        store.insert("requests_in_full", ["n", "body"], rows)
    return _on_disk(store, "requests_in_full")


def _on_disk(store: Store, table: str) -> int:
    store.command(f"OPTIMIZE TABLE {store.database}.{table} FINAL")
    found = store.query(
        "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = {database:String} "
        "AND table = {table:String}",
        {"database": store.database, "table": table},
    )
    return int(found[0][0])


def _plot(measured: list[tuple[int, float, float]], arguments: argparse.Namespace) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    turns = [row[0] for row in measured]
    axes.plot(turns, [row[2] / 1000 for row in measured], marker="o", color="#b3541e", label="each request in full")
    axes.plot(
        turns, [row[1] / 1000 for row in measured], marker="o", color="#1f6f8b", label="ledger, intent rows included"
    )
    axes.set_xlabel("turns of the conversation")
    axes.set_ylabel("kB on disk per call, average")
    axes.set_title(f"Storage of a conversation, messages of {arguments.message_bytes / 1000:g} kB, ZSTD(3)")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(arguments.plot, dpi=150)


if __name__ == "__main__":
    main()
