"""`spanledger anchor`: list where checkpoints are remembered, or send the newest one to every anchor now.

Exit status: 0 every configured anchor has the newest checkpoint · 1 an anchor remembers another history · 2 one failed.
"""

from __future__ import annotations

import argparse
from typing import Any

from spanledger_exporter.anchors.anchor import Anchor, AnchorError, Archive
from spanledger_exporter.anchors.configured import open_anchors, weakness
from spanledger_exporter.cli.output import add_output_arguments, output_options, print_records
from spanledger_exporter.cli.talk import say
from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import ProofError
from spanledger_exporter.keys.key_ring import open_key_ring
from spanledger_exporter.ledger.note import format_note
from spanledger_exporter.ledger.trust_root import TrustRoot, open_trusted_checkpoint
from spanledger_exporter.seal.log_state import load_log
from spanledger_exporter.seal.publication import publish
from spanledger_exporter.store.connection import Store, open_store

EPILOG = """examples:
  spanledger anchor
  spanledger anchor publish"""

COLUMNS = ("kind", "target", "status", "receipt", "newest", "anchored_at")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("action", nargs="?", default="list", choices=["list", "publish"], help="default: list")
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """List the anchors, after publishing if asked."""
    settings = load_settings()
    anchors = open_anchors(settings)
    root = open_key_ring(settings, make=False).root
    is_publishing = arguments.action == "publish"
    with open_store(settings, role="owner" if is_publishing else "reader") as store:
        if is_publishing:
            log = load_log(store, root)
            if log.checkpoint is not None:
                publish(store, log, note=format_note(log.checkpoint.note), anchors=anchors)
        told = [_describe(store, anchor, root) for anchor in anchors]
    warning = weakness(anchors, settings)
    if warning:
        say(warning)
    for anchor in told:
        if "detail" in anchor:
            say(f"{anchor['target']}: {anchor['detail']}")
    print_records(told, output_options(arguments), columns=COLUMNS)
    return _exit_status(told)


def _describe(store: Store, anchor: Anchor, root: TrustRoot) -> dict[str, Any]:
    newest = int(store.query("SELECT max(size) FROM checkpoints")[0][0])
    found = store.query(
        "SELECT max(size), max(created_at) FROM anchors WHERE kind = {kind:String} AND target = {target:String}",
        {"kind": anchor.kind, "target": anchor.target},
    )
    size, at = int(found[0][0]), found[0][1]
    told: dict[str, Any] = {"kind": anchor.kind, "target": anchor.target, "newest": newest, "receipt": size}
    if size:
        told["anchored_at"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    told["status"] = "anchored" if size == newest else "behind"
    if isinstance(anchor, Archive):
        told.update(_held(anchor, root, newest))
    return told


def _held(anchor: Archive, root: TrustRoot, newest: int) -> dict[str, Any]:
    try:
        note = anchor.newest()
        size = 0 if note is None else open_trusted_checkpoint(note, root).checkpoint.size
        chains = len(anchor.chains())
    except AnchorError as error:
        return {"status": "unreachable", "detail": str(error)}
    except ProofError as error:
        return {"status": "conflict", "detail": str(error)}
    status = "anchored" if size == newest else "behind" if size < newest else "conflict"
    return {"status": status, "holds": size, "chains": chains}


def _exit_status(told: list[dict[str, Any]]) -> int:
    statuses = {anchor["status"] for anchor in told}
    return 1 if "conflict" in statuses else 2 if statuses - {"anchored"} else 0
