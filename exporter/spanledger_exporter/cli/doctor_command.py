"""`spanledger doctor`: what works, what does not, and what to do."""

from __future__ import annotations

import argparse

from spanledger_exporter.cli.output import add_output_arguments, output_options, print_records, print_text, styled
from spanledger_exporter.config import load_settings
from spanledger_exporter.read.health import Check, examine, worst

EPILOG = """example:
  spanledger doctor
  spanledger doctor --json

Exit status 0 when nothing is broken, 1 when something is. What only deserves attention is no failure."""

_MARKS = {"ok": ("ok", "32"), "attention": ("look", "33"), "problem": ("BROKEN", "31")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print every check; return 1 when one of them found a problem."""
    options = output_options(arguments)
    checks = examine(load_settings())
    if options.is_for_people:
        print_text("".join(_lines(check) for check in checks), options)
    else:
        print_records([check.as_record() for check in checks], options, columns=())
    return 1 if worst(checks) == "problem" else 0


def _lines(check: Check) -> str:
    mark, colour = _MARKS[check.status]
    line = f"{styled(f'{mark:<7}', colour)}{check.name:<15}{check.found}\n"
    return line + (f"{'':<22}→ {check.advice}\n" if check.advice else "")
