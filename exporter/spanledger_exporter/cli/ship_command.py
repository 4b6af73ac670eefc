"""`spanledger ship`: send what is in the spool to the store, once or for as long as it runs."""

from __future__ import annotations

import argparse
import time

from spanledger_exporter.cli.talk import say
from spanledger_exporter.cli.termination import on_stop
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.errors import StoreBusyError, StoreError
from spanledger_exporter.ship.follow import follow
from spanledger_exporter.ship.shipper import ShipReport, drain
from spanledger_exporter.ship.status import spool_status
from spanledger_exporter.store.connection import open_store

OWNER_PATIENCE_S = 20.0
"""How long another process, which holds the store, may take to empty the spool."""

EPILOG = """\
With --follow the process keeps the store: it ships every second and seals every ten until SIGTERM or Ctrl-C, and
retries for ever while the store does not answer. Run one per spool directory, beside the application.

exit status: 0 nothing is left · 69 the store does not answer, or rows had to stay in the spool · 78 wrong configuration

examples:
  spanledger ship
  spanledger ship --follow
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ship`."""
    parser.add_argument("--follow", action="store_true", help="go on until SIGTERM, and seal every 10 s")
    parser.add_argument("--no-seal", action="store_true", help="with --follow: another process seals")


def run(arguments: argparse.Namespace) -> int:
    """Run `spanledger ship`."""
    settings = load_settings()
    if not arguments.follow:
        return _drain(settings)
    follower = follow(settings, seals=not arguments.no_seal)
    on_stop(follower.stop)
    say(f"following {settings.spool_directory}")
    follower.run()
    say(f"stopped after {follower.totals.rows:,} rows and {follower.totals.contents:,} contents")
    return 0


def _drain(settings: Settings) -> int:
    try:
        store = open_store(settings, role="owner")
    except StoreBusyError:
        # Whoever holds the store ships too: what was asked for is an empty spool, not a second shipper.
        if not _is_emptied(settings):
            raise
        say("nothing is left: the process that holds the store has shipped it")
        return 0
    with store:
        report = drain(settings, store)
    say(_summary(report))
    if report.withheld:
        raise StoreError(
            f"expected to read every chain in {settings.spool_directory}, got {report.withheld} that another user "
            "wrote and this one may not read: they stay there; run `spanledger ship` as that user too"
        )
    if report.left:
        raise StoreError(
            f"expected to ship everything, got {report.left} chains with rows left: another shipper holds them, "
            "or their writer was stopped in the middle of an append; run `spanledger ship` again"
        )
    return 0


def _is_emptied(settings: Settings) -> bool:
    deadline = time.monotonic() + OWNER_PATIENCE_S
    while spool_status(settings.spool_directory).unshipped_bytes:
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return True


def _summary(report: ShipReport) -> str:
    shipped = report.shipped
    parts = [f"shipped {shipped.rows:,} rows and {shipped.contents:,} contents of {len(shipped.chains)} chains"]
    if shipped.dead_letters:
        parts.append(f"{shipped.dead_letters} refused by the store, kept as raw rows")
    if shipped.damages:
        parts.append(f"{shipped.damages} damaged places, reported as loss rows")
    if report.removed_files:
        parts.append(f"{report.removed_files} sealed spool files removed")
    return ", ".join(parts)
