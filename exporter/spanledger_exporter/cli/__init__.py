"""`spanledger COMMAND …`: finds the command's module and runs it.

Each command is a module `spanledger_exporter.cli.<name>_command` with two functions:
`add_arguments(parser: argparse.ArgumentParser) -> None` and `run(arguments: argparse.Namespace) -> int`, and perhaps
`EPILOG`, what its help ends with.
Only the named command's module is imported, so that `spanledger --help` stays fast.
Data goes to stdout, talk to stderr. Exit status: 0 done · 1-3 the command's own verdict · 64 wrong usage ·
69 the store or a service is unavailable, or a file cannot be read or written · 70 a mistake of ours · 78 wrong
configuration · 130 Ctrl-C · 143 SIGTERM. Neither wrong usage nor a mistake ever looks like a verdict.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import importlib
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import NoReturn

from spanledger_exporter.cli.talk import say
from spanledger_exporter.cli.termination import ended_by_signals
from spanledger_exporter.errors import ConfigurationError, SpanledgerError, UsageError

EXIT_USAGE = 64
EXIT_UNAVAILABLE = 69
EXIT_SOFTWARE = 70
EXIT_CONFIGURATION = 78

COMMANDS = {
    "init": "make or migrate the tables, or print the statements",
    "collector": "receive spans over OTLP and keep the store",
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
    "hold": "place or lift a legal hold",
    "retain": "apply retention",
    "erase": "erase a subject's personal data",
    "console": "serve the web console",
    "doctor": "say what works, what does not, and what to do",
}


class CommandParser(argparse.ArgumentParser):
    """Ends with 64 where argparse ends with 2, which would read as the verdict "incomplete"."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how to get help."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: {message}\n`{self.prog} --help` says more\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        collect_seldom()
    _prepare_streams()
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        _door().print_help()
        return 0
    if arguments[0] in {"-V", "--version"}:
        from importlib.metadata import version  # noqa: PLC0415 - it imports the email package

        print(f"spanledger {version('spanledger')}")  # noqa: T201
        return 0
    name = arguments[0]
    if name not in available_commands():
        _door().error(_unknown(name))
    try:
        return _run_command(name, arguments[1:])
    except KeyboardInterrupt:  # while the command is still being imported
        return 130


def collect_seldom() -> None:
    """Look for cycles of garbage seldom, in a process that is ours: what it handles by the million are plain tuples.

    Python's own rhythm, every 700 new objects, is a twentieth of the processor time of shipping a backlog.
    """
    gc.set_threshold(20_000, 20, 20)


def _run_command(name: str, arguments: Sequence[str]) -> int:
    module = importlib.import_module(_module(name))
    parser = CommandParser(
        prog=f"spanledger {name}",
        description=COMMANDS[name],
        epilog=getattr(module, "EPILOG", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    return _run(module.run, parser.parse_args(arguments))


def _prepare_streams() -> None:
    """Let every text be printed: nothing into a closed stream, escapes for what an ASCII one cannot show."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for the whole process
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - as above
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def available_commands() -> dict[str, str]:
    """Return the commands whose module this installation has, with their line of help."""
    return {name: line for name, line in COMMANDS.items() if find_spec(_module(name)) is not None}


def _module(name: str) -> str:
    return f"spanledger_exporter.cli.{name}_command"


def _door() -> CommandParser:
    lines = "".join(f"  {name:<12}{line}\n" for name, line in available_commands().items())
    parser = CommandParser(
        prog="spanledger",
        usage="spanledger COMMAND [options]",
        description="Audit trail of AI calls: ship, seal, verify, read.",
        epilog=f"commands:\n{lines}\nexample:\n  spanledger timeline --case CASE-1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-V", "--version", action="store_true", help="print the version")
    return parser


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, available_commands(), n=1)
    hint = f": did you mean {close[0]!r}?" if close else ""
    return f"expected a command, got {name!r}{hint}"


def _run(run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    try:
        with ended_by_signals():
            return run(arguments)
    except UsageError as error:
        return _end(error, EXIT_USAGE)
    except ConfigurationError as error:
        return _end(error, EXIT_CONFIGURATION)
    except SpanledgerError as error:
        return _end(error, EXIT_UNAVAILABLE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left: `| head`
        return 0
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        advice = "check the path, its permissions and the disk's free space (`spanledger doctor` looks at them)"
        return _end(f"{error}: {advice}", EXIT_UNAVAILABLE)
    except Exception:  # Python's own status for it is 1, which is the verdict "tampered"
        traceback.print_exc()
        return _end("this is a mistake of ours, not a verdict: please report it with the lines above", EXIT_SOFTWARE)


def _end(error: Exception | str, status: int) -> int:
    say(error)
    return status
