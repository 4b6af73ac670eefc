"""`spanledger search`: events by criteria, newest first."""

from __future__ import annotations

import argparse
import time

from spanledger_exporter.cli.numbers import positive
from spanledger_exporter.cli.output import add_output_arguments, output_options, print_records
from spanledger_exporter.cli.reading import add_reading_arguments, opened
from spanledger_exporter.cli.talk import say
from spanledger_exporter.read.criteria import DEFAULT_LIMIT, Criteria
from spanledger_exporter.read.event import Event
from spanledger_exporter.read.figures import format_duration, format_money
from spanledger_exporter.read.finding import search
from spanledger_exporter.read.when import parse_span

EPILOG = """examples:
  spanledger search --case CASE-1
  spanledger search --since 2h --event-type model_call --outcome error
  spanledger search --text "svc-backup" --reviewer maria.keller --format csv -o found.csv

Times are ISO 8601 (local where no zone is given), today, yesterday, or an age: 90s, 15m, 2h, 7d, 4w.
`--text` looks into stored contents, names and ids, whatever the case; encrypted contents cannot be searched."""

COLUMNS = ("time", "event_type", "name", "case", "actor", "model", "outcome", "duration", "cost", "state", "event_id")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.add_argument("--since", metavar="TIME", help="from this time on")
    parser.add_argument("--until", metavar="TIME", help="before this time")
    parser.add_argument("--event-type", default="", help="model_call, tool_call, retrieval, decision, human_review, …")
    parser.add_argument("--model", default="", help="model that answered or was asked for")
    parser.add_argument("--actor", default="", help="who acted")
    parser.add_argument("--reviewer", default="", help="who reviewed")
    parser.add_argument("--case", default="", help="business case")
    parser.add_argument("--outcome", default="", help="success, error, escalated, cancelled or incomplete")
    parser.add_argument("--text", default="", help="text in contents, names and ids")
    parser.add_argument(
        "--limit", type=positive, default=DEFAULT_LIMIT, help=f"at most this many; default {DEFAULT_LIMIT}"
    )
    add_reading_arguments(parser)
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what was found, newest first."""
    criteria = criteria_of(arguments)
    asked = {key: value for key, value in vars(arguments).items() if key in _ASKED and value}
    with opened(arguments, "search", asked) as (_, store):
        events = search(store, criteria)
    options = output_options(arguments)
    if options.is_for_people:
        print_records([listing(event) for event in events], options, columns=COLUMNS)
    else:
        print_records([event.as_record() for event in events], options, columns=())
    if len(events) == criteria.limit:
        say(f"showing the newest {criteria.limit}; --limit shows more")
    return 0


_ASKED = {"since", "until", "event_type", "model", "actor", "reviewer", "case", "outcome", "text", "limit"}


def criteria_of(arguments: argparse.Namespace) -> Criteria:
    """Return what the arguments ask for."""
    since_ns, until_ns = parse_span(arguments.since, arguments.until, now_ns=time.time_ns())
    return Criteria(
        since_ns=since_ns,
        until_ns=until_ns,
        event_type=arguments.event_type,
        model=arguments.model,
        actor=arguments.actor,
        reviewer=arguments.reviewer,
        case_id=arguments.case,
        outcome=arguments.outcome,
        text=arguments.text,
        tenant=arguments.tenant,
        limit=arguments.limit,
    )


def listing(event: Event) -> dict[str, object]:
    """Return one line of a table of events."""
    return {
        "time": event.start,
        "tenant": event.text("tenant"),
        "event_type": event.event_type,
        "name": event.text("name"),
        "case": event.text("context", "case_id"),
        "actor": event.text("actor", "id"),
        "model": event.model,
        "outcome": event.outcome,
        "duration": format_duration(event.duration_ms),
        "cost": format_money(event.cost_usd),
        "state": event.state,
        "event_id": event.event_id,
    }
