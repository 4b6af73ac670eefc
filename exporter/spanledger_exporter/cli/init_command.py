"""`spanledger init`: make the tables and views, bring them up to date, or print what that takes."""

from __future__ import annotations

import argparse
import sys

from spanledger_exporter.cli.talk import say
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.errors import UsageError
from spanledger_exporter.store.address import DEFAULT_DATABASE, parse_address
from spanledger_exporter.store.connection import open_store
from spanledger_exporter.store.grants import render_grants
from spanledger_exporter.store.schema import VERSION, Layout, ensure_schema, render, schema_version

EPILOG = """\
Without options the tables are made on one node (or on ClickHouse Cloud), or brought up to date; running it again does
no harm. On a cluster every table is replicated, and a chain stays on one shard; the layout is remembered.

exit status: 0 done · 64 wrong usage · 69 the store does not answer or refuses · 78 wrong configuration

examples:
  spanledger init
  spanledger init --cluster main --print
  spanledger init --grants --tenant acme --tenant globex | clickhouse-client --multiquery
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `init`."""
    parser.add_argument("--cluster", metavar="NAME", default="", help="replicated and Distributed tables on NAME")
    parser.add_argument("--replicated", action="store_true", help="replicated tables on one shard")
    parser.add_argument("--storage-policy", metavar="P", default="", help="put the data under storage policy P")
    parser.add_argument("--print", dest="only_print", action="store_true", help="print the statements, run nothing")
    parser.add_argument("--grants", action="store_true", help="print roles, row policies, quotas and profiles")
    parser.add_argument(
        "--tenant", action="append", default=[], metavar="NAME", help="with --grants: a reader of NAME alone"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run `spanledger init`."""
    settings = load_settings()
    layout = _layout(arguments, settings)
    if arguments.tenant and not arguments.grants:
        raise UsageError("expected --tenant together with --grants, got it alone")
    if arguments.grants:
        return _print(render_grants(layout, tenants=arguments.tenant))
    if arguments.only_print:
        return _print(render(layout))
    if settings.is_embedded and (layout.cluster or layout.replicated or layout.storage_policy):
        raise UsageError("expected a server in SPANLEDGER_STORE for --cluster, --replicated and --storage-policy")
    return _apply(settings, layout)


def _layout(arguments: argparse.Namespace, settings: Settings) -> Layout:
    database = DEFAULT_DATABASE if settings.is_embedded else parse_address(settings.store_url).database
    for option, value in (("--cluster", arguments.cluster), ("--storage-policy", arguments.storage_policy)):
        if not all(character.isalnum() or character in "_-.{}" for character in value):
            raise UsageError(f"expected letters, digits, _, - and . after {option}, got {value!r}")
    return Layout(database, arguments.cluster, arguments.replicated, arguments.storage_policy)


def _print(statements: list[str]) -> int:
    sys.stdout.write("".join(f"{statement};\n\n" for statement in statements))
    return 0


def _apply(settings: Settings, layout: Layout) -> int:
    with open_store(settings, role="owner") as store:
        found = schema_version(store)
        ensure_schema(store, layout)
        name = store.name
    done = f"version {VERSION}" if found == VERSION else f"version {found} → {VERSION}"
    say(f"{name}: tables and views are ready ({done})")
    return 0
