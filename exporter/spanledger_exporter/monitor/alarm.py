"""How the monitor makes itself heard: rows in the ledger, and a webhook.

Rules
- A row is written when the verdict's word changes and at the first look, never at every look: a chain of its own, role
  `monitor`, event type `heartbeat` (housekeeping: it can never make a verdict incomplete).
- The webhook gets one JSON document for every alarm (see `watch`), and one with the verdict `verified` when it is over.
  A webhook that fails is told on stderr and asked again at the next round; it stops nothing.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from typing import Any

from spanledger_exporter.errors import ConfigurationError, SpanledgerError
from spanledger_exporter.monitor.look import Look

WEBHOOK_TIMEOUT_S = 10.0
MAX_FINDINGS = 50
"""A row and a message list so many places; `verify --json` lists them all."""


class WebhookError(SpanledgerError):
    """The webhook did not take the alarm."""


def describe(seen: Look) -> dict[str, Any]:
    """Return a look as JSON values: verdict, findings, figures, and whether the verdict speaks of the rows at all."""
    findings = [{"check": check, "kind": found.kind, **found.as_json()} for check, found in seen.complaints]
    newest = seen.verdict.newest
    told: dict[str, Any] = {
        "verdict": seen.verdict.word,
        "rows_read": seen.is_full,
        "findings": findings[:MAX_FINDINGS],
        "findings_total": len(findings),
        "log_size": seen.measures.log_size,
        "unsealed_rows": seen.measures.unsealed_rows,
        "checkpoint_age_s": seen.measures.checkpoint_age_s,
    }
    return told if newest is None else {**told, "origin": newest.origin, "checkpoint_size": newest.size}


def as_row(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the envelope of the monitor's row."""
    findings = [{name: value for name, value in item.items() if value is not None} for item in told["findings"]]
    body = {name: value for name, value in told.items() if value is not None and name != "findings"}
    return {"event_type": "heartbeat", "name": "monitor", "monitor": {**body, "findings": findings}}


def post(url: str, told: Mapping[str, Any]) -> None:
    """Send a look to a webhook. Raises WebhookError, ConfigurationError for a URL that is none."""
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"expected an http(s) URL for --webhook, got {url!r}")
    body = json.dumps(told).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=WEBHOOK_TIMEOUT_S):  # noqa: S310
            return
    except (OSError, ValueError) as error:
        raise WebhookError(f"expected the webhook {url} to take the alarm, got: {error}") from error
