"""`spanledger tools`: the inventory of tools in use, one line per version."""

from __future__ import annotations

import argparse

from spanledger_exporter.cli.in_use import add_arguments, print_in_use

__all__ = ["EPILOG", "add_arguments", "run"]

EPILOG = """examples:
  spanledger tools
  spanledger tools --tenant bank-a --format json"""

COLUMNS = ("tool_name", "tool_version", "first_used", "last_used", "calls", "error_rate")


def run(arguments: argparse.Namespace) -> int:
    """Print the inventory."""
    return print_in_use(arguments, "tools", columns=COLUMNS)
