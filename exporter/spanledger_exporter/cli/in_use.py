"""What the inventories of things in use share: their options, and one listing from the ledger alone."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from spanledger_exporter.cli.output import add_output_arguments, output_options, print_records
from spanledger_exporter.cli.reading import add_reading_arguments, opened
from spanledger_exporter.read.inventory import in_use


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of an inventory."""
    add_reading_arguments(parser)
    add_output_arguments(parser)


def print_in_use(arguments: argparse.Namespace, what: str, *, columns: Sequence[str]) -> int:
    """Print what is in use; `what` is a key of `QUERIES`, and the action in the access row."""
    with opened(arguments, what, {}) as (_, store):
        records = in_use(store, what, tenant=arguments.tenant)
    print_records(records, output_options(arguments), columns=columns)
    return 0
