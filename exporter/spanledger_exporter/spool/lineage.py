"""Where a chain comes from: who wrote it, which chain came before it, which checkpoint was known.

- `$DIR/spool/<chain>/origin.json` says which host, service and role a chain belongs to, so that a successor need not
  parse every spool file on the machine.
- `$DIR/anchors/chains/<chain>.json` is the chain registry of the default anchor (ledger.md section 6): made once, never
  changed, so that a chain that is missing from the store is noticed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from spanledger_exporter.directories import make_directory
from spanledger_exporter.ledger.canonical import canonical_json
from spanledger_exporter.ledger.chain_registry import ChainOpening, format_opening
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.spool.chain import RowId
from spanledger_exporter.spool.reader import ChainSpool, chains
from spanledger_exporter.spool.writer import ORIGIN_NAME

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_boot_id() -> str | None:
    """Return the kernel's id of this boot, where there is one."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None


def host_identity() -> dict[str, Any]:
    """Return host name, boot id and process id."""
    return {"host": socket.gethostname(), "boot_id": read_boot_id(), "pid": os.getpid()}


def write_origin(chain_directory: Path, origin: Mapping[str, Any]) -> None:
    """Note whose chain this is."""
    (chain_directory / ORIGIN_NAME).write_bytes(canonical_json(origin))


def register_chain(anchors_directory: Path, row_id: RowId, *, time_ns: int) -> None:
    """Put row 0 into the chain registry of the default anchor. Raises OSError; FileExistsError when it is there."""
    directory = anchors_directory / "chains"
    make_directory(directory)
    opening = ChainOpening(row_id.chain_id, row_id.row_hash, time_ns)
    with (directory / f"{row_id.chain_id.hex()}.json").open("xb") as stream:
        stream.write(format_opening(opening))


def find_predecessor(spool_directory: Path, *, host: str, service: str, role: str) -> dict[str, Any] | None:
    """Return `{chain, seq, row_hash}` of the newest row of the newest ended chain of this host, service and role."""
    wanted = (host, service, role)
    found = [(origin["time_ns"], chain) for chain, origin in _origins(spool_directory) if _whose(origin) == wanted]
    for _, chain in sorted(found, key=lambda pair: int(pair[0]), reverse=True):
        row = None if chain.is_live else _last_row(chain)
        if row is not None:  # None also for one that died before its row 0: then the one before it is claimed
            return {"chain": row.chain_id.hex(), "seq": row.seq, "row_hash": row.row_hash.hex()}
    return None


def chains_of_role(spool_directory: Path, role: str) -> list[ChainSpool]:
    """Return the chains that writers of `role` began, the newest first."""
    found = [(int(origin["time_ns"]), chain) for chain, origin in _origins(spool_directory) if origin["role"] == role]
    return [chain for _, chain in sorted(found, key=lambda pair: pair[0], reverse=True)]


def _last_row(chain: ChainSpool) -> Row | None:
    try:
        return chain.last_row()
    except FileNotFoundError:  # a shipper cleaned the chain up meanwhile: everything in it is sealed
        return None


def _origins(spool_directory: Path) -> list[tuple[ChainSpool, dict[str, Any]]]:
    found: list[tuple[ChainSpool, dict[str, Any]]] = []
    for chain in chains(spool_directory):
        try:
            found.append((chain, orjson.loads((chain.directory / ORIGIN_NAME).read_bytes())))
        except (OSError, ValueError):
            continue  # a chain that died before it said whose it is: it has no rows to claim either
    return found


def _whose(origin: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return origin.get("host"), origin.get("service"), origin.get("role")


def newest_checkpoint(anchors_directory: Path) -> dict[str, Any] | None:
    """Return origin, size and root of the newest checkpoint in the default anchor: the chain began after it.

    It is quoted as found; whoever relies on it verifies the signed note with the same size.
    """
    try:
        newest = max(path for path in (anchors_directory / "checkpoints").iterdir() if path.name.isdigit())
        lines = newest.read_text(encoding="utf-8").split("\n")
        return {"origin": lines[0], "size": int(lines[1]), "root": lines[2]}
    except (OSError, IndexError, ValueError):
        return None
