"""Named by a test of the official package's own scope name, which is not ours to have."""

from __future__ import annotations


class TelemetryHandlerScopeTest:
    """Has no tests here."""
