"""The one `SpanLedger` of this process per data directory, made from the environment."""

from __future__ import annotations

import logging
from pathlib import Path

from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.errors import ConfigurationError
from spanledger_exporter.otel.ledger import SpanLedger

_log = logging.getLogger(__name__)
_ledgers: dict[Path, SpanLedger] = {}


def process_ledger(settings: Settings | None = None, *, sampling: str | None = None) -> SpanLedger | None:
    """Return the process's ledger; None, after one clear line, when the settings are wrong."""
    try:
        settings = settings or load_settings()
    except ConfigurationError as error:
        _log.error("spanledger: nothing is recorded: %s", error)
        return None
    known = _ledgers.get(settings.directory)
    return known or _ledgers.setdefault(settings.directory, SpanLedger(settings, sampling=sampling))
