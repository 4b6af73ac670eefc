"""`spanledger COMMAND …`: finds the command's module and runs it.

Each command is a module `spanledger_exporter.cli.<name>_command` with two functions:
`add_arguments(parser: argparse.ArgumentParser) -> None` and `run(arguments: argparse.Namespace) -> int`.
Only the named command's module is imported, so that `spanledger --help` stays fast.
Data goes to stdout, talk to stderr. Exit status: 0 done · 1-3 the command's own verdict · 64 wrong usage ·
69 the store or a service is unavailable · 78 wrong configuration.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from spanledger_exporter.errors import ConfigurationError, SpanledgerError

EXIT_USAGE = 64
EXIT_UNAVAILABLE = 69
EXIT_CONFIGURATION = 78

COMMANDS = {
    "init": "make or migrate the tables, or print the statements",
    "ship": "send what is in the spool to the store",
    "seal": "fold shipped rows into the log and sign a checkpoint",
    "verify": "prove that nothing was changed, removed or added",
    "timeline": "show a case or a trace, step by step",
    "search": "find events",
    "show": "show one event with its content",
    "export": "write rows as JSON lines, CSV or Parquet",
    "sql": "run a read-only query on the store",
    "keys": "show, make, rotate or revoke signing keys",
    "anchor": "list anchors, and anchor the newest checkpoint",
    "evidence": "make or verify an evidence bundle",
    "monitor": "check the ledger again and again, and raise alarms",
    "witness": "run a C2SP witness",
    "review": "record a human review",
    "decision": "record a decision",
    "prompts": "register prompt files, list prompts",
    "models": "the inventory of models in use",
    "tools": "the inventory of tools in use",
    "retrievals": "the inventory of retrieval indexes in use",
    "policies": "the inventory of policies in use",
    "collector": "take OTLP over HTTP and gRPC, and own the embedded store",
    "console": "serve the web console",
    "doctor": "say what works, what does not, and what to do",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="spanledger",
        description="Audit trail of AI calls: ship, seal, verify, read.",
        epilog="commands:\n" + "".join(f"  {name:<12}{line}\n" for name, line in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", metavar="COMMAND", choices=list(COMMANDS), help="one of the commands below")
    if not arguments or arguments[0].startswith("-"):
        parser.parse_args(arguments or ["--help"])
    name = parser.parse_args(arguments[:1]).command
    module = importlib.import_module(f"spanledger_exporter.cli.{name}_command")
    command = argparse.ArgumentParser(
        prog=f"spanledger {name}", description=COMMANDS[name], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.add_arguments(command)
    return _run(module.run, command.parse_args(arguments[1:]))


def _run(run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    try:
        return run(arguments)
    except ConfigurationError as error:
        print(f"spanledger: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_CONFIGURATION
    except SpanledgerError as error:
        print(f"spanledger: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_UNAVAILABLE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left: `| head`
        return 0
    except KeyboardInterrupt:
        return 130
