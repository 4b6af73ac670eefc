"""Content outside the rows, judged against its references (ledger.md section 5).

Rules
- A reference commits to media type and plaintext; both are hashed again.
- Encrypted content (`key_id` set) can be re-hashed only with the auditor's key: it is counted, and a key id that no
  `subject_keys` row knows is a failure, because naming a key would otherwise be a way round the hash.
- What an envelope refers to must be there, unless its class is `withheld`, or an erasure or retention row names it.
- Content that no row refers to is counted, not failed: a crash between the two inserts leaves such.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from hashlib import sha256

from spanledger_exporter.ledger.content import CONTENT_LABEL
from spanledger_exporter.verify.envelopes import EnvelopeReview
from spanledger_exporter.verify.source import ContentRow
from spanledger_exporter.verify.verdict import Findings


def review_contents(
    rows: Iterable[ContentRow], envelopes: EnvelopeReview, keys: AbstractSet[str], findings: Findings
) -> None:
    """Hash every stored content, then look for what is missing."""
    present: set[bytes] = set()
    for row in rows:
        present.add(row.ref)
        _review(row, envelopes, keys, findings)
    for ref, (chain, seq) in envelopes.needed.items():
        if ref in present:
            continue
        if ref in envelopes.gone:
            findings.count("content", removed_by_logged_act=1)
        else:
            findings.tampered("content", f"content {ref.hex()} is missing", chain=chain, seq=seq)
    findings.count("content", withheld=len(envelopes.withheld - present))


def _review(row: ContentRow, envelopes: EnvelopeReview, keys: AbstractSet[str], findings: Findings) -> None:
    chain, seq = envelopes.needed.get(row.ref, (None, None))
    name = f"content {row.ref.hex()}"
    if row.content_class == "withheld" and not row.data and row.ref not in envelopes.needed:
        return
    findings.count("content", contents=1, bytes=len(row.data))
    if row.key_id:
        findings.count("content", encrypted=1)
        if row.key_id not in keys:
            findings.tampered("content", f"{name} names key {row.key_id!r}, which does not exist", chain=chain, seq=seq)
        return
    if sha256(b"%b%b\0%b" % (CONTENT_LABEL, row.media.encode(), row.data)).digest() != row.ref:
        findings.tampered("content", f"{name} does not hash to its reference", chain=chain, seq=seq)
    elif row.size != len(row.data):
        reason = f"{name} holds {len(row.data)} bytes, its column size says {row.size}"
        findings.tampered("content", reason, chain=chain, seq=seq)
