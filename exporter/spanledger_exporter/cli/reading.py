"""What the reading commands share: who reads why, for which tenant, and the opened store."""

from __future__ import annotations

import argparse
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from spanledger_exporter.cli.output import styled
from spanledger_exporter.cli.talk import say
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.read.access import Access
from spanledger_exporter.read.opening import open_for_reading
from spanledger_exporter.read.unshipped import Unshipped, read_unshipped
from spanledger_exporter.store.connection import Store

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def add_reading_arguments(parser: argparse.ArgumentParser, *, tenant: bool = True) -> None:
    """Add `--reason` and `--tenant`."""
    group = parser.add_argument_group("access")
    group.add_argument("--reason", default="", help="why you look; stands in the access row")
    if tenant:
        group.add_argument("--tenant", default="", help="only rows of this tenant")


@contextmanager
def opened(arguments: argparse.Namespace, action: str, subject: Mapping[str, Any]) -> Generator[tuple[Settings, Store]]:
    """Record the access, and yield the settings and the store to read."""
    settings = load_settings()
    access = Access(action, subject, reason=arguments.reason, tenant=getattr(arguments, "tenant", ""))
    with open_for_reading(settings, access, warn=say) as store:
        yield settings, store


def spooled(settings: Settings, *, tenant: str = "") -> Unshipped:
    """Return what lies in the spool and not in the store; says so where it is too much to look at."""
    unshipped = read_unshipped(settings.spool_directory, tenant=tenant)
    if unshipped.warning:
        say(unshipped.warning)
    return unshipped


def terminal_style(text: str, style: str) -> str:
    """Colour text for a terminal; leave it alone elsewhere."""
    return styled(text, _CODES[style])
