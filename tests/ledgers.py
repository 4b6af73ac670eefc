"""A small press for ledgers: chains of correctly hashed rows with their contents, straight into a store.

    ledger = Ledger()
    chain = ledger.open_chain(service="triage")
    chain.append({"event_type": "model_call", ...}, contents=[ledger.text("Is this host compromised?")])
    ledger.write(store)

Everything is deterministic: chain ids and times come from counters, so that a failing test fails again.
`ledger_story.tell` fills one with a believable story; `Ledger.write` needs only `store.insert` of the store contract.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Protocol

from spanledger_exporter.ledger.canonical import canonical_envelope, canonical_json
from spanledger_exporter.ledger.content import Content, ContentClass, content_ref
from spanledger_exporter.ledger.row import Row, genesis_hash, make_row

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
MONDAY_NS = 1_793_606_400_000_000_000
"""2026-11-02 08:00 UTC, when every story starts."""

ROW_COLUMNS = ("tenant", "chain_id", "seq", "prev_hash", "time_ns", "env", "env_hash", "row_hash")
CONTENT_COLUMNS = ("tenant", "ref", "class", "media", "size", "data", "key_id")
"""What a shipper inserts into `rows` and `content`; everything else is filled by the engine."""


class Inserts(Protocol):
    """What a ledger needs of a store."""

    def insert(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, token: str | None = None
    ) -> None: ...


@dataclass(slots=True)
class Ledger:
    """Rows of several chains in the order they were written, and every content once."""

    tenant: str = "default"
    rows: list[Row] = field(default_factory=list[Row])
    contents: dict[bytes, Content] = field(default_factory=dict[bytes, Content])
    now_ns: int = MONDAY_NS
    _chains: int = 0

    def open_chain(self, *, service: str = "triage", tenant: str | None = None, role: str = "application") -> Chain:
        """Start a chain with its `chain.open` row."""
        self._chains += 1
        chain_id = sha256(f"chain {self.tenant} {self._chains}".encode()).digest()[:16]
        chain = Chain(self, chain_id, service, tenant or self.tenant)
        chain.append({"event_type": "chain.open", "name": "chain.open", "chain": {"role": role, "host": "host-1"}})
        return chain

    def text(self, text: str, *, content_class: ContentClass = "payload") -> Content:
        """Return a text part as content."""
        return self._keep(text.encode(), TEXT, content_class)

    def document(self, value: Any, *, content_class: ContentClass = "payload") -> Content:
        """Return a JSON part as content."""
        return self._keep(canonical_json(value), JSON, content_class)

    def _keep(self, data: bytes, media: str, content_class: ContentClass) -> Content:
        content = Content(content_ref(media, data), content_class, media, len(data), data)
        self.contents.setdefault(content.ref, content)
        return content

    def row_values(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows as values of `ROW_COLUMNS`."""
        for row in self.rows:
            yield row.tenant, row.chain_id, row.seq, row.prev_hash, row.time_ns, row.env, row.env_hash, row.row_hash

    def write(self, store: Inserts, *, token: str | None = None) -> None:
        """Insert every content, then every row, as a shipper would; another `token` stores the same block again."""
        contents = [
            (self.tenant, c.ref, c.content_class, c.media, c.size, c.data or b"", c.key_id)
            for c in self.contents.values()
        ]
        if contents:
            store.insert("content", CONTENT_COLUMNS, contents, token=token)
        if self.rows:
            store.insert("rows", ROW_COLUMNS, list(self.row_values()), token=token)


@dataclass(slots=True)
class Chain:
    """One writer: appends linked rows to its ledger."""

    ledger: Ledger
    chain_id: bytes
    service: str
    tenant: str
    length: int = 0
    head: bytes = b""

    def append(self, envelope: Mapping[str, Any], *, time_ns: int | None = None) -> Row:
        """Chain one envelope; fills `schema`, `event_id`, `tenant` and `service` where they are absent."""
        ledger = self.ledger
        ledger.now_ns = max(ledger.now_ns + 1_000_000, time_ns or 0)
        filled = {
            "schema": "spanledger.event/1",
            "event_id": f"{self.chain_id.hex()}:{self.length}",
            "tenant": self.tenant,
            "environment": "production",
            "service": {"name": self.service, "version": "1.4.0"},
            **envelope,
        }
        filled.setdefault("time", {"start": str(ledger.now_ns), "end": str(ledger.now_ns)})
        row = make_row(
            chain_id=self.chain_id,
            seq=self.length,
            prev_hash=self.head or genesis_hash(self.chain_id),
            time_ns=ledger.now_ns,
            env=canonical_envelope(filled),
            tenant=self.tenant,
        )
        self.length, self.head = self.length + 1, row.row_hash
        ledger.rows.append(row)
        return row

    def close(self) -> Row:
        """Append the clean end."""
        return self.append({"event_type": "chain.close", "name": "chain.close"})


def part(content: Content, *, role: str, part_type: str = "text", **more: Any) -> dict[str, Any]:
    """Return an item of an envelope's `input` or `output` that refers to `content`."""
    return {
        "role": role,
        "type": part_type,
        "ref": content.ref.hex(),
        "bytes": content.size,
        "media": content.media,
        "class": content.content_class,
        **more,
    }


def utc(time_ns: int) -> datetime:
    """Return a row's time as a datetime, to the microsecond."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC)
