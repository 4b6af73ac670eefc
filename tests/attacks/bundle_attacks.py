"""What somebody who hands an evidence bundle on can do to it.

Each is tried plainly, with the manifest brought up to date, and with a manifest signed by a key of the attacker's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256

from spanledger_exporter.evidence.bundle import MANIFEST, MANIFEST_SIGNATURE, seal_manifest
from spanledger_exporter.keys.key_file import make_key
from spanledger_exporter.ledger.checkpoint import parse_checkpoint, sign_checkpoint
from spanledger_exporter.ledger.note import Signer, format_note, parse_note

Files = dict[str, bytes]
Attack = Callable[[Files], None]


def _lines(files: Files) -> list[bytes]:
    return files["rows.jsonl"].splitlines(keepends=True)


def _first(files: Files, folder: str) -> str:
    return min(name for name in files if name.startswith(folder))


def edit(files: Files) -> None:
    """Change one envelope."""
    files["rows.jsonl"] = files["rows.jsonl"].replace(b"success", b"failure", 1)


def edit_and_rehash(files: Files) -> None:
    """Change one envelope and make its hashes right."""
    lines = _lines(files)
    row = json.loads(lines[2])
    row["env"] = row["env"].replace("success", "failure")
    env_hash = sha256(b"spanledger/env/v1\0" + row["env"].encode()).digest()
    header = bytes.fromhex(row["chain"]) + row["seq"].to_bytes(8, "big") + bytes.fromhex(row["prev_hash"])
    header += int(row["time_ns"]).to_bytes(8, "big") + env_hash
    row["env_hash"], row["row_hash"] = env_hash.hex(), sha256(b"spanledger/row/v1\0" + header).hexdigest()
    lines[2] = json.dumps(row).encode() + b"\n"
    files["rows.jsonl"] = b"".join(lines)


def delete(files: Files) -> None:
    """Take one row out, with its proof."""
    lines = _lines(files)
    row = json.loads(lines.pop(2))
    files["rows.jsonl"] = b"".join(lines)
    del files[f"proofs/{row['chain']}-{row['seq']}.tlog-proof"]


def truncate(files: Files) -> None:
    """Cut the newest row and leave its proof."""
    files["rows.jsonl"] = b"".join(_lines(files)[:-1])


def insert(files: Files) -> None:
    """Put a row in twice, the second time with another number."""
    row = json.loads(_lines(files)[-1])
    files["rows.jsonl"] += json.dumps({**row, "seq": row["seq"] + 1}).encode() + b"\n"


def reorder(files: Files) -> None:
    """Exchange the numbers of two rows."""
    lines = _lines(files)
    first, second = json.loads(lines[1]), json.loads(lines[2])
    first["seq"], second["seq"] = second["seq"], first["seq"]
    lines[1:3] = [json.dumps(first).encode() + b"\n", json.dumps(second).encode() + b"\n"]
    files["rows.jsonl"] = b"".join(lines)


def replay(files: Files) -> None:
    """Move a row into another chain."""
    lines = _lines(files)
    row = json.loads(lines[1])
    lines[1] = json.dumps({**row, "chain": "77" * 16}).encode() + b"\n"
    files["rows.jsonl"] = b"".join(lines)


def backdate(files: Files) -> None:
    """Make one row a year older."""
    lines = _lines(files)
    row = json.loads(lines[2])
    row["time_ns"] = str(int(row["time_ns"]) - 365 * 86_400 * 10**9)
    lines[2] = json.dumps(row).encode() + b"\n"
    files["rows.jsonl"] = b"".join(lines)


def swap_content(files: Files) -> None:
    """Put other bytes under a reference."""
    files[_first(files, "content/")] = b"another text"


def delete_content(files: Files) -> None:
    """Take one text out."""
    del files[_first(files, "content/")]


def say_content_was_erased(files: Files) -> None:
    """Take one text out and say that it was erased on request."""
    name = _first(files, "content/")
    index = json.loads(files["content.json"])
    index[name.removeprefix("content/")]["state"] = "erased"
    files["content.json"] = json.dumps(index).encode()
    del files[name]


def change_media(files: Files) -> None:
    """Say that a text is of another media type."""
    files["content.json"] = files["content.json"].replace(b"text/plain", b"text/other", 1)


def forge_checkpoint(files: Files) -> None:
    """Sign the checkpoint with another key of the same name, there and in every proof."""
    name = _first(files, "checkpoints/")
    note = files[name]
    checkpoint = parse_checkpoint(parse_note(note).text)
    forged = format_note(sign_checkpoint(checkpoint, [make_key(checkpoint.origin)])).encode()
    for other, data in files.items():
        files[other] = data.replace(note, forged)


def drop_checkpoint(files: Files) -> None:
    """Take the checkpoint out."""
    del files[_first(files, "checkpoints/")]


def edit_proof(files: Files) -> None:
    """Change one digit of a proof's index."""
    name = _first(files, "proofs/")
    files[name] = files[name].replace(b"index ", b"index 1", 1)


def exchange_proofs(files: Files) -> None:
    """Give a row the proof of another."""
    first, second = sorted(name for name in files if name.startswith("proofs/"))[:2]
    files[first], files[second] = files[second], files[first]


def edit_receipt(files: Files) -> None:
    """Let a receipt speak of another size."""
    receipts = json.loads(files["anchors.json"])
    files["anchors.json"] = json.dumps([{**receipt, "size": receipt["size"] + 1} for receipt in receipts]).encode()


def edit_report(files: Files) -> None:
    """Change the page that people read."""
    files["report.html"] = files["report.html"].replace(b"success", b"failure")


def add_file(files: Files) -> None:
    """Put a document of one's own beside the evidence."""
    files["content/annex.txt"] = b"the customer agreed"


ATTACKS: Mapping[str, Attack] = {
    attack.__name__.replace("_", " "): attack
    for attack in (
        edit,
        edit_and_rehash,
        delete,
        truncate,
        insert,
        reorder,
        replay,
        backdate,
        swap_content,
        delete_content,
        say_content_was_erased,
        change_media,
        forge_checkpoint,
        drop_checkpoint,
        edit_proof,
        exchange_proofs,
        edit_receipt,
        edit_report,
        add_file,
    )
}


def with_new_manifest(files: Files, signer: Signer | None) -> Files:
    """Return the bundle with a manifest that lists what is there, signed by `signer` or by the old signature."""
    facts = json.loads(files[MANIFEST])
    note = files[MANIFEST_SIGNATURE]
    rest = {name: data for name, data in files.items() if name not in (MANIFEST, MANIFEST_SIGNATURE)}
    resealed = seal_manifest(rest, {key: facts[key] for key in ("origin", "scope", "created_at", "rows")}, signer)
    return resealed if signer else {**resealed, MANIFEST_SIGNATURE: note}
