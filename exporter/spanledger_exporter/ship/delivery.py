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

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar

from spanledger_exporter.errors import StoreError, StoreRefusedError
from spanledger_exporter.ledger.content import Content
from spanledger_exporter.ship.alarms import Alarms
from spanledger_exporter.ship.batch import Batch, TenantContent, batch_token
from spanledger_exporter.spool.fields import REF, ROW_HASH, SEQ, RowFields, row_of
from spanledger_exporter.store.connection import Store
from spanledger_exporter.store.native import NativeBlock, fixed, integers, native_block, read_text, strings, words

REFS_PER_QUERY = 10_000
"""The engine reads a granule for each reference, and from some number on all of them, once: few large questions."""

CHAINS_PER_QUERY = 6_000
"""Their text has to fit into one statement (256 kB)."""

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
    rows = _missing_rows(store, batch.chain_id, batch.rows) if ask_first else batch.rows
    _deliver_rows(store, batch, rows, alarms, delivered)
    if ask_first and rows:
        _insist(store, batch.chain_id, rows, delivered)
    return delivered


def send_contents_ahead(store: Store, batch: Batch) -> None:
    """Insert the contents that the store lacks, while it takes the rows of the batch before.

    What goes wrong here is left to `deliver`, which tries again and says so. Only for an embedded store: a server may
    still be at an insert that nobody waits for, and the token that covers it needs an end of the batch that is saved.
    """
    with suppress(StoreError):
        beside = store.companion()
        missing = _missing_contents(beside, batch.contents)
        if missing:
            _insert_contents(beside, batch, missing)
        batch.contents_sent = len(missing)


def _deliver_contents(store: Store, batch: Batch, alarms: Alarms, delivered: Delivered) -> None:
    if batch.contents_sent is not None:
        delivered.contents += batch.contents_sent
        return
    missing = _missing_contents(store, batch.contents)
    if not missing:
        return
    for (tenant, content), reason in _insert_divided(missing, lambda items: _insert_contents(store, batch, items)):
        alarms.dead_content(tenant, Content(*content), reason)
        delivered.dead_letters += 1
    delivered.contents += len(missing)


def _insert_contents(store: Store, batch: Batch, items: Sequence[TenantContent]) -> None:
    # An erased content may have to be stored again: the token belongs to the batch as well as to what is inserted.
    prefix = batch_token(batch.chain_id, batch.rows) if batch.rows else str(batch.end)
    digest = sha256(b"".join(content[REF] for _, content in items)).hexdigest()
    store.insert_block("content", content_block(items), token=f"{prefix}:{digest}")


def _missing_contents(store: Store, contents: Sequence[TenantContent]) -> list[TenantContent]:
    by_key: dict[tuple[str, bytes], TenantContent] = {}
    for item in contents:
        tenant, (ref, _, _, _, data, _) = item
        if data is not None:
            by_key[tenant, ref] = item
    refs = list({ref for _, ref in by_key})
    for start in range(0, len(refs), REFS_PER_QUERY):
        for key in _stored_contents(store, refs[start : start + REFS_PER_QUERY]):
            by_key.pop(key, None)
    return list(by_key.values())


def _stored_contents(store: Store, refs: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    with store.fixed_strings(refs, size=32) as asked:
        found = store.query_bytes(f"SELECT ref, toString(tenant) FROM {store.database}.content WHERE ref IN ({asked})")
    offset = 0
    try:
        while offset < len(found):
            ref = found[offset : offset + 32]
            tenant, offset = read_text(found, offset + 32)
            yield tenant.decode(), ref
    except (IndexError, UnicodeDecodeError) as error:
        raise StoreError(f"expected references and tenants from {store.name}, got bytes that do not parse") from error
    if offset != len(found):
        raise StoreError(f"expected {offset} bytes of references from {store.name}, got {len(found)}")


def content_block(items: Sequence[TenantContent]) -> NativeBlock:
    """Return contents as what `content` takes; each has its data."""
    tenants, contents = zip(*items, strict=True)
    refs, classes, media, sizes, data, key_ids = zip(*contents, strict=True)
    columns = (
        words("tenant", tenants),
        fixed("ref", 32, refs),
        words("class", classes),
        words("media", media),
        integers("size", sizes),
        strings("data", data),
        words("key_id", key_ids),
    )
    return native_block(columns, len(items))


def row_block(chain_id: bytes, rows: Sequence[RowFields]) -> NativeBlock:
    """Return rows of one chain as what `rows` takes; everything else is filled by the engine."""
    seqs, times, prev_hashes, env_hashes, row_hashes, tenants, envs = zip(*rows, strict=True)
    columns = (
        words("tenant", tenants),
        fixed("chain_id", 16, [chain_id] * len(rows)),
        integers("seq", seqs),
        fixed("prev_hash", 32, prev_hashes),
        integers("time_ns", times),
        strings("env", envs),
        fixed("env_hash", 32, env_hashes),
        fixed("row_hash", 32, row_hashes),
    )
    return native_block(columns, len(rows))


def stored_heads(store: Store, chain_ids: Sequence[bytes]) -> dict[bytes, int]:
    """Return the newest `seq` that the store has of each chain; chains without rows are absent."""
    heads: dict[bytes, int] = {}
    for start in range(0, len(chain_ids), CHAINS_PER_QUERY):
        some = chain_ids[start : start + CHAINS_PER_QUERY]
        with store.fixed_strings(some, size=16) as asked:
            found = store.query(
                f"SELECT chain_id, max(seq) FROM {store.database}.rows WHERE chain_id IN ({asked}) GROUP BY chain_id"
            )
        heads.update(found)
    return heads


def _missing_rows(store: Store, chain_id: bytes, rows: Sequence[RowFields]) -> list[RowFields]:
    if not rows:
        return []
    stored = store.query(
        f"SELECT seq, row_hash FROM {store.database}.rows "
        "WHERE chain_id = unhex({chain:String}) AND seq BETWEEN {first:UInt64} AND {last:UInt64}",
        {"chain": chain_id.hex(), "first": min(row[SEQ] for row in rows), "last": max(row[SEQ] for row in rows)},
    )
    present = set(stored)
    return [row for row in rows if (row[SEQ], row[ROW_HASH]) not in present]


def _deliver_rows(store: Store, batch: Batch, rows: Sequence[RowFields], alarms: Alarms, delivered: Delivered) -> None:
    if not rows:
        return
    chain_id = batch.chain_id

    def insert(items: Sequence[RowFields]) -> None:
        block = batch.block if items is batch.rows else None
        store.insert_block("rows", block or row_block(chain_id, items), token=batch_token(chain_id, items))

    refused = _insert_divided(rows, insert)
    for row, reason in refused:
        if alarms.is_own(chain_id):
            raise StoreError(f"expected {store.name} to accept the shipper's own row {row[SEQ]}, got: {reason}")
        alarms.dead_row(row_of(row, chain_id), reason)
        delivered.dead_rows.append(row[SEQ])
        delivered.dead_letters += 1
    delivered.rows += len(rows) - len(refused)


def _insist(store: Store, chain_id: bytes, rows: Sequence[RowFields], delivered: Delivered) -> None:
    """Insert again what an old token made the engine ignore: rows it had once, and lost since."""
    if delivered.dead_letters == 0 and (lost := _missing_rows(store, chain_id, rows)):
        store.insert_block("rows", row_block(chain_id, lost), token=f"{batch_token(chain_id, lost)}:again")
        if _missing_rows(store, chain_id, lost):
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
