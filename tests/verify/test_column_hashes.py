"""Whole columns, hashed: DataFusion's digests are the standard library's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger_exporter.ledger.merkle import NODE_PREFIX, leaf_hashes, root_of, root_of_joined
from spanledger_exporter.store.native import varint
from spanledger_exporter.store.native_answer import joined_columns, read_native
from spanledger_exporter.verify import column_hashes
from spanledger_exporter.verify.column_hashes import BULK_ROWS, ColumnHashes, DataFusionHashes, HashlibHashes

LABEL = b"spanledger/test/v1\0"


@pytest.fixture(scope="module", params=["hashlib", "datafusion"])
def hashes(request: pytest.FixtureRequest) -> ColumnHashes:
    """Return both ways of hashing."""
    return column_hashes.column_hashes(BULK_ROWS if request.param == "datafusion" else 1)


def answer(strings: Sequence[bytes], *, sized: bool) -> list[bytes]:
    """Return an answer in the Native format: blocks of up to seven strings, with or without their sizes before them."""
    blocks: list[bytes] = []
    for start in range(0, len(strings), 7):
        part = strings[start : start + 7]
        sizes = b"\0\6UInt32" + b"".join(len(text).to_bytes(4, "little") for text in part)
        values = b"\0\6String" + b"".join(varint(len(text)) + text for text in part)
        blocks.append(bytes((1 + sized, len(part))) + (sizes if sized else b"") + values)
    return blocks


def test_each_way_is_what_it_is_called() -> None:
    """A small ledger is not worth loading DataFusion."""
    assert isinstance(column_hashes.column_hashes(BULK_ROWS), DataFusionHashes)
    assert isinstance(column_hashes.column_hashes(BULK_ROWS - 1), HashlibHashes)


def test_without_the_extra_the_standard_library_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra `bulk` is for speed only."""
    monkeypatch.setitem(sys.modules, "datafusion", None)
    column_hashes._best_hashes.cache_clear()
    assert isinstance(column_hashes.column_hashes(BULK_ROWS), HashlibHashes)
    column_hashes._best_hashes.cache_clear()


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("count", [1, 999, 1_000, 20_000])
def test_strings_of_an_answer_are_hashed_where_they_are(hashes: ColumnHashes, count: int, *, sized: bool) -> None:
    """Few or many, in one block or a thousand, whether their ends are known or had to be found."""
    strings = [LABEL + number.to_bytes(4, "big") * (50 + number % 60) for number in range(count)]
    data = b"".join(answer(strings, sized=sized))
    columns = joined_columns(list(read_native(data)))
    assert hashes.of_strings(columns[-1]) == b"".join(sha256(text).digest() for text in strings)  # type: ignore[arg-type]


@given(lengths=st.lists(st.sampled_from([0, 1, 12, 13, 127, 128, 129, 16_383, 16_384]), min_size=1, max_size=30))
def test_strings_of_every_length_are_hashed_whole(lengths: list[int]) -> None:
    """Where the length takes one byte or three, in one block of many too."""
    strings = [bytes([number]) * length for number, length in enumerate(lengths)]
    expected = b"".join(sha256(text).digest() for text in strings)
    columns = joined_columns(list(read_native(b"".join(answer(strings, sized=True)))))
    assert [bytes(text) for text in columns[-1]] == strings
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(column_hashes, "MIN_BULK", 1)
        assert column_hashes.column_hashes(BULK_ROWS).of_strings(columns[-1]) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 999, 1_000, 1_001, 30_000])
def test_values_side_by_side_are_one_message(hashes: ColumnHashes, count: int) -> None:
    """Columns of different widths, behind a prefix; more than fit into one piece."""
    ones = [number.to_bytes(8, "big") for number in range(count)]
    others = [sha256(one).digest() for one in ones]
    expected = b"".join(sha256(LABEL + one + other).digest() for one, other in zip(ones, others, strict=True))
    assert hashes.of_columns(LABEL, (b"".join(ones), 8), (b"".join(others), 32)) == expected


@pytest.mark.parametrize("leaves", [0, 1, 2, 3, 7, 8, 1_023, 2_048, 5_001])
def test_the_root_of_joined_hashes_is_the_root(hashes: ColumnHashes, leaves: int) -> None:
    """A level at a time, of any width."""
    level = leaf_hashes(number.to_bytes(4, "big") for number in range(leaves))
    root = root_of_joined(b"".join(level), lambda pairs: hashes.of_columns(NODE_PREFIX, (pairs, 64)))
    assert root == root_of(level)


def test_loading_datafusion_does_not_load_pandas() -> None:
    """Pyarrow would, at the sight of its first scalar, and that takes a second; asked for, it is there as ever."""
    code = (
        "import sys; from spanledger_exporter.verify.column_hashes import BULK_ROWS, column_hashes; "
        "hashes = column_hashes(BULK_ROWS); hashes.of_columns(b'', (bytes(32) * 2000, 32)); "
        "assert 'datafusion' in sys.modules; assert 'pandas' not in sys.modules, 'pandas is loaded'; "
        "import pyarrow; print(pyarrow.table({'n': [1, 2]}).to_pandas()['n'].sum())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "3"), done.stderr
