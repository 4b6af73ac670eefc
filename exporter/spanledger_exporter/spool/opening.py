"""What row 0 of a chain says (ledger.md section 2): who writes, under which settings, after which chain.

The body stands under `chain` in the envelope:

    {"role","software":{"name","version"},"python","host","boot_id","pid","durability","on_failure","content",
     "references","sampling"?,"config_digest","predecessor"?:{"relation","chain","seq","row_hash"},
     "checkpoint"?:{"origin","size","root"}}

`references` is `plain`: without an auditor key every class takes the plain SHA-256 reference. `relation` is `restart`
(the newest ended chain of this host, service and role) or `fork` (the parent's chain, as it stood then).
"""

from __future__ import annotations

import dataclasses
import functools
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from spanledger_exporter.config import Settings
from spanledger_exporter.ledger.canonical import canonical_json
from spanledger_exporter.spool.chain import RowId
from spanledger_exporter.spool.lineage import find_predecessor, host_identity, newest_checkpoint

Relation = Literal["restart", "fork"]


@dataclass(frozen=True, slots=True)
class Opening:
    """What a recorder says of every chain it begins; `facts` are added to row 0's body."""

    role: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    predecessor: Mapping[str, Any] | None = None

    def after(self, row: RowId, *, relation: Relation) -> Opening:
        """Return the opening of the chain that follows `row`."""
        named = {"relation": relation, "chain": row.chain_id.hex(), "seq": row.seq, "row_hash": row.row_hash.hex()}
        return dataclasses.replace(self, predecessor=named if row.seq >= 0 else self.predecessor)

    def origin(self, service: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `origin.json` says."""
        return {**host_identity(), "service": service.get("name", ""), "role": self.role}


def chain_open_envelope(opening: Opening, *, settings: Settings, service: Mapping[str, Any]) -> dict[str, Any]:
    """Return the envelope of row 0."""
    identity = host_identity()
    predecessor = opening.predecessor or _restart_of(
        find_predecessor(
            settings.spool_directory, host=identity["host"], service=service.get("name", ""), role=opening.role
        )
    )
    body = {
        "role": opening.role,
        "software": {"name": "spanledger", "version": software_version()},
        "python": platform.python_version(),
        **identity,
        "durability": settings.durability,
        "on_failure": settings.on_failure,
        "content": settings.content,
        "references": "plain",
        "config_digest": config_digest(settings),
        "predecessor": predecessor,
        "checkpoint": newest_checkpoint(settings.anchors_directory),
        **opening.facts,
    }
    return {"event_type": "chain.open", "chain": {key: value for key, value in body.items() if value is not None}}


def _restart_of(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if row is None else {"relation": "restart", **row}


@functools.cache
def software_version() -> str:
    """Return the installed version of this distribution."""
    try:
        return version("spanledger")
    except PackageNotFoundError:
        return "unknown"


def config_digest(settings: Settings) -> str:
    """Return the lower-case hex SHA-256 of the settings, without the store's password, which may be guessable."""
    values = {field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)}
    scheme, separator, rest = settings.store_url.partition("://")
    values["store_url"] = scheme + separator + rest.rpartition("@")[2]
    return sha256(canonical_json(values)).hexdigest()


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, bool)) else str(value)
