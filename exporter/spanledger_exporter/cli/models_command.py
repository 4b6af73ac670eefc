"""`spanledger models`: the inventory of models: use from the ledger, responsibility from a file that people keep.

Exit status: 0 done · 1 with `--check`: a model is in use that the inventory does not list.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spanledger_exporter.cli.output import add_output_arguments, output_options, print_records
from spanledger_exporter.cli.reading import add_reading_arguments, opened
from spanledger_exporter.cli.talk import say
from spanledger_exporter.read.inventory import find_inventory, in_use, read_inventory, with_responsibility

EPILOG = """examples:
  spanledger models
  spanledger models --inventory governance/models.yaml --check
  spanledger models --format csv -o models.csv

The inventory is models.yaml, models.toml or models.json in the working directory unless --inventory names another:

  models:
    - model: gpt-5.2*
      owner: team-risk
      purpose: alert triage
      validation: 2026-09 back-test, report MV-12"""

COLUMNS = (
    "provider",
    "model",
    "requested_as",
    "first_used",
    "last_used",
    "calls",
    "cost_usd",
    "inventory",
    "owner",
    "purpose",
    "validation",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.add_argument("--inventory", metavar="FILE", type=Path, help="YAML, TOML or JSON file that people keep")
    parser.add_argument("--check", action="store_true", help="end with 1 when a model in use is not listed")
    add_reading_arguments(parser)
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the inventory."""
    path = arguments.inventory or find_inventory(Path.cwd())
    entries = read_inventory(path) if path else []
    with opened(arguments, "models", {}) as (_, store):
        records = with_responsibility(in_use(store, "models", tenant=arguments.tenant), entries)
    print_records(records, output_options(arguments), columns=COLUMNS)
    missing = [str(record["model"]) for record in records if record["inventory"] == "not listed"]
    if path and missing:
        say(f"in use and not in {path}: {', '.join(missing)}")
    return 1 if arguments.check and missing else 0
