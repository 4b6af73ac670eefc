"""What envelopes say, compared with what stands beside them (ledger.md sections 3 to 5 and 8).

Rules
- A schema this version does not know is not judged: `unverifiable`, never `ok`.
- Row 0, and only row 0, is `chain.open`.
- `tenant` and every typed column are derived from `env` again and compared.
- Every reference is remembered with its place, so that a missing content can be named by the row that needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from spanledger_exporter.store.columns import derive_columns, derive_tenant
from spanledger_exporter.verify.source import EnvelopeRow, Place
from spanledger_exporter.verify.verdict import Findings

SCHEMA = "spanledger.event/1"
PRUNING = ("erasure", "retention")
"""Event types whose rows may say that content is gone on purpose."""

_REFERENCE = re.compile(r"[0-9a-f]{64}")


def parse_envelope(env: bytes) -> Mapping[str, Any] | None:
    """Return the envelope as an object, or None when the bytes are no JSON object."""
    try:
        value = orjson.loads(env)
    except (orjson.JSONDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def references(value: Any) -> Iterator[tuple[str, str]]:
    """Yield (hex reference, class) of every content reference at any depth; a bare `*_ref` is class `payload`."""
    waiting = [value]  # no recursion: the depth is whatever somebody wrote, and Python's own limit is less
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            for key, text in inner.items():
                if isinstance(text, str):
                    if (key == "ref" or key.endswith("_ref")) and _REFERENCE.fullmatch(text):
                        yield text, str(inner.get("class", "payload"))
                elif isinstance(text, (dict, list)):
                    waiting.append(text)
        elif isinstance(inner, list):
            waiting += inner


@dataclass(slots=True)
class EnvelopeReview:
    """What the envelopes say, collected while they are judged."""

    findings: Findings
    needed: dict[bytes, list[Place]] = field(default_factory=dict[bytes, list[Place]])
    classes: dict[bytes, set[str]] = field(default_factory=dict[bytes, set[str]])
    withheld: set[bytes] = field(default_factory=set[bytes])
    gone: set[bytes] = field(default_factory=set[bytes])

    def feed(self, rows: Iterable[EnvelopeRow]) -> None:
        """Judge envelopes, in any order."""
        for row in rows:
            self._review(row)

    def _review(self, row: EnvelopeRow) -> None:
        findings = self.findings
        envelope = parse_envelope(row.env)
        if envelope is None:
            findings.unverifiable("integrity", "the envelope is no JSON object", chain=row.chain, seq=row.seq)
            return
        if envelope.get("schema") != SCHEMA:
            reason = f"expected schema {SCHEMA}, got {envelope.get('schema')!r}"
            findings.unverifiable("integrity", reason, chain=row.chain, seq=row.seq)
        if (envelope.get("event_type") == "chain.open") != (row.seq == 0):
            reason = "row 0, and only row 0, must be chain.open"
            findings.tampered("integrity", reason, chain=row.chain, seq=row.seq)
        self._review_columns(row)
        self._collect(row, envelope)

    def _review_columns(self, row: EnvelopeRow) -> None:
        findings = self.findings
        tenant = derive_tenant(row.env)
        if row.tenant != tenant:
            reason = f"column tenant holds {row.tenant!r}, the envelope says {tenant!r}"
            findings.tampered("columns", reason, chain=row.chain, seq=row.seq)
        if row.columns is None:
            return
        for name, derived in derive_columns(row.env, time_ns=row.time_ns).items():
            stored = row.columns[name]
            if stored != derived:
                reason = f"column {name} holds {_short(stored)}, the envelope says {_short(derived)}"
                findings.tampered("columns", reason, chain=row.chain, seq=row.seq)

    def _collect(self, row: EnvelopeRow, envelope: Mapping[str, Any]) -> None:
        place = (row.chain, row.seq)
        for reference, content_class in references(envelope):
            ref = bytes.fromhex(reference)
            self.classes.setdefault(ref, set()).add(content_class)
            if content_class == "withheld":
                self.withheld.add(ref)
            elif row.answers_references:
                self.needed.setdefault(ref, []).append(place)
        event_type = envelope.get("event_type")
        if event_type in PRUNING:
            body = envelope.get(str(event_type))
            refs = body.get("refs", ()) if isinstance(body, dict) else ()
            self.gone.update(bytes.fromhex(ref) for ref in refs if isinstance(ref, str) and _REFERENCE.fullmatch(ref))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
