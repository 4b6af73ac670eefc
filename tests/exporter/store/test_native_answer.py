"""The Native format, read in whole columns: what the engine wrote, or an error, and nothing in between."""

from collections.abc import Iterator

import pytest

from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import StoreError
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.native_answer import read_native

LENGTHS = (0, 1, 127, 128, 16_383, 16_384, 2_097_152, 3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield an engine; no table is needed."""
    with open_store(load_settings({"SPANLEDGER_DIR": str(tmp_path_factory.mktemp("native"))}), role="owner") as opened:
        yield opened


def block(*columns: tuple[bytes, bytes], rows: int = 1) -> bytes:
    """Return one block of columns without names: type and values."""
    head = bytes((len(columns), rows))
    return head + b"".join(bytes((0, len(kind))) + kind + values for kind, values in columns)


def test_strings_of_every_length_come_back_whole(store: Store) -> None:
    """The length before a string takes one byte up to four."""
    [[strings]] = store.native(f"SELECT substring(repeat('{'x' * 4}', 600000), 1, arrayJoin({list(LENGTHS)}))")
    assert [bytes(text) for text in strings] == [b"x" * length for length in LENGTHS]


def test_strings_whose_sizes_go_before_them_come_back_the_same(store: Store) -> None:
    """Their ends are added up instead of walked to, whatever the lengths."""
    text = f"substring(repeat('xyz', 700000), 1, arrayJoin({list(LENGTHS)}) AS size)"
    [[sizes, strings]] = store.native(f"SELECT toUInt32(size), {text}")
    assert len(sizes) == 4 * len(LENGTHS)
    assert [len(bytes(value)) for value in strings] == list(LENGTHS)
    [[_, kilobytes]] = store.native("SELECT toUInt32(1000), repeat(char(97 + number), 1000) FROM numbers(3)")
    assert [bytes(value) for value in kilobytes] == [letter * 1000 for letter in (b"a", b"b", b"c")]


@pytest.mark.parametrize("size", [0, 1, 3, 200, 2**32 - 1])
def test_sizes_that_do_not_fit_the_strings_are_no_answer(size: int) -> None:
    """A short cut that leads elsewhere is an error."""
    whole = block((b"UInt32", size.to_bytes(4, "little")), (b"String", b"\x02ab"))
    with pytest.raises(StoreError, match="whole answer"):
        list(read_native(whole))


def test_a_block_without_rows_is_nothing() -> None:
    """An engine may announce the columns before it has any."""
    assert list(read_native(block((b"String", b""), (b"UInt32", b""), rows=0))) == []


def test_equal_strings_are_one_view_many_times(store: Store) -> None:
    """A tenant stands in every row of a batch; only the first is read."""
    [[strings]] = store.native("SELECT 'acme' FROM numbers(3)")
    assert [bytes(text) for text in strings] == [b"acme"] * 3
    assert strings[0] is strings[2]


def test_columns_of_fixed_width_are_one_value_behind_the_other(store: Store) -> None:
    """No object per value: whoever compares compares whole columns."""
    [[numbers, hashes]] = store.native("SELECT toUInt16(number), toFixedString(toString(number), 2) FROM numbers(3)")
    assert (numbers, hashes) == (b"\0\0\1\0\2\0", b"0\x001\x002\0")


def test_blocks_follow_each_other(store: Store) -> None:
    """A long answer comes in several blocks, and each is whole."""
    blocks = list(store.native("SELECT number FROM numbers(10) SETTINGS max_block_size = 4"))
    assert b"".join(bytes(column) for [column] in blocks) == b"".join(n.to_bytes(8, "little") for n in range(10))  # type: ignore[arg-type]
    assert len(blocks) > 1


def test_an_answer_that_ends_too_early_is_none() -> None:
    """Cut at any byte but between blocks, there is an error and no shorter ledger."""
    whole = block((b"String", b"\x81\1" + b"x" * 129), (b"UInt32", b"1234"))
    for length in range(1, len(whole)):
        with pytest.raises(StoreError, match="whole answer"):
            list(read_native(whole[:length]))


@pytest.mark.parametrize("kind", [b"LowCardinality(String)", b"Nullable(UInt8)", b"FixedString(x)", b"\xff"])
def test_a_column_of_another_type_is_refused(kind: bytes) -> None:
    """A query casts what it reads in this way, so another type is a mistake."""
    with pytest.raises(StoreError, match="fixed width"):
        list(read_native(block((kind, b""))))
