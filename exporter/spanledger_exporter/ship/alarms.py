"""What the shipper has to say for itself, as rows of a chain of its own (role `shipper`).

- Damage in a spool file becomes a `loss` row that says where and how much.
- A row or content that the store refuses even alone becomes a `raw` row that holds it whole, and a `loss` row as the
  alarm. The refused row's place in its chain stays empty in the store; the `raw` row tells why.

The event id names the place, so that a report repeated after a crash is recognised as the same one.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from typing import Any

from spanledger_exporter.config import Settings
from spanledger_exporter.ledger.content import Content
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.recorder import Recorder, open_recorder
from spanledger_exporter.spool.quarantine import quarantine
from spanledger_exporter.spool.reader import ChainSpool, Damage

_log = logging.getLogger(__name__)


class Alarms:
    """Records the shipper's own rows; its chain begins with the first of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._recorder: Recorder | None = None

    def close(self) -> None:
        """End the shipper's chain, if there is one."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.close()

    def is_own(self, chain_id: bytes) -> bool:
        """Say whether this is the shipper's own chain, whose rows cannot be reported in itself."""
        head = self._recorder.head if self._recorder is not None else None
        return head is not None and head.chain_id == chain_id

    def damage(self, chain_id: bytes, damage: Damage) -> None:
        """Record that bytes of a spool file cannot be read. Raises RecordError."""
        place = f"{chain_id.hex()}:{damage.position.file}:{damage.position.offset}"
        _log.error("spanledger: spool damage at %s, %d bytes: %s", place, damage.length, damage.reason)
        self._keep(chain_id, damage)
        self._loss(
            f"loss:damage:{place}",
            reason=damage.reason,
            place={
                "chain": chain_id.hex(),
                "file": damage.position.file,
                "offset": damage.position.offset,
                "bytes": damage.length,
            },
        )

    def _keep(self, chain_id: bytes, damage: Damage) -> None:
        """Copy the damaged bytes to where cleaning up does not reach them."""
        chain = ChainSpool(chain_id, self._settings.spool_directory / chain_id.hex())
        try:
            quarantine(chain, damage, self._settings.directory / "quarantine")
        except OSError as error:
            _log.error("spanledger: damaged bytes of %s could not be kept: %s", chain_id.hex(), error)

    def dead_row(self, row: Row, reason: str) -> None:
        """Record a row that the store refuses. Raises RecordError."""
        place = {"chain": row.chain_id.hex(), "seq": row.seq}
        raw = {
            **place,
            "prev_hash": row.prev_hash.hex(),
            "time_ns": str(row.time_ns),
            "env_hash": row.env_hash.hex(),
            "row_hash": row.row_hash.hex(),
            "data": b64encode(row.env).decode(),
            "encoding": "base64",
            "reason": reason,
        }
        name = f"{row.chain_id.hex()}:{row.seq}"
        _log.error("spanledger: the store refuses row %s, it is kept as a raw row: %s", name, reason)
        self._record({"event_type": "raw", "event_id": f"dead-letter:{name}", "tenant": row.tenant, "raw": raw})
        self._loss(f"loss:dead-letter:{name}", reason=reason, place=place)

    def dead_content(self, tenant: str, content: Content, reason: str) -> None:
        """Record a content that the store refuses. Raises RecordError."""
        name = content.ref.hex()
        raw = {
            "ref": name,
            "media": content.media,
            "class": content.content_class,
            "key_id": content.key_id,
            "data": b64encode(content.data or b"").decode(),
            "encoding": "base64",
            "reason": reason,
        }
        _log.error("spanledger: the store refuses content %s, it is kept as a raw row: %s", name, reason)
        self._record({"event_type": "raw", "event_id": f"dead-letter:{name}", "tenant": tenant, "raw": raw})
        self._loss(f"loss:dead-letter:{name}", reason=reason, place={"ref": name})

    def _loss(self, event_id: str, *, reason: str, place: dict[str, Any]) -> None:
        loss = {"events": 1, "reasons": [{"reason": reason, "events": 1}], **place}
        self._record({"event_type": "loss", "event_id": event_id, "loss": loss})

    def _record(self, envelope: dict[str, Any]) -> None:
        if self._recorder is None:
            self._recorder = open_recorder(self._settings, role="shipper")
        self._recorder.record(envelope)
