"""One batch into the store, exactly once.

Rules
- Contents first, and only those that the store does not have: a row in the store never refers to a content that is
  still on its way.
- After a failed insert nobody knows whether it landed. So every try but the first asks the store which rows it has,
  and the token covers the insert that is still running in the server.
- What the engine refuses is cut in halves down to single rows. A row that is refused alone is a dead letter; if the
  engine refuses everything, the rows are not to blame, and the batch is tried again for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeVar

from spanledger_exporter.errors import StoreError, StoreRefusedError
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.ship.alarms import Alarms
from spanledger_exporter.ship.batch import Batch, TenantContent, batch_token
from spanledger_exporter.store.connection import Store
from spanledger_exporter.store.tables import CONTENT_COLUMNS, ROW_COLUMNS

REFS_PER_QUERY = 3_000
"""Their hex has to fit into one statement (256 kB)."""

CHAINS_PER_QUERY = 2 * REFS_PER_QUERY

_Item = TypeVar("_Item")


@dataclass(slots=True)
class Delivered:
    """What one delivery added to the store."""

    rows: int = 0
    contents: int = 0
    dead_letters: int = 0
    dead_rows: list[int] = field(default_factory=list[int])


def deliver(store: Store, batch: Batch, *, alarms: Alarms, ask_first: bool) -> Delivered:
    """Insert what the store lacks of `batch`. `ask_first` after a failure or a restart.

    Raises StoreError when the store cannot take it now, RecordError when a dead letter cannot be recorded.
    """
    delivered = Delivered()
    _deliver_contents(store, batch, alarms, delivered)
    rows = _missing_rows(store, batch.rows) if ask_first else batch.rows
    _deliver_rows(store, rows, alarms, delivered)
    if ask_first and rows:
        _insist(store, rows, delivered)
    return delivered


def _deliver_contents(store: Store, batch: Batch, alarms: Alarms, delivered: Delivered) -> None:
    missing = _missing_contents(store, batch.contents)
    if not missing:
        return
    # An erased content may have to be stored again: the token belongs to the batch as well as to what is inserted.
    prefix = batch_token(batch.rows) if batch.rows else str(batch.end)

    def insert(items: Sequence[TenantContent]) -> None:
        digest = sha256(b"".join(content.ref for _, content in items)).hexdigest()
        store.insert("content", CONTENT_COLUMNS, list(map(_content_values, items)), token=f"{prefix}:{digest}")

    for (tenant, content), reason in _insert_divided(missing, insert):
        alarms.dead_content(tenant, content, reason)
        delivered.dead_letters += 1
    delivered.contents += len(missing)


def _missing_contents(store: Store, contents: Sequence[TenantContent]) -> list[TenantContent]:
    by_key = {(tenant, content.ref): (tenant, content) for tenant, content in contents if content.data is not None}
    refs = list({ref for _, ref in by_key})
    for start in range(0, len(refs), REFS_PER_QUERY):
        for key in _stored_contents(store, refs[start : start + REFS_PER_QUERY]):
            by_key.pop(key, None)
    return list(by_key.values())


def _stored_contents(store: Store, refs: Sequence[bytes]) -> list[tuple[str, bytes]]:
    found = store.query(
        f"SELECT tenant, ref FROM {store.database}.content WHERE ref IN ({_split(b''.join(refs), 32, len(refs))})"
    )
    return [(tenant, ref) for tenant, ref in found]


def _split(joined: bytes, size: int, count: int) -> str:
    """Return SQL for `count` fixed strings. The hex stands in the text: as a parameter it is escaped byte by byte."""
    return (
        f"SELECT arrayJoin(arrayMap(i -> toFixedString(substring(unhex('{joined.hex()}'), i * {size} + 1, {size}), "
        f"{size}), range({count})))"
    )


def _content_values(item: TenantContent) -> Sequence[Any]:
    tenant, content = item
    return tenant, content.ref, content.content_class, content.media, content.size, content.data, content.key_id


def _row_values(row: Row) -> Sequence[Any]:
    return (
        row.tenant, row.chain_id, row.seq, row.prev_hash, row.time_ns, row.env, row.env_hash, row.row_hash,
    )  # fmt: skip


def stored_heads(store: Store, chain_ids: Sequence[bytes]) -> dict[bytes, int]:
    """Return the newest `seq` that the store has of each chain; chains without rows are absent."""
    heads: dict[bytes, int] = {}
    for start in range(0, len(chain_ids), CHAINS_PER_QUERY):
        some = chain_ids[start : start + CHAINS_PER_QUERY]
        found = store.query(
            f"SELECT chain_id, max(seq) FROM {store.database}.rows "
            f"WHERE chain_id IN ({_split(b''.join(some), 16, len(some))}) GROUP BY chain_id"
        )
        heads.update(found)
    return heads


def _missing_rows(store: Store, rows: list[Row]) -> list[Row]:
    if not rows:
        return []
    stored = store.query(
        f"SELECT seq, row_hash FROM {store.database}.rows "
        "WHERE chain_id = unhex({chain:String}) AND seq BETWEEN {first:UInt64} AND {last:UInt64}",
        {
            "chain": rows[0].chain_id.hex(),
            "first": min(row.seq for row in rows),
            "last": max(row.seq for row in rows),
        },
    )
    present = set(stored)
    return [row for row in rows if (row.seq, row.row_hash) not in present]


def _deliver_rows(store: Store, rows: list[Row], alarms: Alarms, delivered: Delivered) -> None:
    if not rows:
        return

    def insert(items: Sequence[Row]) -> None:
        store.insert("rows", ROW_COLUMNS, list(map(_row_values, items)), token=batch_token(list(items)))

    refused = _insert_divided(rows, insert)
    for row, reason in refused:
        if alarms.is_own(row.chain_id):
            raise StoreError(f"expected {store.name} to accept the shipper's own row {row.seq}, got: {reason}")
        alarms.dead_row(row, reason)
        delivered.dead_rows.append(row.seq)
        delivered.dead_letters += 1
    delivered.rows += len(rows) - len(refused)


def _insist(store: Store, rows: list[Row], delivered: Delivered) -> None:
    """Insert again what an old token made the engine ignore: rows it had once, and lost since."""
    if delivered.dead_letters == 0 and (lost := _missing_rows(store, rows)):
        store.insert("rows", ROW_COLUMNS, list(map(_row_values, lost)), token=f"{batch_token(lost)}:again")
        if _missing_rows(store, lost):
            raise StoreError(f"expected {store.name} to have the rows it confirmed, got {len(lost)} of them missing")


def _insert_divided(items: Sequence[_Item], insert: Callable[[Sequence[_Item]], None]) -> list[tuple[_Item, str]]:
    """Insert `items`, halving what is refused; returns the single ones that are refused, with the reason.

    Raises the refusal itself when nothing at all was accepted and it does not blame the data.
    """
    refused: list[tuple[_Item, StoreRefusedError]] = []
    _divide(items, insert, refused)
    if len(refused) == len(items) and not all(error.blames_data for _, error in refused):
        raise refused[0][1]
    return [(item, str(error)) for item, error in refused]


def _divide(
    items: Sequence[_Item],
    insert: Callable[[Sequence[_Item]], None],
    refused: list[tuple[_Item, StoreRefusedError]],
) -> None:
    try:
        insert(items)
    except StoreRefusedError as error:
        if len(items) == 1:
            refused.append((items[0], error))
            return
        middle = len(items) // 2
        _divide(items[:middle], insert, refused)
        _divide(items[middle:], insert, refused)
