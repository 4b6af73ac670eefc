"""`spanledger show`: one event with its envelope, its contents and its place in the chain."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from spanledger_exporter.cli.output import add_output_arguments, output_options, print_records, print_text
from spanledger_exporter.cli.reading import add_reading_arguments, opened, spooled, terminal_style
from spanledger_exporter.cli.talk import say
from spanledger_exporter.cli.timeline_command import event_record
from spanledger_exporter.read.contents import load_contents
from spanledger_exporter.read.encoding import format_json
from spanledger_exporter.read.event import Event
from spanledger_exporter.read.figures import format_visible
from spanledger_exporter.read.finding import find_named
from spanledger_exporter.read.waterfall import WaterfallOptions, format_waterfall, plain

EPILOG = """examples:
  spanledger show 8efcecd40e9982f05d8d0f57ab2d4e8e:4103a71f4ef02715
  spanledger show b002902628b069e81a6d7a816634825e:4 --json        chain and place

Exit status 1 when there is no such event."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.add_argument("event", metavar="EVENT", help="event id, or CHAIN:SEQ")
    add_reading_arguments(parser)
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the event; return 1 when there is none."""
    options = output_options(arguments)
    with opened(arguments, "show", {"event_id": arguments.event}) as (settings, store):
        tenant, unshipped = arguments.tenant, spooled(settings, tenant=arguments.tenant)
        events = find_named(store, arguments.event, tenant=tenant, unshipped=unshipped)
        contents = load_contents(store, events, tenant=tenant, unshipped=unshipped)
    if not events:
        say(f"expected an event with the id {arguments.event}, got none; `spanledger search` finds ids")
        return 1
    if len(events) > 1:
        say(f"{len(events)} rows claim this id; `spanledger verify` judges them")
    if options.is_for_people:
        style = terminal_style if sys.stdout.isatty() and options.path is None else plain
        print_text(_page(events, WaterfallOptions(contents, full=True, utc=options.utc, style=style)), options)
    else:
        print_records([event_record(event, contents) for event in events], options, columns=())
    return 0


def _page(events: Sequence[Event], options: WaterfallOptions) -> str:
    pages: list[str] = []
    for event in events:
        pages += [format_waterfall(event.event_id, [event], options), _place(event), _envelope(event.envelope)]
    return "\n".join(pages)


def _place(event: Event) -> str:
    lines = [f"chain {event.chain} · seq {event.seq} · {event.state}", f"row hash {event.row_hash}"]
    if event.intent is not None:
        lines.append(f"intent   seq {event.intent.seq} · row hash {event.intent.row_hash}")
    lines += [f"received chain {row.chain} · seq {row.seq} · row hash {row.row_hash}" for row in event.received]
    return "\n".join(lines) + "\n"


def _envelope(envelope: Mapping[str, Any]) -> str:
    return "envelope\n" + format_visible(format_json(envelope).decode())  # escapes that JSON reads as the same text
