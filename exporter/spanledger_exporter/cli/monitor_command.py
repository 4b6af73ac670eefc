"""`spanledger monitor`: look at the ledger again and again, and raise alarms.

Exit status: 0 stopped, or `--once` found nothing · 1 tampered · 2 incomplete or late · 3 cannot tell.
With --webhook it goes on after an alarm; without, it ends with the alarm's status, for its supervisor to see.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import threading
from collections.abc import Callable, Generator
from pathlib import Path

from spanledger_exporter.anchors.configured import open_anchors
from spanledger_exporter.cli.numbers import interval_s
from spanledger_exporter.cli.talk import say
from spanledger_exporter.cli.termination import on_stop
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.errors import SpanledgerError, StoreError
from spanledger_exporter.monitor.alarm import as_row, describe, post
from spanledger_exporter.monitor.look import MAX_AGE_S, Look, look
from spanledger_exporter.monitor.metrics import MonitorMetrics, metrics_provider
from spanledger_exporter.monitor.watch import Watch
from spanledger_exporter.recorder import Recorder
from spanledger_exporter.store.connection import open_store
from spanledger_exporter.verify.local import load_trust
from spanledger_exporter.verify.memory import default_memory_path, load_memory, save_memory

EPILOG = """examples:
  spanledger monitor --once
  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317 spanledger monitor --webhook https://alerts.example/hook"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("--once", action="store_true", help="look once and exit with the verdict")
    parser.add_argument("--full", action="store_true", help="do everything that `verify` does at every look")
    parser.add_argument("--interval", type=interval_s, default=60.0, metavar="S", help="seconds between looks (60)")
    parser.add_argument("--max-age", type=interval_s, default=MAX_AGE_S, metavar="S", help="how late is late (900)")
    parser.add_argument("--webhook", metavar="URL", help="where to post alarms, as JSON")
    parser.add_argument("--memory", type=Path, metavar="FILE", help="where to remember checkpoints (outside the store)")
    parser.add_argument("--trust-root", metavar="SHA256|FILE", help="believe the trust root with this digest")
    parser.add_argument("--key", metavar="VKEY", action="append", default=[], help="believe this key and no other")
    parser.add_argument("--json", action="store_true", help="print each look as one line of JSON")


def run(arguments: argparse.Namespace) -> int:
    """Look once, or until stopped."""
    settings = load_settings()
    with _told(arguments, settings) as tell:
        watch = Watch(
            look=lambda: _look(arguments, settings),
            tell=tell,
            alarm=lambda seen: _post(arguments.webhook, seen),
            interval_s=arguments.interval,
            has_outlet=bool(arguments.webhook),
        )
        if arguments.once:
            return watch.once().verdict.exit_status
        stop = threading.Event()
        on_stop(stop.set)
        return watch.run(stop)


def _look(arguments: argparse.Namespace, settings: Settings) -> Look:
    trust = load_trust(settings, keys=arguments.key, trust_root=arguments.trust_root)
    memory = arguments.memory or default_memory_path()
    remembered = load_memory(memory, origins=trust.origins)
    anchors = open_anchors(settings)
    if not settings.has_store:
        raise StoreError(f"expected a store in {settings.store_directory}, got none: was it removed, or never made?")
    with open_store(settings, role="reader") as store:
        seen = look(
            store,
            settings=settings,
            trust=trust,
            anchors=anchors,
            remembered=remembered,
            is_full=arguments.full,
            max_age_s=arguments.max_age,
        )
    if seen.verdict.word != "tampered" and seen.verdict.newest is not None:
        save_memory(memory, seen.verdict.newest)
    return seen


@contextlib.contextmanager
def _told(arguments: argparse.Namespace, settings: Settings) -> Generator[Callable[[Look, bool], None]]:
    """Yield what tells of a look: on stdout, as metrics, and as a row when the verdict is another one."""
    provider = metrics_provider(os.environ)
    metrics = MonitorMetrics(provider) if provider is not None else None
    recorder = Recorder(settings, role="monitor")

    def tell(seen: Look, is_news: bool) -> None:
        told = describe(seen)
        if metrics is not None:
            metrics.newest = seen
        _print(told, is_json=arguments.json)
        if is_news:
            try:
                recorder.record(as_row(told))
            except SpanledgerError as error:
                say(error)

    try:
        yield tell
    finally:
        recorder.close()
        if provider is not None:
            provider.shutdown()  # exports the newest look


def _print(told: dict[str, object], *, is_json: bool) -> None:
    if is_json:
        print(json.dumps(told), flush=True)  # noqa: T201
        return
    scope = "everything" if told["rows_read"] else "log, checkpoints, anchors, tables; rows are read with --full"
    figures = f"log size {told['log_size']}, {told['unsealed_rows']} rows not sealed"
    print(f"{told['verdict']} ({scope}): {figures}", flush=True)  # noqa: T201
    findings = told["findings"]
    assert isinstance(findings, list)  # noqa: S101 - as `describe` makes it
    for finding in findings:
        place = f" chain {finding['chain']} row {finding['seq']}" if finding["chain"] else ""
        say(f"  {finding['check']} {finding['kind']}:{place} {finding['reason']}", by="")


def _post(url: str | None, seen: Look) -> bool:
    if url is None:
        return True
    try:
        post(url, describe(seen))
    except SpanledgerError as error:
        say(error)
        return False
    return True
