"""`spanledger seal`: fold shipped rows into the log, sign a checkpoint, have it anchored.

Exit status: 0 sealed and anchored, or nothing to do · 1 rows, log or anchors contradict each other · 2 sealed, but an
anchor failed · 69 another sealer is at work, or the store is unavailable.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from spanledger_exporter.anchors.anchor import Anchor
from spanledger_exporter.anchors.configured import open_anchors, weakness
from spanledger_exporter.cli.numbers import interval_s
from spanledger_exporter.cli.talk import say
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.errors import VerificationError
from spanledger_exporter.seal.follow import follow
from spanledger_exporter.seal.sealer import SealReport, seal
from spanledger_exporter.seal.sealing_keys import open_sealing_keys
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema

EPILOG = """examples:
  spanledger seal
  spanledger seal --follow"""

INTERVAL_S = 10.0
HEARTBEAT_S = 300.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--once", action="store_true", help="seal what is there and leave (default)")
    mode.add_argument("--follow", action="store_true", help="go on sealing until stopped")
    parser.add_argument(
        "--interval", type=interval_s, default=INTERVAL_S, metavar="S", help="seconds between two seals (10)"
    )
    parser.add_argument(
        "--heartbeat",
        type=interval_s,
        default=HEARTBEAT_S,
        metavar="S",
        help="with --follow: sign at least that often (300)",
    )
    parser.add_argument("--restore", metavar="REASON", help="log that data was restored from a backup, and why")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Seal once or for ever."""
    settings = load_settings()
    anchors = open_anchors(settings)
    with open_store(settings, role="owner", lasting=arguments.follow) as store:
        ensure_schema(store)
        try:
            return _seal(arguments, settings, store, anchors)
        except VerificationError as error:
            say(error)
            return 1


def _seal(arguments: argparse.Namespace, settings: Settings, store: Store, anchors: list[Anchor]) -> int:
    keys = open_sealing_keys(settings, store, anchors)
    if (warning := weakness(anchors, settings)) and not arguments.json:
        say(warning)
    if arguments.follow:
        return follow(
            store,
            settings=settings,
            keys=keys,
            anchors=anchors,
            interval_s=arguments.interval,
            heartbeat_s=arguments.heartbeat,
            tell=lambda report: _tell(report, is_json=arguments.json),
        )
    acts = [("restore", {"reason": arguments.restore})] if arguments.restore else []
    report = seal(store, settings=settings, keys=keys, anchors=anchors, acts=acts)
    _tell(report, is_json=arguments.json)
    return exit_status(report)


def exit_status(report: SealReport) -> int:
    """Return 1 for rows or anchors that contradict, 2 for anchors that failed, else 0."""
    statuses = {publication.status for publication in report.publications}
    if report.breaks or "conflict" in statuses:
        return 1
    return 2 if "failed" in statuses else 0


def report_as_json(report: SealReport) -> dict[str, Any]:
    """Return the report as JSON values."""
    return {
        "size": report.size,
        "root": report.root.hex(),
        "checkpoint": report.note,
        "new": report.is_new,
        "rows": report.rows,
        "segments": report.segments,
        "entries": report.entries,
        "adopted": report.adopted,
        "breaks": [{"chain": b.chain.hex(), "seq": b.seq, "reason": b.reason} for b in report.breaks],
        "anchors": [
            {"kind": p.kind, "target": p.target, "status": p.status, "detail": p.detail} for p in report.publications
        ],
        "warnings": report.warnings,
    }


def _tell(report: SealReport, *, is_json: bool) -> None:
    if is_json:
        print(json.dumps(report_as_json(report)), flush=True)  # noqa: T201
        return
    for line in _lines(report):
        print(line, flush=True)  # noqa: T201
    for found in report.breaks:
        say(f"NOT SEALED: chain {found.chain.hex()} from row {found.seq}: {found.reason}", by="")
    for publication in report.publications:
        if publication.detail:
            say(f"anchor {publication.kind} {publication.status}: {publication.detail}", by="")
    for warning in report.warnings:
        say(f"warning: {warning}", by="")


def _lines(report: SealReport) -> list[str]:
    if not report.is_new:
        return [f"nothing new; newest checkpoint has size {report.size}" if report.size else "nothing to seal yet"]
    anchored = sum(publication.status == "anchored" for publication in report.publications)
    return [
        f"sealed {report.rows} rows in {report.segments} segments",
        f"checkpoint size {report.size}, root {report.root.hex()}",
        f"{anchored} of {len(report.publications)} anchors have it",
    ]
