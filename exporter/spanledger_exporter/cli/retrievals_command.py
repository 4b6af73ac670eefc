"""`spanledger retrievals`: the inventory of retrieval indexes in use, one line per version."""

from __future__ import annotations

import argparse

from spanledger_exporter.cli.output import add_output_arguments, output_options, print_records
from spanledger_exporter.cli.reading import add_reading_arguments, opened
from spanledger_exporter.read.inventory import in_use

EPILOG = """examples:
  spanledger retrievals
  spanledger retrievals --tenant bank-a --format json"""

COLUMNS = ("retrieval_index", "retrieval_version", "first_used", "last_used", "lookups", "without_result")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.epilog = EPILOG
    add_reading_arguments(parser)
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the inventory."""
    with opened(arguments, "retrievals", {}) as (_, store):
        records = in_use(store, "retrievals", tenant=arguments.tenant)
    print_records(records, output_options(arguments), columns=COLUMNS)
    return 0
