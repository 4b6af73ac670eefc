"""The format of an evidence bundle: one zip, every file listed in a signed manifest.

    manifest.json                          {"files":{name: SHA-256},"format":"spanledger.evidence/1","scope":…}
    manifest.note                          signed note over the manifest's SHA-256, by the log's key
    rows.jsonl                             the rows, as `spanledger export` writes them
    content.json, content/<ref>            media types, and the bytes under each reference
    proofs/<chain>-<seq>.tlog-proof        row -> segment -> log entry -> checkpoint (C2SP tlog-proof)
    checkpoints/<size, 20 digits>          signed notes
    anchors.json                           receipts of these checkpoints: size, kind, target, receipt in base64
    trust-root/<version>.json              every version of the trust root
    report.html, verify.py, README.txt     for people

Rules
- The same ledger, scope and time give the same bytes: names are sorted, time stamps in the zip are fixed.
- The manifest is signed because proofs speak for single rows: without it, a row could be left out unnoticed.
- A proof's `extra` is `u32 length || log entry || row's path in its segment`: it proves itself.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.canonical import canonical_json
from spanledger_exporter.ledger.note import Signer, format_note, sign_note

FORMAT = "spanledger.evidence/1"
MANIFEST_NOTE = "spanledger evidence manifest v1"
MANIFEST, MANIFEST_SIGNATURE = "manifest.json", "manifest.note"

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time that a zip can hold."""


def proof_name(chain: bytes, seq: int) -> str:
    """Return where the proof of a row lies."""
    return f"proofs/{chain.hex()}-{seq}.tlog-proof"


def seal_manifest(files: Mapping[str, bytes], facts: Mapping[str, Any], signer: Signer | None) -> dict[str, bytes]:
    """Return `files` with their manifest, signed when there is a signer."""
    digests = {name: sha256(data).hexdigest() for name, data in files.items()}
    manifest = canonical_json({**facts, "format": FORMAT, "files": digests})
    sealed = {**files, MANIFEST: manifest}
    if signer is not None:
        note = sign_note(f"{MANIFEST_NOTE}\n{sha256(manifest).hexdigest()}\n", [signer])
        sealed[MANIFEST_SIGNATURE] = format_note(note).encode()
    return sealed


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return the zip of `files`."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, files[name])
    return out.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """Return the files of a bundle; the inverse of `pack`. Raises ProofError."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except Exception as error:  # zipfile leaks whatever its decompressors raise
        raise ProofError(f"expected an evidence bundle, got something else: {error}") from error
