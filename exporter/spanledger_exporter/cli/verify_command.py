"""`spanledger verify`: judge the ledger.

Exit status: 0 verified · 1 tampered · 2 incomplete or not anchored · 3 cannot verify.
It writes nothing, to no table and no anchor; `--since-checkpoint` alone keeps a memory of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spanledger_exporter.anchors.anchor import Notary
from spanledger_exporter.anchors.configured import open_anchors
from spanledger_exporter.cli.progress import Progress
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.errors import ConfigurationError, DataError, SpanledgerError, StoreError, UsageError
from spanledger_exporter.store.connection import open_store
from spanledger_exporter.verify import standalone
from spanledger_exporter.verify.anchored import read_anchors
from spanledger_exporter.verify.export_source import ExportSource
from spanledger_exporter.verify.local import check_keys, load_trust, pin_of, read_spool, sealed_elsewhere
from spanledger_exporter.verify.memory import default_memory_path, load_memory, note_memory, save_memory
from spanledger_exporter.verify.report import format_verdict
from spanledger_exporter.verify.sql_walk import walk_in_sql
from spanledger_exporter.verify.store_source import StoreSource
from spanledger_exporter.verify.table_review import review_tables
from spanledger_exporter.verify.trust import Trust
from spanledger_exporter.verify.verdict import Findings, Verdict
from spanledger_exporter.verify.verifier import Surroundings, verify_ledger

EPILOG = """exit status: 0 verified, 1 tampered, 2 incomplete or not anchored, 3 cannot verify

examples:
  spanledger verify
  spanledger verify --json | jq .verdict
  spanledger verify --offline rows.jsonl
  spanledger verify --trust-root 5f2c…"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `verify`."""
    parser.add_argument("--json", action="store_true", help="print the verdict as one JSON document")
    parser.add_argument("--offline", metavar="EXPORT", type=Path, help="judge a JSON Lines export or a bundle instead")
    parser.add_argument(
        "--sql", action="store_true", help="let the server judge rows itself: a health check, no evidence"
    )
    parser.add_argument("--key", metavar="VKEY", action="append", default=[], help="believe this key and no other")
    parser.add_argument("--trust-root", metavar="SHA256|FILE", help="believe the trust root with this digest")
    parser.add_argument(
        "--since-checkpoint",
        metavar="FILE",
        nargs="?",
        const=default_memory_path(),
        type=Path,
        help="the log must extend what the last verification saw, and every row is read all the same; "
        "default memory: %(const)s",
    )
    parser.add_argument(
        "--columns",
        choices=("auto", "python", "sql"),
        default="auto",
        help="who re-derives the typed columns; auto: Python up to 20,000 rows, then the server and a sample in Python",
    )


def run(arguments: argparse.Namespace) -> int:
    """Judge and print; the exit status is the verdict."""
    settings = load_settings()
    verdict = _offline(arguments) if arguments.offline else _judge(arguments, settings)
    if isinstance(verdict, dict):
        return _print_bundle(verdict, as_json=arguments.json)
    if arguments.json:
        # Not orjson: a row that claims the last 64-bit number there is makes counts that orjson refuses.
        sys.stdout.write(json.dumps(verdict.as_json(), indent=2) + "\n")
    else:
        sys.stdout.write(format_verdict(verdict))
    return verdict.exit_status


def _offline(arguments: argparse.Namespace) -> Verdict | dict[str, Any]:
    if arguments.since_checkpoint:
        raise UsageError("expected --since-checkpoint with a store, got --offline: a file does not hold the log")
    if arguments.offline.suffix == ".zip":
        check_keys(arguments.key)
        return standalone.verify_file(arguments.offline, keys=arguments.key, trust_root=pin_of(arguments.trust_root))
    findings = Findings()
    try:
        source = ExportSource.read(arguments.offline)
    except SpanledgerError as error:
        report = findings.tampered if isinstance(error, DataError) else findings.unverifiable
        report("integrity", str(error))
        findings.skip_rest("not checked: the file cannot be read")
        return findings.verdict()
    findings.skipped("columns", "an export has no typed columns")
    findings.skipped("content", "an export has no contents: make an evidence bundle")
    return verify_ledger(source, Surroundings(has_log=False), findings)


def _print_bundle(verdict: Mapping[str, Any], *, as_json: bool) -> int:
    text = json.dumps(verdict, indent=2) if as_json else standalone.render(verdict)
    sys.stdout.write(text + "\n")
    return standalone.EXIT_STATUS[verdict["verdict"]]


def _judge(arguments: argparse.Namespace, settings: Settings) -> Verdict:
    findings = Findings()
    trust = _trust(arguments, settings, findings)
    memory: Path | None = arguments.since_checkpoint
    remembered = load_memory(memory, origins=trust.origins) if memory else []
    if memory:
        note_memory(memory, remembered, findings)
    anchors = open_anchors(settings)
    surroundings = Surroundings(
        trust=trust,
        anchored=read_anchors(anchors, sealed_elsewhere=sealed_elsewhere(settings)),
        notaries=[anchor for anchor in anchors if isinstance(anchor, Notary)],
        spooled=read_spool(settings),
        remembered=remembered,
        is_local=settings.is_embedded,
    )
    try:
        verdict = _judge_store(arguments, settings, surroundings, findings)
    except StoreError as error:
        findings.unverifiable("integrity", f"the store cannot be read: {error}")
        findings.skip_rest("not checked: the store cannot be read")
        return findings.verdict()
    if memory and verdict.word != "tampered" and verdict.newest is not None:
        try:
            save_memory(memory, verdict.newest)
        except ConfigurationError as error:
            findings.incomplete("completeness", str(error))  # next time nothing would be held against this one
            return findings.verdict()
    return verdict


def _trust(arguments: argparse.Namespace, settings: Settings, findings: Findings) -> Trust:
    try:
        return load_trust(settings, keys=arguments.key, trust_root=arguments.trust_root)
    except SpanledgerError as error:
        findings.unverifiable("authenticity", f"the keys to believe cannot be told: {error}")
        return Trust()


def _judge_store(
    arguments: argparse.Namespace, settings: Settings, surroundings: Surroundings, findings: Findings
) -> Verdict:
    if not settings.has_store:
        return verify_ledger(ExportSource(()), surroundings, findings)  # opening it would make it
    with open_store(settings, role="reader") as store:
        source = StoreSource(store, columns="sql" if arguments.sql else arguments.columns)
        bar = _Bar(source.row_count())
        try:
            return verify_ledger(
                source,
                surroundings,
                findings,
                progress=bar,
                walk=(lambda view, found: walk_in_sql(source, view.segments, found)) if arguments.sql else None,
                review=lambda acts, found: review_tables(store, source.tables, acts, found),
            )
        finally:
            bar.finish()


class _Bar:
    """Turns the verifier's steps into a progress line."""

    def __init__(self, rows: int) -> None:
        self._progress = Progress("verify rows", total=rows)

    def __call__(self, step: str, rows: int) -> None:
        if step == "rows":
            self._progress.advance(rows - self._progress.done)

    def finish(self) -> None:
        self._progress.finish()
