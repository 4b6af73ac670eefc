"""How fast rows are sealed: one first seal over everything, one small seal afterwards, and what the log read costs.

`python tests/benchmarks/seal.py [rows] [chains] [envelope bytes]`. The peer in the same run is the engine
hashing the same envelopes: what any verifier in it pays before it looks at one link.
"""

from __future__ import annotations

import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ledgers import ROW_COLUMNS
from spanledger_exporter.anchors.configured import open_anchors
from spanledger_exporter.config import load_settings
from spanledger_exporter.keys.key_ring import open_key_ring
from spanledger_exporter.ledger.canonical import canonical_json
from spanledger_exporter.ledger.row import Row, genesis_hash, make_row
from spanledger_exporter.seal.sealer import seal
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema

START_NS = 1_795_000_000_000_000_000
BATCH = 50_000


def main() -> None:
    """Print seconds and rates."""
    count, chains, size = [*map(int, sys.argv[1:]), *(200_000, 20, 1_000)[len(sys.argv) - 1 :]]
    print(f"{platform.machine()}, Python {platform.python_version()}: {count} rows of {size} B in {chains} chains")
    with tempfile.TemporaryDirectory() as directory:
        settings = load_settings({"SPANLEDGER_DIR": directory})
        with open_store(settings, role="owner") as store:
            ensure_schema(store)
            fill(store, count, chains, size)
            report("engine hashes every envelope (peer)", count, lambda: hash_all(store))
            keys, anchors = open_key_ring(settings), open_anchors(settings)
            sealed = report("first seal", count, lambda: seal(store, settings=settings, keys=keys, anchors=anchors))
            fill(store, chains, chains, size, start=10**6)
            again = report(
                "next seal, one row per chain, log read anew",
                chains,
                lambda: seal(store, settings=settings, keys=keys, anchors=anchors),
            )
            assert (sealed.rows, again.rows) == (count, chains)
            report("seal with nothing new", 1, lambda: seal(store, settings=settings, keys=keys, anchors=anchors))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the process, engine included: {peak:,.0f} MB ({Path(__file__).name})")


def hash_all(store: Store) -> None:
    """Let the engine do the part of the work that reads payload."""
    found = store.query(
        "SELECT count() FROM rows WHERE SHA256(concat('spanledger/env/v1\\0', env)) != env_hash "
        "SETTINGS use_query_condition_cache = 0"
    )
    assert found == [(0,)]


def fill(store: Store, count: int, chains: int, size: int, *, start: int = 0) -> None:
    """Insert `count` rows of `chains` chains."""
    batch: list[tuple[object, ...]] = []
    for row in rows(count, chains, size, start=start):
        batch.append(tuple(getattr(row, name) for name in ROW_COLUMNS))
        if len(batch) == BATCH:
            store.insert("rows", ROW_COLUMNS, batch)
            batch = []
    store.insert("rows", ROW_COLUMNS, batch)


def rows(count: int, chains: int, size: int, *, start: int) -> Iterator[Row]:
    """Yield rows of chains that are distinct for each `start`."""
    padding = "x" * max(size - 120, 0)
    for chain in range(chains):
        chain_id = (start + chain).to_bytes(16)
        head = genesis_hash(chain_id)
        for seq in range(count // chains):
            event_type = "chain.open" if seq == 0 else "model_call"
            env = canonical_json(
                {"event_id": f"{chain}:{seq}", "event_type": event_type, "name": padding, "tenant": "default"}
            )
            row = make_row(
                chain_id=chain_id, seq=seq, prev_hash=head, time_ns=START_NS + seq, env=env, tenant="default"
            )
            head = row.row_hash
            yield row


_Result = TypeVar("_Result")


def report(name: str, count: int, work: Callable[[], _Result]) -> _Result:
    """Time `work`, print seconds and rate, and return what it returned."""
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    print(f"{name:<48}{seconds:>8.2f} s{count / seconds:>14,.0f} rows/s", flush=True)
    return result


if __name__ == "__main__":
    main()
