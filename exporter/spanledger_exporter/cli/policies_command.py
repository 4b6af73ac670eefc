"""`spanledger policies`: the inventory of policies in use, one line per version."""

from __future__ import annotations

import argparse

from spanledger_exporter.cli.in_use import add_arguments, print_in_use

__all__ = ["EPILOG", "add_arguments", "run"]

EPILOG = """examples:
  spanledger policies
  spanledger policies --tenant bank-a --format json"""

COLUMNS = ("policy", "version", "first_used", "last_used", "events", "decisions")


def run(arguments: argparse.Namespace) -> int:
    """Print the inventory."""
    return print_in_use(arguments, "policies", columns=COLUMNS)
