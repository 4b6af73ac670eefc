"""`spanledger retrievals`: the inventory of retrieval indexes in use, one line per version."""

from __future__ import annotations

import argparse

from spanledger_exporter.cli.in_use import add_arguments, print_in_use

__all__ = ["EPILOG", "add_arguments", "run"]

EPILOG = """examples:
  spanledger retrievals
  spanledger retrievals --tenant bank-a --format json"""

COLUMNS = ("retrieval_index", "retrieval_version", "first_used", "last_used", "lookups", "without_result")


def run(arguments: argparse.Namespace) -> int:
    """Print the inventory."""
    return print_in_use(arguments, "retrievals", columns=COLUMNS)
