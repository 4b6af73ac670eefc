"""Verify a spanledger evidence bundle (.zip) or rows export (.jsonl) with nothing but Python and `cryptography`.

    python verify.py bundle.zip --trust-root SHA256     that digest, or a --key, comes from somebody you trust

Exit status: 0 verified, 1 tampered, 2 incomplete or not anchored, 3 cannot verify. `--json` prints the whole verdict.
Written from the format's document alone; shares no code with spanledger. The steps, under the same numbers in the code:
 1  the zip holds exactly what its manifest lists (SHA-256), and a pinned key signed the manifest
 2  every row: SHA-256 of the envelope's bytes and of the header; known schema; row 0 opens its chain
 3  neighbours: one hash per place, links hold, time does not run backwards; an export has no gaps
 4  every content that a row refers to is there, and its bytes hash to the reference
 5  every checkpoint is signed by a pinned key that was valid at its size, and no two of one size disagree
 6  every row is a leaf of a sealed segment, whose log entry is a leaf of a signed checkpoint (RFC 6962)
 7  every anchor receipt belongs to one of these checkpoints
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import struct
import sys
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

CHECKS = ("integrity", "authenticity", "completeness", "anchoring", "time", "content", "columns", "coverage")
WORDS = {"tampered": "tampered", "unverifiable": "unknown", "incomplete": "incomplete"}  # the worst kind decides
EXIT_STATUS = {"verified": 0, "tampered": 1, "incomplete": 2, "unknown": 3}
SCHEMA, FORMAT, NUMBER = "spanledger.event/1", "spanledger.evidence/1", "(0|[1-9][0-9]{0,18})"
MAX_BYTES, SHOWN, FOREVER = 4 << 30, 20, 1 << 64  # refused unread; places printed per check; beyond any log's size
Malformed = ValueError  # bytes that are not as documented, signatures and proofs that do not hold: ends as a finding
CLAIMS = {
    "the hashes of the rows, and the links between them, agree with each other": ("integrity", "time"),
    "every text and document they refer to is the one that was recorded": ("integrity", "content", "authenticity"),
    "they stand in a log whose state the pinned key signed": ("integrity", "authenticity", "coverage"),
    "the bundle is whole: nothing was removed from it or added since it was made": ("authenticity", "completeness"),
    "receipts say that anchors took these checkpoints": ("anchoring", "authenticity", "coverage"),
}
NOT_PROVED = (
    "that nothing happened which never reached the instrumentation, or was gone from the store before the bundle",
    "that rows younger than the last anchored checkpoint (10 s by default) were not changed before they were sealed",
    "that the operator did not write another history, if one party controls the signing key and every anchor",
    "that anchors still hold these checkpoints: ask each anchor in anchors.json for its copy and compare",
    "that no key was revoked since: ask whoever gave you the trust root for the newest one",
)


class Findings:
    """What was found, per check, as (kind, place and reason). Kind `skipped` has no effect on the verdict."""

    def __init__(self) -> None:
        self.found: dict[str, list[tuple[str, dict[str, Any]]]] = {check: [] for check in CHECKS}
        self.counts: dict[str, dict[str, int]] = {check: {} for check in CHECKS}
        self.about: dict[str, Any] = {}  # what the manifest says of the bundle

    def add(self, kind: str, check: str, reason: str, row: Mapping[str, Any] | None = None) -> None:  # noqa: D102
        place = {"chain": row["chain"].hex(), "seq": row["seq"]} if row else {"chain": None, "seq": None}
        self.found[check].append((kind, {**place, "reason": reason}))

    def verdict(self) -> dict[str, Any]:  # noqa: D102
        kinds = {check: {kind for kind, _ in found} - {"skipped"} for check, found in self.found.items()}
        word = next((WORDS[kind] for kind in WORDS if any(kind in found for found in kinds.values())), "verified")
        checks: dict[str, Any] = {}
        for check, found in self.found.items():
            status = "failed" if kinds[check] & {"tampered", "incomplete"} else "unknown" if found else "ok"
            places = [place for kind, place in found if kind != "skipped"]
            notes = [place["reason"] for kind, place in found if kind == "skipped"]
            checks[check] = {"status": status, "counts": self.counts[check], "failures": places, "notes": notes}
        proved = [claim for claim, needed in CLAIMS.items() if not any(self.found[check] for check in needed)]
        told = {"verdict": word, "about": self.about, "checks": checks}
        return {**told, "proved": proved if self.counts["integrity"] else [], "residuals": list(NOT_PROVED)}


def decode(text: str, what: str) -> bytes:
    """Decode base64 that has no second spelling."""
    data = b64decode(text)
    if b64encode(data).decode() != text:
        raise Malformed(f"{what} is not canonical base64")
    return data


def parse_row(line: bytes) -> dict[str, Any]:
    """Return one exported row: chain, hashes and env as bytes, seq and time_ns as numbers."""
    told = json.loads(line)
    row = {name: bytes.fromhex(told[name]) for name in ("chain", "prev_hash", "env_hash", "row_hash")}
    sizes = [len(value) for value in row.values()] == [16, 32, 32, 32]
    numbers = type(told["seq"]) is int and re.fullmatch("0|[1-9][0-9]{0,19}", told["time_ns"])
    if not sizes or not numbers or any(row[name].hex() != told[name] for name in row):
        raise Malformed("chain and hashes are lower-case hex, seq is a number, time_ns a decimal string")
    struct.pack(">QQ", told["seq"], int(told["time_ns"]))  # both fit into 64 bits
    return {**row, "env": told["env"].encode(), "seq": told["seq"], "time_ns": int(told["time_ns"])}


def verify_row(row: dict[str, Any], findings: Findings) -> None:
    """Step 2; leaves the parsed envelope in the row."""
    header = row["chain"] + struct.pack(">Q", row["seq"]) + row["prev_hash"] + struct.pack(">Q", row["time_ns"])
    if sha256(b"spanledger/env/v1\0" + row["env"]).digest() != row["env_hash"]:
        findings.add("tampered", "integrity", "the envelope's bytes do not hash to env_hash", row)
    if sha256(b"spanledger/row/v1\0" + header + row["env_hash"]).digest() != row["row_hash"]:
        findings.add("tampered", "integrity", "the header does not hash to row_hash", row)
    try:
        json.dumps(envelope := json.loads(row["env"].decode(), parse_constant=int), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        envelope = None
    row["envelope"] = envelope = envelope if isinstance(envelope, dict) else {}
    if envelope.get("schema") != SCHEMA:
        findings.add("unverifiable", "integrity", f"expected schema {SCHEMA}, got {envelope.get('schema')!r}", row)
    if (envelope.get("event_type") == "chain.open") != (row["seq"] == 0):
        findings.add("tampered", "integrity", "row 0, and only row 0, must be chain.open", row)


def verify_rows(lines: bytes, findings: Findings, *, whole: bool) -> list[dict[str, Any]]:
    """Take steps 2 and 3; `whole` asks for every row from 0 on. Return distinct rows in order."""
    distinct: dict[tuple[bytes, int], dict[str, Any]] = {}
    parsed = [parse_row(line) for line in filter(None, lines.split(b"\n"))]
    for row in sorted(parsed, key=lambda row: (row["chain"], row["seq"], row["row_hash"])):
        verify_row(row, findings)
        if distinct.setdefault((row["chain"], row["seq"]), row)["row_hash"] != row["row_hash"]:
            findings.add("tampered", "integrity", "two rows claim this place in the chain", row)
    rows = list(distinct.values())
    findings.counts["integrity"] = {"rows": len(rows)} if rows else {}
    before: dict[str, Any] | None = None
    for row in rows:
        before = before if before and before["chain"] == row["chain"] else None
        head = before["row_hash"] if before else sha256(b"spanledger/genesis/v1\0" + row["chain"]).digest()
        expected = before["seq"] + 1 if before else 0
        if row["seq"] != expected and whole:
            reason = f"rows {expected} to {row['seq'] - 1} are missing"
            findings.add("tampered", "completeness", reason, {"chain": row["chain"], "seq": expected})
        elif row["seq"] == expected and row["prev_hash"] != head:
            findings.add("tampered", "integrity", "prev_hash is not the hash of the row before", row)
        if before and row["time_ns"] < before["time_ns"]:
            findings.add("tampered", "time", "the row is older than the row before it", row)
        before = row
    if not rows:
        findings.add("unverifiable", "completeness", "there are no rows: nothing can be proved from an empty ledger")
    return rows


def references(value: Any) -> Iterator[tuple[str, str]]:
    """Yield (reference, class) of every content reference in an envelope."""
    for part in (waiting := [value]):  # which grows meanwhile; recursion would end at Python's own limit
        for key, inner in part.items() if isinstance(part, dict) else ():
            if (key == "ref" or key.endswith("_ref")) and re.fullmatch("[0-9a-f]{64}", str(inner)):
                yield str(inner), str(part.get("class", "payload"))
        waiting += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()


def verify_content(rows: list[dict[str, Any]], files: Mapping[str, bytes], findings: Findings) -> None:
    """Take step 4. `content.json` maps references to media types, or says why the bytes are not there."""
    index = json.loads(files.get("content.json", b"{}"))
    for ref, entry in index.items():
        message = f"spanledger/content/v1\0{entry.get('media', '')}\0".encode() + files.get(f"content/{ref}", b"")
        if f"content/{ref}" in files and sha256(message).hexdigest() != ref:
            findings.add("tampered", "content", f"content {ref} does not hash to its reference")
    findings.counts["content"]["contents"] = sum(name.startswith("content/") for name in files)
    for row in rows:
        for ref, content_class in references(row["envelope"]):
            if (gone := index.get(ref, {}).get("state")) in ("erased", "encrypted"):
                findings.add("skipped", "content", f"content {ref} is {gone}", row)
            elif content_class != "withheld" and (ref not in index or f"content/{ref}" not in files):
                findings.add("tampered", "content", f"content {ref} is missing", row)


def parse_vkey(vkey: str) -> tuple[str, bytes, bytes]:
    """Return (name, key id, type byte and public key) of a C2SP verifier key."""
    name, key_id, encoded = (*str(vkey).strip().split("+", 2), "", "")[:3]
    key = decode(encoded, f"the key {vkey!r}")
    expected = sha256(key[1:] if key[:1] == b"\2" else name.encode() + b"\n" + key).digest()[:4]
    if not name or key_id != expected.hex() or key[:1] not in (b"\1", b"\2", b"\4"):
        raise Malformed(f"{vkey!r} is no verifier key: an unknown type, or its parts do not belong together")
    return name, expected, key


def check_signature(vkey: str, signature: bytes, text: bytes) -> None:
    """Raise Malformed unless the signature holds. Types: 1 Ed25519, 2 ECDSA P-256, 4 Ed25519 of a witness."""
    name, _, key = parse_vkey(vkey)
    try:
        if key[0] == 2:
            public = serialization.load_der_public_key(key[1:])
            assert isinstance(public, ec.EllipticCurvePublicKey)  # noqa: S101 - ends as a finding, like every exception
            return public.verify(signature, text, ec.ECDSA(hashes.SHA256()))
        if key[0] == 4:  # the time stands before the signature
            text, signature = b"cosignature/v1\ntime %d\n" % int.from_bytes(signature[:8], "big") + text, signature[8:]
        ed25519.Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature, text)
    except (InvalidSignature, ValueError) as error:
        raise Malformed(f"the signature of {name} does not hold") from error


def open_note(data: bytes, vkeys: Iterable[str] | None) -> bytes:
    """Return the text of a C2SP signed note that a key of `vkeys` signed (and none wrongly); None verifies nothing."""
    note = data.decode("utf-8", "replace")
    text, _, lines = note.rpartition("\n\n")
    found = [re.fullmatch("— ([^ +]+) ([A-Za-z0-9+/=]+)", line) for line in lines[:-1].split("\n")]
    if not text or not lines.endswith("\n") or re.search("[\x00-\x09\x0b-\x1f\ufffd]", note) or not all(found):
        raise Malformed("expected a note: text, an empty line, and signature lines")
    signatures = [(match[1], decode(match[2], "a signature")) for match in found if match]
    good = vkeys is None
    for vkey, (signer, blob) in itertools.product(vkeys or (), signatures):
        name, key_id, key = parse_vkey(vkey)
        if (signer, blob[:4]) == (name, key_id):
            check_signature(vkey, blob[4:], (text + "\n").encode())
            good = good or key[0] != 4
    if not good:
        raise Malformed("no pinned key that is valid here signed it")
    return (text + "\n").encode()


def parse_checkpoint(text: bytes) -> tuple[int, bytes]:
    """Return (size, root) of a C2SP checkpoint's text."""
    lines = text.decode().split("\n")
    if len(lines) != 4 or not lines[0] or not re.fullmatch(NUMBER, lines[1]) or len(decode(lines[2], "the root")) != 32:
        raise Malformed("expected a checkpoint: origin, size, root and no more lines")
    return int(lines[1]), decode(lines[2], "the root")


def root_from_path(node: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Return the root that a leaf hash and its path, lowest sibling first, lead to (RFC 6962, section 2.1.1)."""
    if not 0 <= index < size or (size > 1) != bool(path):
        raise Malformed("the inclusion proof has another length than its tree")
    if size == 1:
        return node
    split = 1 << (size - 1).bit_length() - 1
    if index < split:
        return sha256(b"\1" + root_from_path(node, index, split, path[:-1]) + path[-1]).digest()
    return sha256(b"\1" + path[-1] + root_from_path(node, index - split, size - split, path[:-1])).digest()


def verify_proof(row: Mapping[str, Any], proof: bytes) -> bytes:
    """Take step 6 and return the checkpoint's note. `extra` is a u32 length, the log entry, and the row's path."""
    head, _, note = proof.partition(b"\n\n")
    lines = head.decode("utf-8", "replace").split("\n")
    index = re.fullmatch(f"index {NUMBER}", lines[2]) if len(lines) > 2 else None
    if lines[0] != "c2sp.org/tlog-proof@v1" or not index or not lines[1].startswith("extra "):
        raise Malformed("expected a tlog-proof with `extra` and `index`")
    extra, path = decode(lines[1][6:], "extra"), [decode(line, "a node") for line in lines[3:]]
    end = 4 + int.from_bytes(extra[:4], "big")
    entry, nodes = extra[4:end], [extra[start : start + 32] for start in range(end, len(extra), 32)]
    segment = json.loads(entry)
    ours = isinstance(segment, dict) and (segment.get("type"), segment.get("chain")) == ("segment", row["chain"].hex())
    if not ours or any(len(node) != 32 for node in path + nodes):
        raise Malformed("the proof's log entry is not a segment of this chain, or its nodes are not 32 bytes each")
    place, size = row["seq"] - segment["first"], segment["last"] - segment["first"] + 1
    if root_from_path(sha256(b"\0" + row["row_hash"]).digest(), place, size, nodes).hex() != segment["root"]:
        raise Malformed("the row is not a leaf of its segment")
    log_size, root = parse_checkpoint(open_note(note, None))
    if root_from_path(sha256(b"\0" + entry).digest(), int(index[1]), log_size, path) != root:
        raise Malformed("the segment is not a leaf of the checkpoint")
    return note


def follow_trust_root(files: Mapping[str, bytes], pin: str) -> list[tuple[str, int, int]]:
    """Return (key, first size, last size); from the pinned version on, each must follow from the one before."""
    versions = [files[name] for name in sorted(files) if name.startswith("trust-root/")]
    signed: dict[str, Any] = {}
    for document in map(json.loads, versions[[sha256(version).hexdigest() for version in versions].index(pin) :]):
        older, signed = signed or document["signed"], document["signed"]
        canonical = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        text = b"spanledger/trust-root/v1\0" + canonical.encode()
        for authority in (older, signed):
            good: set[str] = set()
            for vkey, found in itertools.product(authority["root_keys"], document["signatures"]):
                if parse_vkey(vkey)[:2] == (found["name"], bytes.fromhex(found["key_id"])):
                    check_signature(vkey, decode(found["signature"], "a signature"), text)
                    good.add(vkey)
            if len(good) < authority["threshold"]:
                raise Malformed("a trust root is not signed by enough root keys")
    keys = [(key["vkey"], key["from_size"], key.get("until_size", FOREVER)) for key in signed["log_keys"]]
    return keys + [(vkey, 0, FOREVER) for vkey in signed["witnesses"] if parse_vkey(vkey)[2][:1] == b"\4"]


def verify_manifest(files: Mapping[str, bytes], keys: list[str], findings: Findings) -> None:
    """Take step 1."""
    manifest = json.loads(files.get("manifest.json", b"{}"))
    if manifest.get("format") != FORMAT:
        raise Malformed(f"expected a manifest of format {FORMAT}: is this a bundle, or one of a newer version?")
    findings.about = {name: manifest[name] for name in ("scope", "origin", "created_at", "rows") if name in manifest}
    present = {name: sha256(files[name]).hexdigest() for name in files.keys() - {"manifest.json", "manifest.note"}}
    for name in sorted({name for name, _ in manifest["files"].items() ^ present.items()}):
        findings.add("tampered", "completeness", f"{name} is not what the manifest lists")
    text = f"spanledger evidence manifest v1\n{sha256(files['manifest.json']).hexdigest()}\n".encode()
    try:
        if "manifest.note" not in files:
            findings.add("incomplete", "completeness", "the manifest is not signed: rows may have been left out of it")
        elif keys and open_note(files["manifest.note"], keys) != text:
            findings.add("tampered", "completeness", "the manifest is not the one that was signed")
    except Malformed as error:
        findings.add("tampered", "completeness", f"manifest.note: {error}")


def verify_bundle(files: Mapping[str, bytes], pins: list[str], trust_root: str, findings: Findings) -> None:
    """Take steps 1 to 7."""
    keys = [(pin, 0, FOREVER) for pin in pins]
    if trust_root in {sha256(files[name]).hexdigest() for name in files if name.startswith("trust-root/")}:
        keys += follow_trust_root(files, trust_root)
    elif trust_root:
        reason = f"no trust root in it has the digest {trust_root}: another log's, or altered, or mistyped"
        findings.add("unverifiable", "authenticity", reason)
    elif not keys:
        findings.add("unverifiable", "authenticity", "no key was pinned: pass --trust-root or --key")
    verify_manifest(files, [key for key, _, last in keys if last == FOREVER], findings)  # 1
    rows = verify_rows(files.get("rows.jsonl", b""), findings, whole=False)  # 2, 3
    verify_content(rows, files, findings)  # 4
    sizes: dict[bytes, int] = {}
    roots: dict[int, bytes] = {}
    for name in sorted(name for name in files if name.startswith("checkpoints/")):  # 5
        try:
            size, root = parse_checkpoint(open_note(files[name], None))
            open_note(files[name], [key for key, first, last in keys if first <= size <= last] if keys else None)
            if roots.setdefault(size, root) != root:
                findings.add("tampered", "integrity", f"{name} has another root than one of its size: a fork")
            sizes[files[name]] = size
        except ValueError as error:
            findings.add("tampered", "authenticity", f"{name}: {error}")
    receipts = [receipt["size"] for receipt in json.loads(files.get("anchors.json", b"[]"))]
    for row in rows:  # 6
        proof = files.get(f"proofs/{row['chain'].hex()}-{row['seq']}.tlog-proof")
        try:
            if proof is None:
                findings.add("incomplete", "coverage", "the row has no proof: it was not sealed yet", row)
            elif (note := verify_proof(row, proof)) not in sizes:
                findings.add("tampered", "authenticity", "its proof ends at a checkpoint without a good signature", row)
            elif sizes[note] not in receipts:
                findings.add("incomplete", "anchoring", f"no anchor took its checkpoint of size {sizes[note]}", row)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            findings.add("tampered", "integrity", f"the row's proof does not hold: {error}", row)
    for size in sorted(set(receipts) - set(sizes.values())):  # 7
        findings.add("tampered", "anchoring", f"a receipt is for size {size}, which has no signed checkpoint")
    findings.add("skipped", "columns", "a bundle has no typed columns")


def verify_file(path: Path, *, keys: Iterable[str] = (), trust_root: str | None = None) -> dict[str, Any]:
    """Return the verdict on a bundle or an export; raise nothing for what is in it."""
    findings = Findings()
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as bundle:
                names = bundle.namelist()
                if len(set(names)) != len(names) or sum(item.file_size for item in bundle.infolist()) > MAX_BYTES:
                    raise Malformed("two files have one name, or it is too large")  # noqa: TRY301 - told below
                files = {name: bundle.read(name) for name in names}
            verify_bundle(files, list(keys), (trust_root or "").lower(), findings)
        else:
            verify_rows(path.read_bytes(), findings, whole=True)
            findings.add("incomplete", "anchoring", "rows alone: nothing in this file is signed or anchored")
            for check in ("authenticity", "content", "columns"):
                findings.add("skipped", check, "an export has none")
        return findings.verdict()
    except OSError as error:
        findings.add("unverifiable", "integrity", f"{path} cannot be read: {error.strerror or error}")
    except Exception as error:  # whatever bytes do to a parser is a verdict on the bytes
        findings.add("tampered", "integrity", f"no whole bundle or export, it was damaged: {str(error)[:200]}")
    for check in [check for check, found in findings.found.items() if not found]:  # nobody looked at it to the end
        findings.add("skipped", check, "not checked")
    return findings.verdict()


def render(verdict: Mapping[str, Any]) -> str:
    """Return the verdict in plain words."""
    lines = [verdict["verdict"].upper(), *(f"  {name:<13} {value}" for name, value in verdict["about"].items()), ""]
    for check, result in verdict["checks"].items():
        counts = ", ".join(f"{number} {name}" for name, number in result["counts"].items())
        lines.append(f"  {check:<13} {result['status']:<8} {counts}".rstrip())
        for found in result["failures"][:SHOWN]:
            place = f"chain {found['chain']} row {found['seq']}: " if found["chain"] else ""
            lines.append(f"      {place}{found['reason']}")
        lines += [f"      … and {more:,} more: see --json"] if (more := len(result["failures"]) - SHOWN) > 0 else []
        lines += [f"      {note}" for note in result["notes"][:SHOWN]]
    lines += ["", "proved:", *(f"  - {line}" for line in verdict["proved"] or ["nothing"])]
    lines += ["", "not proved:", *(f"  - {line}" for line in verdict["residuals"])]
    return "\n".join(line if line.isprintable() else repr(line) for line in lines)  # no escapes from names in the file


def main() -> int:
    """Verify one file and say what was proved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="a bundle (.zip) or an export (.jsonl)")
    parser.add_argument("--trust-root", metavar="SHA256", help="digest of the trust root to believe")
    parser.add_argument("--key", type=lambda text: (parse_vkey(text), text)[1], action="append", default=[])
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    try:
        arguments = parser.parse_args()
    except SystemExit as end:  # argparse's own 2 would read as "incomplete"
        return 3 if end.code else 0
    verdict = verify_file(arguments.file, keys=arguments.key, trust_root=arguments.trust_root)
    sys.stdout.write((json.dumps(verdict, indent=2) if arguments.json else render(verdict)) + "\n")
    return EXIT_STATUS[verdict["verdict"]]


if __name__ == "__main__":
    sys.exit(main())
