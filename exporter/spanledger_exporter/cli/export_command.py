"""`spanledger export`: every row of every event type, as JSON Lines, CSV or Parquet."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from spanledger_exporter.cli.output import OutputOptions, output_file
from spanledger_exporter.cli.progress import Progress
from spanledger_exporter.cli.reading import add_reading_arguments, opened
from spanledger_exporter.cli.talk import say
from spanledger_exporter.read.criteria import Criteria
from spanledger_exporter.read.exporting import count_rows, export_rows
from spanledger_exporter.read.when import parse_span

EPILOG = """examples:
  spanledger export --format jsonl -o rows.jsonl
  spanledger export --format parquet --case CASE-1 -o case.parquet
  spanledger export --format csv --since 2026-11-01 --until 2026-12-01 > november.csv

JSON Lines hold chain, seq, prev_hash, time_ns, env, env_hash and row_hash of each row, as a verifier wants them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.add_argument("--format", choices=("jsonl", "csv", "parquet"), default="jsonl", help="default: jsonl")
    parser.add_argument("--json", dest="format", action="store_const", const="jsonl", help="same as --format jsonl")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write to FILE instead of stdout")
    parser.add_argument("--since", metavar="TIME", help="from this time on")
    parser.add_argument("--until", metavar="TIME", help="before this time")
    parser.add_argument("--case", default="", help="only this business case")
    parser.add_argument("--event-type", default="", help="only this event type")
    add_reading_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the rows, and say on stderr how many."""
    since_ns, until_ns = parse_span(arguments.since, arguments.until, now_ns=time.time_ns())
    criteria = Criteria(
        since_ns=since_ns,
        until_ns=until_ns,
        case_id=arguments.case,
        event_type=arguments.event_type,
        tenant=arguments.tenant,
    )
    chosen = ("format", "since", "until", "case", "event_type")
    asked = {name: getattr(arguments, name) for name in chosen}
    with opened(arguments, "export", asked) as (_, store):
        progress = Progress("exporting", total=count_rows(store, criteria))
        with output_file(OutputOptions(arguments.format, arguments.output)) as out:
            total = export_rows(store, criteria, arguments.format, out, advance=progress.advance)
        progress.finish()
    say(f"{total:,} rows exported")
    return 0
