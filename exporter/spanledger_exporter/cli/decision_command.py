"""`spanledger decision`: record a decision that a person or an outside rule took."""

from __future__ import annotations

import argparse

from spanledger_exporter.cli.numbers import fraction
from spanledger_exporter.cli.output import add_output_arguments
from spanledger_exporter.cli.reading import add_reading_arguments, opened, spooled
from spanledger_exporter.cli.review_command import print_recorded, record, subject_of
from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import UsageError
from spanledger_exporter.read.access import login_name
from spanledger_exporter.read.judging import Decision, content_policy, decision_row

EPILOG = """examples:
  spanledger decision "close case" --result closed --about EVENT --rationale "false alarm, see ticket 4711"
  spanledger decision "route alert" --result second-line --condition "score >= 0.8" --skipped close --confidence 0.7"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.add_argument("name", metavar="NAME", help="which decision")
    parser.add_argument("--result", required=True, help="what came out")
    parser.add_argument("--about", metavar="EVENT", default="", help="id of the event that it is about")
    parser.add_argument("--condition", help="rule or condition that was evaluated")
    parser.add_argument("--skipped", metavar="BRANCH", action="append", default=[], help="a branch not taken (repeat)")
    parser.add_argument("--default", dest="is_default", action="store_true", default=None, help="no rule applied")
    parser.add_argument("--confidence", type=fraction, help="from 0 to 1")
    parser.add_argument("--rationale", help="why")
    parser.add_argument("--policy", help="policy that was applied")
    parser.add_argument("--policy-version", help="its version")
    parser.add_argument("--by", help="who decided; default: who runs this command")
    add_reading_arguments(parser)
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Record the decision and print its row."""
    decision = Decision(
        name=arguments.name,
        result=arguments.result,
        condition=arguments.condition,
        branches_skipped=tuple(arguments.skipped),
        is_default=arguments.is_default,
        confidence=arguments.confidence,
        rationale=arguments.rationale,
        policy=arguments.policy,
        policy_version=arguments.policy_version,
    )
    person = login_name() if arguments.by is None else arguments.by
    if not person.strip():
        raise UsageError("expected --by to say who decided, got nobody")
    if arguments.about:
        with opened(arguments, "decision", {"event_id": arguments.about}) as (settings, store):
            unshipped = spooled(settings, tenant=arguments.tenant)
            subject = subject_of(store, arguments.about, tenant=arguments.tenant, unshipped=unshipped)
    else:
        settings, subject = load_settings(), None
    judgement = decision_row(decision, subject, content_policy(settings), person=person)
    return print_recorded(record(settings, judgement), judgement, arguments)
