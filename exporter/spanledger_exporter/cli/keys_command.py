"""`spanledger keys`: show, make, rotate and revoke the keys that sign the log, and hand over its trust root.

Exit status: 0 done · 1 the log or an anchor contradicts: nothing was rotated · 78 wrong key, file or setting.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from spanledger_exporter.anchors.configured import open_anchors
from spanledger_exporter.cli.numbers import positive, size
from spanledger_exporter.cli.talk import say
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.errors import ConfigurationError, ProofError, UsageError, VerificationError
from spanledger_exporter.keys.key_file import make_key, read_key_file, write_key_file
from spanledger_exporter.keys.key_ring import KeyRing, open_key_ring
from spanledger_exporter.ledger.note import COSIGNATURE_V1, ED25519, parse_vkey
from spanledger_exporter.ledger.trust_root import LogKey
from spanledger_exporter.seal.log_state import newest_checkpoint
from spanledger_exporter.seal.rotation import rotate
from spanledger_exporter.seal.sealing_keys import open_sealing_keys
from spanledger_exporter.store.connection import open_store
from spanledger_exporter.store.schema import ensure_schema

EPILOG = """examples:
  spanledger keys show --json
  spanledger keys rotate
  spanledger keys rotate --sign officer-1.key --sign officer-2.key
  spanledger keys revoke 1f2e3d4c --reason "laptop lost" --until-size 812
  spanledger keys new --out officer-1.key --name example.com/officer-1
  spanledger keys trust --root-key VKEY --root-key VKEY --threshold 2 --sign officer-1.key --sign officer-2.key
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="show the current key, all keys, and the trust root's pin")
    show.add_argument("--json", action="store_true", help="print JSON")
    new = actions.add_parser("new", help="make the log's first key, or with --out a key of its own kind")
    new.add_argument("--out", type=Path, metavar="FILE", help="where to write a key that is not the log's")
    new.add_argument("--name", help="with --out: the key's name, such as example.com/officer-1")
    new.add_argument("--witness", action="store_true", help="with --out: a witness key (type 0x04)")
    new.add_argument("--json", action="store_true", help="print JSON")
    turn = actions.add_parser("rotate", help="make a new key and let it take over, signed by both")
    turn.add_argument("--sign", action="append", default=[], type=Path, metavar="FILE", help="root key that signs")
    turn.add_argument("--json", action="store_true", help="print JSON")
    revoke = actions.add_parser("revoke", help="stop believing a former key")
    revoke.add_argument("key_id", metavar="KEY_ID", help="eight hex digits, as `keys show` prints them")
    revoke.add_argument("--reason", required=True, help="why, for whoever reads the trust root")
    revoke.add_argument("--until-size", type=size, metavar="N", help="last checkpoint size still believed")
    revoke.add_argument("--sign", action="append", default=[], type=Path, metavar="FILE", help="root key that signs")
    revoke.add_argument("--json", action="store_true", help="print JSON")
    trust = actions.add_parser("trust", help="name root keys, threshold and witnesses of the trust root")
    trust.add_argument("--root-key", action="append", default=[], metavar="VKEY", help="a root key (repeat)")
    trust.add_argument("--threshold", type=positive, metavar="N", help="how many of these root keys must sign (1)")
    trust.add_argument("--witness", action="append", default=[], metavar="VKEY", help="a witness to know (repeat)")
    trust.add_argument("--sign", action="append", default=[], type=Path, metavar="FILE", help="key file that signs")
    trust.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do the action and print where the keys stand after it."""
    settings = load_settings()
    if arguments.action == "trust" and not arguments.root_key and (arguments.threshold or not arguments.witness):
        raise UsageError("expected --root-key for each root key, or --witness, got neither: nothing was changed")
    if arguments.action == "new" and arguments.out is not None:
        return _new_key_file(arguments)
    if arguments.action == "new" and KeyRing(settings).exists:
        raise ConfigurationError(f"expected no log key in {settings.keys_directory}, got one: use `keys rotate`")
    try:
        ring = _open_ring(settings, may_make=arguments.action in ("new", "show", "rotate"))
        _act(arguments, settings, ring)
    except ProofError as error:
        raise ConfigurationError(str(error)) from error
    except VerificationError as error:
        say(error)
        return 1
    _print(describe(ring), is_json=arguments.json)
    return 0


def _open_ring(settings: Settings, *, may_make: bool) -> KeyRing:
    if may_make and not KeyRing(settings).exists:
        return open_sealing_keys(settings, None, open_anchors(settings))
    return open_key_ring(settings, make=False)


def _act(arguments: argparse.Namespace, settings: Settings, ring: KeyRing) -> None:
    if arguments.action in ("rotate", "revoke"):
        ring.lend([read_key_file(path) for path in arguments.sign])
    if arguments.action == "rotate":
        with open_store(settings, role="owner") as store:
            ensure_schema(store)
            rotate(store, settings=settings, keys=ring, anchors=open_anchors(settings))
    elif arguments.action == "revoke":
        size = arguments.until_size
        ring.revoke(
            arguments.key_id,
            reason=arguments.reason,
            until_size=_newest_size(settings, ring) if size is None else size,
        )
    elif arguments.action == "trust":
        _trust(arguments, ring)


def _newest_size(settings: Settings, ring: KeyRing) -> int:
    with open_store(settings, role="reader") as store:
        newest = newest_checkpoint(store, ring.root)
    return newest.checkpoint.size if newest else 0


def _trust(arguments: argparse.Namespace, ring: KeyRing) -> None:
    signers = [read_key_file(path) for path in arguments.sign]
    if arguments.witness:
        ring.change_witnesses([parse_vkey(text) for text in arguments.witness], signers=signers)
    if arguments.root_key:
        keys = [parse_vkey(text) for text in arguments.root_key]
        threshold = 1 if arguments.threshold is None else arguments.threshold
        ring.change_root_keys(keys, threshold=threshold, signers=signers)


def _new_key_file(arguments: argparse.Namespace) -> int:
    if not arguments.name:
        raise ConfigurationError("expected --name with --out, got none: name the key, such as example.com/officer-1")
    signer = make_key(arguments.name, algorithm=COSIGNATURE_V1 if arguments.witness else ED25519)
    write_key_file(arguments.out, signer)
    key = signer.verifier_key
    _print({"name": key.name, "vkey": key.vkey, "key_id": key.key_id.hex()}, is_json=arguments.json)
    return 0


def describe(ring: KeyRing) -> dict[str, Any]:
    """Return the current key, every key, and the trust root's pin."""
    signed = ring.signed_root
    current = signed.root.current
    return {
        "name": current.key.name,
        "vkey": current.key.vkey,
        "created_at": current.created_at,
        "key_id": current.key.key_id.hex(),
        "from_size": current.from_size,
        "keys": [_describe_key(key) for key in signed.root.log_keys],
        "trust_root": {
            "sha256": signed.pin,
            "version": signed.root.version,
            "threshold": signed.root.threshold,
            "root_keys": [key.vkey for key in signed.root.root_keys],
            "witnesses": [key.vkey for key in signed.root.witnesses],
            "path": str(ring.trust_root_path),
        },
    }


def _describe_key(key: LogKey) -> dict[str, Any]:
    told = {
        "key_id": key.key.key_id.hex(),
        "vkey": key.key.vkey,
        "created_at": key.created_at,
        "from_size": key.from_size,
        "until_size": key.until_size,
        "revoked": key.revoked,
    }
    return {name: value for name, value in told.items() if value is not None}


def _print(told: dict[str, Any], *, is_json: bool) -> None:
    if is_json:
        print(json.dumps(told))  # noqa: T201
        return
    for name in ("name", "vkey", "created_at"):
        if name in told:
            print(f"{name:<12}{told[name]}")  # noqa: T201
    for key in told.get("keys", []):
        until = key.get("until_size", "now")
        revoked = f", revoked: {key['revoked']}" if "revoked" in key else ""
        print(f"key {key['key_id']}  good for sizes {key['from_size']} to {until}{revoked}")  # noqa: T201
    if "trust_root" in told:
        root = told["trust_root"]
        print(f"trust root  version {root['version']}, pin it: --trust-root {root['sha256']}")  # noqa: T201
