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
) -> set[bytes]:
    """Hash every stored content, then look for what is missing; return the references that are there."""
    present: set[bytes] = set()
    for row in rows:
        present.add(row.ref)
        _review(row, envelopes, keys, findings)
    for ref in envelopes.needed:
        if ref in present:
            continue
        if ref in envelopes.gone:
            findings.count("content", removed_by_logged_act=1)
        else:
            _accuse(ref, "is missing", envelopes, findings)
    findings.count("content", withheld=len(envelopes.withheld - present))
    return present


def _review(row: ContentRow, envelopes: EnvelopeReview, keys: AbstractSet[str], findings: Findings) -> None:
    if row.content_class == "withheld" and not row.data and row.ref not in envelopes.needed:
        return
    findings.count("content", contents=1, bytes=len(row.data))
    if row.key_id:
        findings.count("content", encrypted=1)
        if row.key_id not in keys:
            _accuse(row.ref, f"names key {row.key_id!r}, which does not exist", envelopes, findings)
        return
    if sha256(b"%b%b\0%b" % (CONTENT_LABEL, row.media.encode(), row.data)).digest() != row.ref:
        _accuse(row.ref, "does not hash to its reference", envelopes, findings)
    elif row.content_class not in envelopes.classes.get(row.ref, {row.content_class}):
        _accuse(row.ref, f"has class {row.content_class!r}, which no row gives it", envelopes, findings)
    elif row.size != len(row.data):
        reason = f"holds {len(row.data)} bytes, its column size says {row.size}"
        _accuse(row.ref, reason, envelopes, findings)


def _accuse(ref: bytes, reason: str, envelopes: EnvelopeReview, findings: Findings) -> None:
    """Report a content at every row that refers to it; one that no row refers to has no place."""
    reason = f"content {ref.hex()} {reason}"
    for chain, seq in envelopes.needed.get(ref, ()):
        findings.tampered("content", reason, chain=chain, seq=seq)
    if ref not in envelopes.needed:
        findings.tampered("content", reason)
