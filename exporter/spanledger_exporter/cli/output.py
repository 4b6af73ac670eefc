"""How commands print: one listing in four formats, pages and colour on a terminal.

Rules
- Data goes to stdout or to `-o FILE`, talk to stderr.
- `table` is for people: local time unless `--utc`, cut to the terminal's width, paged when longer than the terminal.
  Piped tables are neither cut nor paged nor coloured.
- `json`, `csv` and `parquet` are for programs: see read/encoding.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

from spanledger_exporter.errors import UsageError
from spanledger_exporter.read.encoding import Record, csv_cell, format_json, write_csv, write_parquet
from spanledger_exporter.read.figures import format_time, format_visible

FORMATS = ("table", "json", "csv", "parquet")


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What the user asked for. `path` is None for stdout."""

    format: str = "table"
    path: Path | None = None
    utc: bool = False

    @property
    def is_for_people(self) -> bool:
        """True when a table is wanted."""
        return self.format == "table"


def add_output_arguments(parser: argparse.ArgumentParser, *, formats: Sequence[str] = FORMATS) -> None:
    """Add `--format`, `--json`, `-o` and `--utc`."""
    group = parser.add_argument_group("output")
    group.add_argument("--format", choices=formats, default=formats[0], help=f"default: {formats[0]}")
    group.add_argument("--json", dest="format", action="store_const", const="json", help="same as --format json")
    group.add_argument("-o", "--output", metavar="FILE", type=Path, help="write to FILE instead of stdout")
    group.add_argument("--utc", action="store_true", help="show times in UTC instead of local time")


def output_options(arguments: argparse.Namespace) -> OutputOptions:
    """Return what `add_output_arguments` took."""
    return OutputOptions(arguments.format, arguments.output, arguments.utc)


def print_records(records: Sequence[Record], options: OutputOptions, *, columns: Sequence[str]) -> None:
    """Print a listing; a table shows `columns`, the other formats show every key."""
    if options.is_for_people:
        if len({record.get("tenant") for record in records}) > 1 and "tenant" not in columns:
            columns = ("tenant", *columns)  # lines of several tenants look alike: a model, or a case, of each
        print_text(format_table(records, columns, utc=options.utc), options)
        return
    with output_file(options) as out:
        if options.format == "json":
            out.write(format_json(records))
        elif options.format == "csv":
            write_csv(records, out)
        else:
            write_parquet(records, out)


def print_text(text: str, options: OutputOptions) -> None:
    """Print text for people: into the file, through a pager when it is long and stdout is a terminal, or plainly."""
    if options.path is not None:
        with output_file(options) as out:
            out.write(text.encode())
    elif sys.stdout.isatty() and text.count("\n") > shutil.get_terminal_size().lines and _page(text):
        return
    else:
        sys.stdout.write(text)
        sys.stdout.flush()


_NOT_RUN = (126, 127)  # what a shell says of a command that it cannot run: a small container has no `less`


def _page(text: str) -> bool:
    """Show `text` in the pager; False when there is none."""
    command = os.environ.get("PAGER") or "less"
    try:
        environment = {"LESS": "FRX", **os.environ}
        shown = subprocess.run(command, shell=True, input=text.encode(), env=environment, check=False)  # noqa: S602 - the user's own PAGER
    except OSError:
        return False
    return shown.returncode not in _NOT_RUN


@contextmanager
def output_file(options: OutputOptions) -> Generator[BinaryIO]:
    """Open the output for bytes. A file appears under its name only when it is whole.

    A link leads to its file, and what is no file (a device, a pipe) is written into: it must not be replaced by one.
    """
    if options.path is None:
        if options.format == "parquet" and sys.stdout.isatty():
            raise UsageError("expected -o FILE for Parquet, got a terminal: add -o FILE, or pipe the output")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    is_replaced = options.path.is_file() or not options.path.exists()
    path = options.path.resolve() if is_replaced else options.path
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part") if is_replaced else path
    try:
        with unfinished.open("wb") as stream:
            yield stream
        if is_replaced:
            unfinished.replace(path)
    except OSError as error:
        raise UsageError(f"expected to write {options.path}, got: {error.strerror or error}") from error
    finally:
        if is_replaced:
            unfinished.unlink(missing_ok=True)


def format_table(records: Sequence[Record], columns: Sequence[str], *, utc: bool = False) -> str:
    """Return aligned columns with a header; says so when there is nothing."""
    if not records:
        return "nothing found\n"
    cells = [[_table_cell(record.get(name), utc=utc) for name in columns] for record in records]
    titles = [name.replace("_", " ") for name in columns]
    widths = [max(len(title), *(len(row[i]) for row in cells)) for i, title in enumerate(titles)]
    right = [all(_is_number(record.get(name)) for record in records) for name in columns]
    heading = "  ".join(title.ljust(width) for title, width in zip(titles, widths, strict=True)).rstrip()
    lines = [bold(cut(heading))]
    for row in cells:
        aligned = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True))
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(cut(line) for line in lines) + "\n"


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float, Decimal)) and not isinstance(value, bool))


def _table_cell(value: Any, *, utc: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return format_time(value, utc=utc)
    return format_visible(" ".join(str(csv_cell(value)).split()))


def cut(line: str) -> str:
    """Cut a line to the terminal; leave it whole when stdout is none."""
    if not sys.stdout.isatty() or "\x1b" in line:
        return line
    width = shutil.get_terminal_size().columns
    return line if len(line) <= width else line[: width - 1] + "…"


def is_colourful() -> bool:
    """Say whether stdout is a terminal that may be coloured."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, code: str) -> str:
    """Return `text` in the ANSI style `code` where colour is wanted."""
    return f"\x1b[{code}m{text}\x1b[0m" if text and is_colourful() else text


def bold(text: str) -> str:
    """Return `text` in bold where colour is wanted."""
    return styled(text, "1")
