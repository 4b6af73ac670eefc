"""Runs in the launcher after the SDK is configured and before any instrumentor: the place to install the ledger."""

from __future__ import annotations

import logging
import os

_log = logging.getLogger(__name__)


def pre_instrument() -> None:
    """Install the ledger when `--traces_exporter` (`OTEL_TRACES_EXPORTER`) names `spanledger`. Raises nothing."""
    if not is_wanted():
        return
    try:
        _install()
    except Exception:
        _log.exception("spanledger: the audit span processor could not be installed; nothing is recorded by it")


def is_wanted() -> bool:
    """Say whether this process exports to the ledger and its SDK is not switched off."""
    exporters = os.environ.get("OTEL_TRACES_EXPORTER", "").replace(",", " ").split()
    return "spanledger" in exporters and os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"


def _install() -> None:
    from opentelemetry import trace  # noqa: PLC0415 - costs nothing where the ledger is not wanted
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above

    from spanledger_exporter.otel.install import install  # noqa: PLC0415 - as above

    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        install(provider)
    else:
        _log.error(
            "spanledger: expected the OpenTelemetry SDK's TracerProvider, got %s: nothing is recorded; "
            "install opentelemetry-distro, or call spanledger_exporter.otel.install.install yourself",
            type(provider).__name__,
        )
