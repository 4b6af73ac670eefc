"""`spanledger sql`: a read-only query on the store, embedded or server."""

from __future__ import annotations

import argparse
import sys

from spanledger_exporter.cli.output import add_output_arguments, output_options, print_records
from spanledger_exporter.cli.reading import add_reading_arguments, opened
from spanledger_exporter.read.sql import check_statement, run_sql

EPILOG = """examples:
  spanledger sql "SELECT model, sum(cost_usd) FROM spanledger.costs GROUP BY model"
  spanledger sql "SELECT * FROM runs ORDER BY start DESC LIMIT 10" --format json
  spanledger sql - < question.sql

`SELECT name, comment FROM system.tables WHERE database = 'spanledger'` lists tables and views; `DESCRIBE events`
explains a view's columns. exporter/QUESTIONS.md answers ten questions a compliance officer asks."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.add_argument("query", metavar="SQL", help="the query, or - for stdin")
    add_reading_arguments(parser, tenant=False)
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the result."""
    sql = sys.stdin.read() if arguments.query == "-" else arguments.query
    check_statement(sql)
    with opened(arguments, "sql", {"query": sql}) as (_, store):
        names, rows = run_sql(store, sql)
    records = [dict(zip(names, row, strict=True)) for row in rows]
    print_records(records, output_options(arguments), columns=names)
    return 0
