"""What proofs ask of the log: the segments over some rows, how far it is whole, and its leaves in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanledger_exporter.config import load_settings
from spanledger_exporter.read.log_entries import ABOUT_CHAINS, log_leaves, segments_over, whole_log_size
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema
from spanledger_exporter.store.tables import LOG

ENTRIES = 30_000
CHAINS = 10


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Yield a log in which ten chains follow one another, each with 3,000 segments of ten rows."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path)}, working_directory=tmp_path)
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        store.command(
            'INSERT INTO log (`index`, entry, leaf_hash) SELECT number, concat(\'{"chain":"\', '
            f'lower(hex(MD5(toString(intDiv(number, {ENTRIES // CHAINS}))))), \'","first":\', '
            f"toString(number % {ENTRIES // CHAINS} * 10), ',\"last\":', "
            f'toString(number % {ENTRIES // CHAINS} * 10 + 9), \',"type":"segment"}}\'), '
            f"toFixedString(leftPad(toString(number), 32, '0'), 32) FROM numbers({ENTRIES})"
        )
        yield store


def chain(store: Store, number: int) -> str:
    """Return the name of the chain with this number."""
    return str(store.query(f"SELECT lower(hex(MD5('{number}')))")[0][0])


def test_the_segments_over_some_rows_are_found_and_no_others(store: Store) -> None:
    """Of each chain those that hold one of its rows, first and last included, in the log's order."""
    wanted = {chain(store, 7): (15, 30), chain(store, 2): (29_999, 29_999), "f" * 32: (0, 9)}
    assert [index for index, _ in segments_over(store, wanted)] == [2 * 3_000 + 2_999, *range(21_001, 21_004)]


def test_a_question_about_one_chain_skips_the_entries_of_others(store: Store) -> None:
    """The log grows for years, and a page asks about few chains."""
    query = f"EXPLAIN indexes = 1 SELECT count() FROM log PREWHERE {ABOUT_CHAINS}"
    plan = "\n".join(line for (line,) in store.query(query, {"chains": [chain(store, 0)]}))
    read, there = map(int, re.findall(r"Granules: (\d+)/(\d+)", plan)[-1])
    assert there == ENTRIES // LOG.index_granularity
    assert read <= ENTRIES // CHAINS // LOG.index_granularity + 2


def test_a_log_is_whole_up_to_its_first_gap(store: Store) -> None:
    """An entry that is stored twice is one; behind a missing one no proof can be made."""
    assert whole_log_size(store) == ENTRIES
    store.command("INSERT INTO log SELECT * FROM log WHERE `index` = 5")
    store.command("ALTER TABLE log DELETE WHERE `index` = 20000 SETTINGS mutations_sync = 2")
    assert whole_log_size(store) == 20_000
    leaves = b"".join(log_leaves(store, 20_000))
    assert leaves == b"".join(f"{number:032}".encode() for number in range(20_000))
