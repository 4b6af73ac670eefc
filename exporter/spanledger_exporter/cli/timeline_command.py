"""`spanledger timeline`: a case or a trace, step by step, in causal order."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from spanledger_exporter.cli.output import (
    OutputOptions,
    add_output_arguments,
    output_options,
    print_records,
    print_text,
)
from spanledger_exporter.cli.reading import add_reading_arguments, opened, spooled, terminal_style
from spanledger_exporter.cli.talk import say
from spanledger_exporter.errors import UsageError
from spanledger_exporter.read.contents import ReadableContent, load_contents
from spanledger_exporter.read.event import Event
from spanledger_exporter.read.finding import find_case, find_trace
from spanledger_exporter.read.waterfall import WaterfallOptions, format_waterfall, plain

EPILOG = """examples:
  spanledger timeline --case CASE-1 --reason "complaint 2026-17"
  spanledger timeline --trace 8efcecd40e9982f05d8d0f57ab2d4e8e --format json
  spanledger timeline --case CASE-1 --waterfall --utc

JSON holds the envelopes in causal order, each with chain, seq, row_hash and state; an intent is folded into its
completion, and one without a completion has the outcome "incomplete"."""

_TRACE_ID = re.compile(r"[0-9a-fA-F]{32}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--case", metavar="CASE", help="business case")
    what.add_argument("--trace", metavar="TRACE", help="OpenTelemetry trace id, hex")
    parser.add_argument("--waterfall", action="store_true", help="bars only, one line per event")
    parser.add_argument("--no-content", action="store_true", help="leave prompts and answers out")
    parser.add_argument("--content", action="store_true", help="put the texts into JSON, CSV and Parquet too")
    parser.add_argument("--full", action="store_true", help="show contents whole")
    add_reading_arguments(parser)
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the timeline; an empty one is said on stderr."""
    options = output_options(arguments)
    if not (arguments.case or arguments.trace):
        raise UsageError("expected a case or a trace, got an empty one")
    if arguments.trace and not _TRACE_ID.fullmatch(arguments.trace):
        raise UsageError(
            f"expected a trace id of 32 hex digits, got {arguments.trace!r}: `spanledger search --json` shows trace_id"
        )
    with opened(arguments, "timeline", {"case_id": arguments.case, "trace_id": arguments.trace}) as (settings, store):
        tenant, unshipped = arguments.tenant, spooled(settings, tenant=arguments.tenant)
        if arguments.case is not None:
            events = find_case(store, arguments.case, tenant=tenant, unshipped=unshipped)
        else:
            events = find_trace(store, arguments.trace, tenant=tenant, unshipped=unshipped)
        wants_content = arguments.content or (
            options.is_for_people and not arguments.no_content and not arguments.waterfall
        )
        contents = load_contents(store, events, tenant=tenant, unshipped=unshipped) if wants_content else None
    if not events:
        say(f"nothing is recorded about {arguments.case or arguments.trace}")
    if len(tenants := {event.text("tenant") for event in events}) > 1:
        say(f"events of tenants {', '.join(sorted(tenants))} are shown; --tenant shows those of one")
    if options.is_for_people:
        _print_waterfall(arguments, events, contents, options)
    else:
        print_records([event_record(event, contents) for event in events], options, columns=())
    return 0


def event_record(event: Event, contents: Mapping[str, ReadableContent] | None) -> dict[str, Any]:
    """Return what programs get of an event; with `contents`, each reference carries its text."""
    record = event.as_record()
    if contents is not None:
        for name in ("input", "output"):
            if isinstance(record.get(name), list):
                record[name] = [_with_text(item, contents) for item in record[name]]
    return record


def _with_text(item: Any, contents: Mapping[str, ReadableContent]) -> Any:
    content = contents.get(item.get("ref", "")) if isinstance(item, dict) else None
    return item if content is None else {**item, "text": content.text}


def _print_waterfall(
    arguments: argparse.Namespace,
    events: Sequence[Event],
    contents: Mapping[str, ReadableContent] | None,
    options: OutputOptions,
) -> None:
    waterfall = WaterfallOptions(
        contents=contents,
        full=arguments.full,
        utc=options.utc,
        facts=not arguments.waterfall,
        style=terminal_style if sys.stdout.isatty() and options.path is None else plain,
    )
    print_text(format_waterfall(arguments.case or arguments.trace, events, waterfall), options)
