"""`spanledger review`: record what a person did with an event, or list what waits for one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from spanledger_exporter.cli.numbers import duration_s
from spanledger_exporter.cli.output import add_output_arguments, output_options, print_records
from spanledger_exporter.cli.reading import add_reading_arguments, opened, spooled
from spanledger_exporter.cli.talk import say
from spanledger_exporter.config import Settings
from spanledger_exporter.errors import UsageError
from spanledger_exporter.read.access import login_name
from spanledger_exporter.read.contents import load_contents
from spanledger_exporter.read.event import Event
from spanledger_exporter.read.finding import find_named
from spanledger_exporter.read.judging import (
    Judgement,
    complete_review,
    content_policy,
    make_review,
    review_row,
)
from spanledger_exporter.read.unshipped import Unshipped
from spanledger_exporter.recorder import RowId, open_recorder
from spanledger_exporter.store.connection import Store
from spanledger_semconv.review import ACTIONS

EPILOG = """examples:
  spanledger review 8efcecd40e9982f05d8d0f57ab2d4e8e:2f7caee4417c73ed approve --reasoning "checked against the runbook"
  spanledger review EVENT edit --final corrected.txt --reviewer maria.keller --role analyst --seconds 95
  spanledger review --queue

The draft is what the event put out, unless --draft names another. An approval by the author of the draft is recorded
and marked: four eyes were not at work."""

QUEUE_COLUMNS = ("time", "case_id", "event_type", "name", "why", "due", "event_id")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.add_argument("event", metavar="EVENT", nargs="?", help="id of the event that was reviewed")
    parser.add_argument("action", choices=ACTIONS, nargs="?", help="what the reviewer did")
    parser.add_argument("--queue", action="store_true", help="list what waits for a review")
    parser.add_argument("--reviewer", help="who reviewed; default: who runs this command")
    parser.add_argument("--role", help="in which role")
    parser.add_argument("--author", help="who wrote the draft; default: who acted in the event")
    parser.add_argument("--reasoning", help="why")
    parser.add_argument("--draft", metavar="FILE", help="the draft, - for stdin; default: what the event put out")
    parser.add_argument("--final", metavar="FILE", help="what the reviewer let pass, - for stdin")
    parser.add_argument(
        "--seen", metavar="EVENT", action="append", default=[], help="an event that was looked at (repeat)"
    )
    parser.add_argument("--seconds", type=duration_s, help="time spent")
    add_reading_arguments(parser)
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Record the review and print its row, or list the queue."""
    if arguments.queue:
        return _print_queue(arguments)
    if not arguments.event or not arguments.action:
        raise UsageError("expected EVENT and one of approve, edit, reject, escalate; or --queue")
    with opened(arguments, "review", {"event_id": arguments.event}) as (settings, store):
        unshipped = spooled(settings, tenant=arguments.tenant)
        subject, *seen = (
            subject_of(store, event_id, tenant=arguments.tenant, unshipped=unshipped)
            for event_id in (arguments.event, *arguments.seen)
        )
        review = make_review(
            reviewer=login_name() if arguments.reviewer is None else arguments.reviewer,
            action=arguments.action,
            role=arguments.role,
            author=arguments.author,
            seen_event_ids=tuple(event.event_id for event in seen),
            draft=_read(arguments.draft),
            final=_read(arguments.final),
            reasoning=arguments.reasoning,
            seconds_spent=arguments.seconds,
        )
        review = complete_review(
            review, subject, load_contents(store, [subject], tenant=arguments.tenant, unshipped=unshipped)
        )
        judgement = review_row(review, subject, content_policy(settings))
    return print_recorded(record(settings, judgement), judgement, arguments)


def subject_of(store: Store, event_id: str, *, tenant: str = "", unshipped: Unshipped) -> Event:
    """Return the event that is judged. Raises UsageError when there is none, or several, under this id."""
    found = find_named(store, event_id, tenant=tenant, unshipped=unshipped)
    if len(found) != 1:
        raise UsageError(f"expected one event with the id {event_id}, got {len(found)}: `spanledger search` finds ids")
    return found[0]


def record(settings: Settings, judgement: Judgement) -> RowId:
    """Write the row on a chain of its own."""
    with open_recorder(settings, role="cli") as recorder:
        return recorder.record(judgement.envelope, judgement.contents)


def print_recorded(row: RowId, judgement: Judgement, arguments: argparse.Namespace) -> int:
    """Print where the row stands."""
    place = {"chain": row.chain_id.hex(), "seq": row.seq, "row_hash": row.row_hash.hex()}
    recorded: dict[str, Any] = {
        "event_id": f"{place['chain']}:{row.seq}",
        "event_type": judgement.envelope["event_type"],
        "parent_event_id": judgement.envelope.get("parent_event_id", ""),
        **place,
        "state": "recorded",
    }
    print_records([recorded], output_options(arguments), columns=("event_id", "event_type", "parent_event_id", "state"))
    body = judgement.envelope.get("review", {})
    if body.get("is_self_review") and body.get("action") in {"approve", "edit"}:
        say("recorded, and marked: the reviewer wrote the draft (four eyes were not at work)")
    return 0


def _print_queue(arguments: argparse.Namespace) -> int:
    with opened(arguments, "review queue", {}) as (_, store):
        limit = "WHERE tenant = {tenant:String} " if arguments.tenant else ""
        names, rows = store.query_table(
            f"SELECT * FROM {store.database}.review_queue {limit}ORDER BY time",
            {"tenant": arguments.tenant} if arguments.tenant else None,
        )
    records = [dict(zip(names, row, strict=True)) for row in rows]
    print_records(records, output_options(arguments), columns=QUEUE_COLUMNS)
    return 0


def _read(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"expected a text file, got {path}: {error}") from error
