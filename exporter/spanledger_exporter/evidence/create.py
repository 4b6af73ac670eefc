"""Makes an evidence bundle from an open store.

Steps: collect, write the report, list, sign, pack. Nothing is judged here: the command does that
with the finished file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spanledger_exporter.errors import ConfigurationError
from spanledger_exporter.evidence.bundle import pack, seal_manifest
from spanledger_exporter.evidence.collect import Scope, collect
from spanledger_exporter.evidence.report import ReportFacts, render_report
from spanledger_exporter.keys.key_ring import KeyRing
from spanledger_exporter.ledger.note import Signer
from spanledger_exporter.store.connection import Store
from spanledger_exporter.verify import standalone
from spanledger_exporter.verify.local import trust_of

README = """This is an evidence bundle of spanledger. To read it, open report.html in any browser.

To check it, on any machine with Python 3.11 and the `cryptography` package, and without spanledger:

    unzip -p bundle.zip verify.py > verify.py
    python verify.py bundle.zip --trust-root SHA256

Ask somebody you trust for the SHA-256, and not whoever gave you this bundle: whoever can choose the key can sign
anything. The same goes for verify.py: a forged bundle may hold a forged verifier, so take the file from the spanledger
release that you trust (it lies there as spanledger_exporter/verify/standalone.py), or read the one in here before you
run it: it has no more than 400 lines. It says in plain words what was proved and what was not.

It takes the receipts of anchors at their word. A time stamp among them (kind rfc3161 in anchors.json) is checked with
openssl: its receipt is base64, twice, of an answer that `openssl ts -verify -in ANSWER -data checkpoints/SIZE -CAfile
ROOT.pem` reads, with the root certificate of the authority, which its own site has.
"""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A finished bundle.

    `unsealed` counts rows without a proof; `unsigned` says why the manifest has no signature, and is empty when it has
    one.
    """

    data: bytes
    rows: int
    contents: int
    unsealed: int
    pin: str
    unsigned: str
    tenants: Sequence[str] = ()


def create_bundle(store: Store, scope: Scope, *, keys: KeyRing | None, created_at: str) -> Bundle:
    """Collect what `scope` names and return it as a zip. `created_at` is an ISO time in UTC."""
    collected = collect(store, scope, trust=trust_of(keys.root) if keys is not None else None)
    versions = keys.trust_root_versions() if keys is not None else []
    root = keys.signed_root if keys is not None else None
    origin, pin = (root.root.origin, root.pin) if root is not None else ("", "")
    signer, unsigned = _signer(keys)
    facts = {
        "created_at": created_at,
        "origin": origin,
        "scope": scope.as_json(),
        "rows": len(collected.rows),
    }
    files = {
        **collected.files,
        **{f"trust-root/{number:05}.json": data for number, data in enumerate(versions, 1)},
        "verify.py": Path(standalone.__file__).read_bytes(),
        "README.txt": README.encode(),
    }
    report = ReportFacts(
        scope=scope.as_json(),
        created_at=created_at,
        origin=origin,
        pin=pin,
        checkpoints=_checkpoints(collected.files),
        proved=collected.proved,
        receipts=collected.receipts,
        unsigned=unsigned,
    )
    files["report.html"] = render_report(collected.rows, collected.contents, report).encode()
    return Bundle(
        data=pack(seal_manifest(files, facts, signer)),
        rows=len(collected.rows),
        contents=len(collected.contents),
        unsealed=sum((row[0], row[1]) not in collected.proved for row in collected.rows),
        pin=pin,
        unsigned=unsigned,
        tenants=sorted({row[7] for row in collected.rows}),
    )


def _checkpoints(files: dict[str, bytes]) -> Sequence[str]:
    return [data.decode() for name, data in sorted(files.items()) if name.startswith("checkpoints/")]


def _signer(keys: KeyRing | None) -> tuple[Signer | None, str]:
    """Return who signs the manifest, or why nobody can."""
    try:
        return (keys.signer(), "") if keys is not None else (None, "there are no keys on this machine")
    except ConfigurationError as error:
        return None, str(error)
