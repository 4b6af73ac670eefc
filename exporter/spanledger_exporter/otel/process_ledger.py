"""The one `SpanLedger` of this process per data directory, made from the environment."""

from __future__ import annotations

import logging
from pathlib import Path

from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.errors import ConfigurationError
from spanledger_exporter.otel.ledger import SpanLedger

_log = logging.getLogger(__name__)
_ledgers: dict[Path, SpanLedger] = {}
_said: set[str] = set()


def process_ledger(settings: Settings | None = None, *, sampling: str | None = None) -> SpanLedger | None:
    """Return the process's ledger; None, after one clear line, when the settings are wrong."""
    try:
        settings = settings or load_settings()
    except ConfigurationError as error:
        _say_once(str(error))  # the span processor and the span exporter both ask
        return None
    known = _ledgers.get(settings.directory)
    return known or _ledgers.setdefault(settings.directory, SpanLedger(settings, sampling=sampling))


def _say_once(mistake: str) -> None:
    if mistake not in _said:
        _said.add(mistake)
        _log.error("spanledger: nothing is recorded: %s", mistake)
