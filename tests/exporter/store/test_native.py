"""Blocks in the engine's own format: the engine reads back what was put in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import StoreRefusedError
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.native import fixed, integers, native_block, read_text, strings, varint, words

SIZES = [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a store with a table of every type that a block may be put into."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path_factory.mktemp("ledger"))})
    with open_store(settings, role="owner") as opened:
        opened.command("CREATE DATABASE spanledger")
        opened.use_database()
        opened.command(
            "CREATE TABLE things (word LowCardinality(String), id FixedString(16), number UInt64, body String) "
            "ENGINE = MergeTree ORDER BY number SETTINGS non_replicated_deduplication_window = 100"
        )
        yield opened


def test_the_engine_reads_back_every_column(store: Store) -> None:
    """Texts of every length class, the largest number, bytes that are no text."""
    count = len(SIZES)
    numbers = [2**64 - 1 - number for number in range(count)]
    ids = [bytes([255 - number]) * 16 for number in range(count)]
    bodies = [b"\xff" * size for size in SIZES]
    names = ["", "ä", *["again"] * (count - 2)]
    block = native_block(
        [words("word", names), fixed("id", 16, ids), integers("number", numbers), strings("body", bodies)], count
    )
    store.insert_block("things", block, token="one")
    store.insert_block("things", block, token="one")
    found = store.query("SELECT word, id, number, body FROM things ORDER BY number DESC", binary=["body"])
    assert found == list(zip(names, ids, numbers, bodies, strict=True))


def test_a_block_that_does_not_fit_is_refused(store: Store) -> None:
    """The engine names the column; nothing is stored."""
    block = native_block([integers("no_such_column", [1])], 1)
    with pytest.raises(StoreRefusedError, match="no_such_column"):
        store.insert_block("things", block, token="two")


def test_a_query_longer_than_the_engine_reads_by_itself_is_answered_in_bytes(store: Store, tmp_path: Path) -> None:
    """Ten thousand references are 640 kB of hex, where the engine's own limit is 256."""
    answer = store.query_bytes(f"SELECT length('{'x' * 700_000}'), 'text'")
    assert int.from_bytes(answer[:8], "little") == 700_000
    assert read_text(answer, 8) == (b"text", len(answer))


@pytest.mark.parametrize("size", SIZES)
def test_a_text_is_read_as_it_was_written(size: int) -> None:
    """`read_text` and `varint` are inverses."""
    data = b"before" + varint(size) + b"y" * size
    assert read_text(data, 6) == (b"y" * size, len(data))
