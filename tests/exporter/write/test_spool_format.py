"""Bytes of the spool: what is written reads back, and no changed byte goes unnoticed."""

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger_exporter.errors import SpoolError
from spanledger_exporter.ledger.content import Content, content_ref
from spanledger_exporter.ledger.row import Row, genesis_hash, make_row
from spanledger_exporter.spool.format import (
    HEADER_BYTES,
    format_content,
    format_header,
    format_row,
    frame_length,
    is_intact,
    parse_frame,
    parse_header,
)

CHAIN = bytes(range(16))

ROWS = st.builds(
    lambda seq, time_ns, env, tenant: make_row(
        chain_id=CHAIN, seq=seq, prev_hash=b"p" * 32, time_ns=time_ns, env=env, tenant=tenant
    ),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=300),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
CONTENTS = st.builds(
    lambda data, media, key_id, stored: Content(
        content_ref(media, data),
        "payload" if stored else "withheld",
        media,
        len(data),
        data if stored else None,
        key_id,
    ),
    st.binary(max_size=300),
    st.sampled_from(["text/plain; charset=utf-8", "application/json", ""]),
    st.sampled_from(["", "subject-7"]),
    st.booleans(),
)


def _frame(record: Row | Content) -> bytes:
    return format_row(record) if isinstance(record, Row) else format_content(record)


README = Path(__file__).parents[3] / "exporter" / "README.md"


def test_the_bytes_that_the_readme_opens_with_are_real() -> None:
    """Header, content frame and row frame of the examples, byte for byte where the page shows them whole."""
    question = b"Is 10.0.0.7 ours?"
    media = "text/plain; charset=utf-8"
    frames = [
        format_header(CHAIN, 0),
        format_content(Content(content_ref(media, question), "payload", media, len(question), question)),
        format_row(
            make_row(
                chain_id=CHAIN,
                seq=1,
                prev_hash=genesis_hash(CHAIN),
                time_ns=1795256758330363378,
                env=b'{"event_type":"heartbeat"}',
                tenant="t",
            )
        ),
    ]
    real = " ".join(frame.hex() for frame in frames)
    shown = re.findall(r"^([0-9a-f]{8,})(?: ([0-9a-f]{8}) 43)?", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(shown) >= 12
    for word in shown:
        assert "".join(word) in real
    for start, end in re.findall(r"^([0-9a-f]{8})…([0-9a-f]{8})", README.read_text(encoding="utf-8"), re.MULTILINE):
        assert re.search(f"{start}[0-9a-f]{{48}}{end}", real)


@given(st.one_of(ROWS, CONTENTS))
def test_what_is_written_reads_back(record: Row | Content) -> None:
    """Format and parse are inverses for rows and contents."""
    frame = _frame(record)
    assert is_intact(frame, 0, len(frame))
    assert parse_frame(frame, chain_id=CHAIN) == record


@given(st.one_of(ROWS, CONTENTS), st.data())
def test_any_single_changed_byte_is_found(record: Row | Content, data: st.DataObject) -> None:
    """A frame with one byte changed is never taken for an intact one."""
    frame = bytearray(_frame(record))
    place = data.draw(st.integers(0, len(frame) - 1))
    frame[place] ^= data.draw(st.integers(1, 255))
    length = frame_length(bytes(frame), 0)
    assert length != len(frame) or not is_intact(bytes(frame), 0, length)


def test_a_header_names_its_chain_and_file() -> None:
    """A file knows which chain it belongs to, whatever its directory is called."""
    header = format_header(CHAIN, 7)
    assert len(header) == HEADER_BYTES
    assert parse_header(header) == (CHAIN, 7)


@given(st.binary(max_size=HEADER_BYTES + 5))
def test_a_header_that_is_none_is_refused_in_our_own_words(junk: bytes) -> None:
    """No raw exception leaves the parser."""
    with pytest.raises(SpoolError):
        parse_header(junk)


@given(st.binary(min_size=9, max_size=200))
def test_a_payload_that_does_not_parse_is_refused_in_our_own_words(junk: bytes) -> None:
    """A frame with a valid checksum around nonsense gives a SpoolError, or a record, and nothing else."""
    with contextlib.suppress(SpoolError):
        assert isinstance(parse_frame(junk, chain_id=CHAIN), (Row, Content))
