"""What proofs need of the log: the segments over some rows, and the leaf hashes in order.

Nothing here reads the log as a whole into memory. An entry's chain is found by an index over the log (`by_chain`), and
where older parts have none yet, by comparing 32 characters of every entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from spanledger_exporter.store.connection import UNCACHED, Store
from spanledger_exporter.store.tables import CHAIN_OF_ENTRY_SQL

LEAVES_PER_QUERY: Final = 1 << 18
"""8 MiB of hashes at a time."""

ABOUT_CHAINS: Final = f"{CHAIN_OF_ENTRY_SQL} IN {{chains:Array(String)}}"
"""The condition that an entry is about one of some chains (hex); for PREWHERE, before the entry is parsed."""


def segments_over(store: Store, ranges: Mapping[str, tuple[int, int]]) -> list[tuple[int, str]]:
    """Return index and text of each segment entry over rows `first` to `last` of chains (hex), in the log's order."""
    chains = sorted(ranges)
    found = store.query(
        "SELECT `index`, entry, JSONExtractString(entry, 'chain') AS chain, "
        "indexOf({chains:Array(String)}, chain) AS place "
        f"FROM {store.database}.log PREWHERE {ABOUT_CHAINS} "
        "WHERE JSONExtractString(entry, 'type') = 'segment' AND chain IN {chains:Array(String)} "
        "AND JSONExtractUInt(entry, 'first') <= {lasts:Array(UInt64)}[place] "
        "AND JSONExtractUInt(entry, 'last') >= {firsts:Array(UInt64)}[place] ORDER BY `index`, entry "
        f"{UNCACHED}",
        {
            "chains": chains,
            "firsts": [ranges[chain][0] for chain in chains],
            "lasts": [ranges[chain][1] for chain in chains],
        },
    )
    return [(int(index), str(entry)) for index, entry, _, _ in found]


def whole_log_size(store: Store) -> int:
    """Return how many entries the log has from index 0 on without a gap."""
    found = store.query(
        "SELECT countIf(`index` = place) FROM (SELECT `index`, row_number() OVER (ORDER BY `index`) - 1 AS place "
        f"FROM (SELECT DISTINCT `index` FROM {store.database}.log)) {UNCACHED}"
    )
    return int(found[0][0])


def log_leaves(store: Store, size: int) -> Iterator[bytes]:
    """Yield the leaf hashes of the log's first `size` entries in order, 32 bytes each, in pages."""
    for start in range(0, size, LEAVES_PER_QUERY):
        end = min(start + LEAVES_PER_QUERY, size)
        blocks = store.native(
            f"SELECT CAST(leaf_hash AS FixedString(32)) FROM {store.database}.log "
            f"WHERE `index` >= {start} AND `index` < {end} ORDER BY `index` LIMIT 1 BY `index` {UNCACHED}"
        )
        for (hashes,) in blocks:
            assert isinstance(hashes, bytes)  # noqa: S101 - a column of fixed width
            yield hashes
