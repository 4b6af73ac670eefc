"""Access is audited: who looked at what, why, through which door (`access` rows, ledger.md section 4).

    {"event_type": "access", "actor": {"type": "user", "id": "maria"},
     "access": {"action": "timeline", "channel": "cli", "reason": "audit 2026-11", "subject": {"case_id": "CASE-1"}}}

Rules
- The row is durable before anything is shown. Its subject stands in `access`, not in `context`: looking
  at a case is not part of the case.
- When the row cannot be written, `SPANLEDGER_ON_FAILURE=closed` refuses the read; `open` lets it happen and says loudly
  that nobody recorded it (a copy on read-only media must stay readable).
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spanledger_exporter.config import Settings
from spanledger_exporter.errors import RecordError, StoreError
from spanledger_exporter.recorder import Recorder, RowId, open_recorder


@dataclass(frozen=True, slots=True)
class Access:
    """One act of looking: `action` is the command or page, `subject` what it was asked for."""

    action: str
    subject: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reason: str = ""
    person: str = ""
    channel: str = "cli"
    tenant: str = ""

    def envelope(self) -> dict[str, Any]:
        """Return the envelope of the `access` row."""
        body: dict[str, Any] = {"action": self.action, "channel": self.channel}
        if self.reason:
            body["reason"] = self.reason
        subject = {key: value for key, value in self.subject.items() if value not in (None, "", [], {})}
        if subject:
            body["subject"] = subject
        envelope: dict[str, Any] = {
            "event_type": "access",
            "name": f"access {self.action}",
            "actor": {"type": "user", "id": self.person or login_name()},
            "access": body,
        }
        if self.tenant:
            envelope["tenant"] = self.tenant
        return envelope


def login_name() -> str:
    """Return who runs this process, from the operating system's user database rather than the environment."""
    try:
        import pwd  # noqa: PLC0415 - absent outside Unix

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        try:
            return getpass.getuser()
        except (ImportError, KeyError, OSError):
            return f"uid:{os.getuid()}" if hasattr(os, "getuid") else "unknown"


def record_access(settings: Settings, access: Access, *, warn: Callable[[str], None]) -> None:
    """Write the `access` row on a chain of its own, or do what `SPANLEDGER_ON_FAILURE` says.

    Raises StoreError when the row cannot be written and reads without one are refused.
    """
    try:
        with open_recorder(settings, role=access.channel) as recorder:
            record_with(recorder, access)
    except (RecordError, OSError) as error:
        refuse_or_warn(settings, error, warn=warn)


def record_with(recorder: Recorder, access: Access) -> RowId:
    """Write the `access` row on a chain that is open already, such as the console's."""
    return recorder.record(access.envelope())


def refuse_or_warn(settings: Settings, error: Exception, *, warn: Callable[[str], None]) -> None:
    """Do what `SPANLEDGER_ON_FAILURE` says about a read that cannot be recorded."""
    if settings.on_failure == "closed":
        raise StoreError(
            f"expected to record this access before showing anything, got: {error}: "
            "SPANLEDGER_ON_FAILURE=closed refuses reads that leave no trace"
        ) from error
    warn(f"this access is NOT recorded: {error}")
