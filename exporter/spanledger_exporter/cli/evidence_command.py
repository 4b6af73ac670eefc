"""`spanledger evidence create|verify`: a case as one file that proves itself elsewhere, and the check of it."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import orjson

from spanledger_exporter.cli.output import OutputOptions, output_file
from spanledger_exporter.cli.reading import add_reading_arguments, opened
from spanledger_exporter.cli.talk import say
from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import ProofError, UsageError
from spanledger_exporter.evidence.collect import Scope
from spanledger_exporter.evidence.create import Bundle, create_bundle
from spanledger_exporter.evidence.report import scope_words
from spanledger_exporter.keys.key_ring import find_key_ring
from spanledger_exporter.read.when import parse_span
from spanledger_exporter.verify import standalone
from spanledger_exporter.verify.local import check_keys, pin_of

EPILOG = """examples:
  spanledger evidence create --case CASE-1 --reason "request of the regulator" -o case-1.zip
  spanledger evidence verify case-1.zip
  python verify.py case-1.zip --trust-root SHA256      on a machine without spanledger

exit status of `verify`: 0 verified, 1 tampered, 2 incomplete or not anchored, 3 cannot verify"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the two actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="create|verify")
    create = actions.add_parser("create", help="make a bundle", description="make an evidence bundle")
    create.add_argument("--case", default="", help="everything about this business case")
    create.add_argument("--trace", default="", help="everything about this trace")
    create.add_argument("--since", metavar="TIME", help="from this time on")
    create.add_argument("--until", metavar="TIME", help="before this time")
    create.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="the zip to write")
    add_reading_arguments(create)
    verify = actions.add_parser("verify", help="check a bundle", description="check an evidence bundle")
    verify.add_argument("bundle", type=Path, help="the zip")
    verify.add_argument("--key", metavar="VKEY", action="append", default=[], help="believe this key")
    verify.add_argument("--trust-root", metavar="SHA256|FILE", help="believe the trust root with this digest")
    verify.add_argument("--json", action="store_true", help="print the verdict as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Make or check a bundle."""
    return _create(arguments) if arguments.action == "create" else _verify(arguments)


def _create(arguments: argparse.Namespace) -> int:
    if not (arguments.case or arguments.trace or arguments.since or arguments.until):
        raise UsageError("expected --case, --trace, --since or --until, got none: what shall the bundle be about?")
    now_ns = time.time_ns()
    since_ns, until_ns = parse_span(arguments.since, arguments.until, now_ns=now_ns)
    scope = Scope(
        case_id=arguments.case,
        trace_id=arguments.trace,
        since_ns=since_ns,
        until_ns=until_ns,
        tenant=arguments.tenant,
    )
    created_at = datetime.fromtimestamp(now_ns // 10**9, UTC).isoformat()
    with opened(arguments, "evidence", scope.as_json()) as (settings, store):
        bundle = create_bundle(store, scope, keys=find_key_ring(settings), created_at=created_at)
    if not bundle.rows:
        raise UsageError(f"expected rows about {scope_words(scope.as_json())}, got none: nothing was written")
    with output_file(OutputOptions("zip", arguments.output)) as out:
        out.write(bundle.data)
    _tell(bundle, arguments.output)
    return 0


def _tell(bundle: Bundle, path: Path) -> None:
    say(f"{bundle.rows:,} rows and {bundle.contents:,} contents in {path}")
    if len(bundle.tenants) > 1:
        names = ", ".join(bundle.tenants)
        say(f"they belong to {len(bundle.tenants)} tenants ({names}): --tenant makes a bundle of one")
    if bundle.unsealed:
        say(f"{bundle.unsealed:,} rows are not sealed and have no proof: `spanledger seal`, then again")
    if bundle.unsigned:
        say(f"not signed, so nobody can tell whether rows were left out of the bundle: {bundle.unsigned}")
    word = standalone.verify_file(path, trust_root=_own_pin())["verdict"]
    if word != "verified":  # whoever makes a bundle that does not hold hears it before its receiver does
        say(f"its verdict is {word.upper()}: `spanledger evidence verify {path}` says why")
    say(f"whoever checks it pins the trust root {bundle.pin or '(none)'}, and gets that digest elsewhere")


def _verify(arguments: argparse.Namespace) -> int:
    check_keys(arguments.key)
    pin = pin_of(arguments.trust_root) or (None if arguments.key else _own_pin())
    verdict = standalone.verify_file(arguments.bundle, keys=arguments.key, trust_root=pin)
    text = orjson.dumps(verdict, option=orjson.OPT_INDENT_2).decode() if arguments.json else standalone.render(verdict)
    sys.stdout.write(text + "\n")
    return standalone.EXIT_STATUS[verdict["verdict"]]


def _own_pin() -> str | None:
    """Return the digest of this machine's first trust root: every later one, in any bundle, follows from it."""
    keys = find_key_ring(load_settings())
    if keys is None:
        return None
    try:
        return sha256(keys.trust_root_versions()[0]).hexdigest()
    except (ProofError, IndexError):
        return None
