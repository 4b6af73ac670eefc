"""Log entries: example bytes, round trips, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger import log_entry

SEGMENT = log_entry.Segment(
    chain=bytes(range(16)),
    first=0,
    last=41,
    head=b"\xaa" * 32,
    root=b"\xbb" * 32,
    min_time=1_795_000_000_000_000_000,
    max_time=1_795_000_000_000_000_001,
    tenant="default",
)
SEGMENT_BYTES = (
    b'{"chain":"000102030405060708090a0b0c0d0e0f","class":"events","first":0,"head":"' + b"aa" * 32 + b'","last":41,'
    b'"max_time":"1795000000000000001","min_time":"1795000000000000000","root":"' + b"bb" * 32 + b'",'
    b'"tenant":"default","type":"segment"}'
)
PLACE = {"chain": "00" * 16, "seq": 0, "row_hash": "11" * 32, "time": "1795000000000000000"}
EXAMPLES: dict[str, dict[str, Any]] = {
    "chain-open": PLACE,
    "chain-close": PLACE,
    "chain-abandoned": {**PLACE, "reason": "its successor opened"},
    "heartbeat": {"time": "1"},
    "key-rotate": {"old": "a+b+c", "new": "d+e+f", "time": "1"},
    "prune": PLACE,
    "legal-hold": PLACE,
    "erasure": PLACE,
    "loss": PLACE,
    "restore": {"reason": "rows came back from the backup of Friday", "time": "1"},
    "schema": {"fingerprint": "22" * 32, "time": "1"},
}


def test_a_segment_has_exactly_these_bytes() -> None:
    """The example an independent verifier is written against."""
    assert log_entry.format_segment(SEGMENT) == SEGMENT_BYTES
    assert log_entry.as_segment(log_entry.parse_entry(SEGMENT_BYTES)) == SEGMENT


@pytest.mark.parametrize("entry_type", [name for name in log_entry.REQUIRED if name != "segment"])
def test_every_other_type_round_trips(entry_type: str) -> None:
    """Every type of the table has an example here, or this fails."""
    data = log_entry.format_entry(entry_type, EXAMPLES[entry_type])
    parsed = log_entry.parse_entry(data)
    assert (parsed.type, dict(parsed.fields)) == (entry_type, {**EXAMPLES[entry_type], "type": entry_type})
    with pytest.raises(ProofError, match="expected a segment"):
        log_entry.as_segment(parsed)


@pytest.mark.parametrize("entry_type", list(EXAMPLES))
def test_a_missing_field_is_refused(entry_type: str) -> None:
    """Each required field in turn."""
    for name in EXAMPLES[entry_type]:
        fields = {key: value for key, value in EXAMPLES[entry_type].items() if key != name}
        with pytest.raises(ProofError, match=f"expected a valid '{name}'"):
            log_entry.format_entry(entry_type, fields)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "in JSON"),
        (b"[]", "canonical JSON"),
        (b"{}", "expected a type"),
        (b'{"type":"novelty"}', "expected a known entry type"),
        (b'{"time":"1","type": "heartbeat"}', "canonical JSON"),
        (b'{"type":"heartbeat","time":"1"}', "canonical JSON"),
        (b'{"time":1,"type":"heartbeat"}', "expected a valid 'time'"),
        (b'{"time":"01","type":"heartbeat"}', "expected a valid 'time'"),
        (b'{"time":"18446744073709551616","type":"heartbeat"}', "expected a valid 'time'"),
        (b"[" * 5000, "in JSON"),
        (SEGMENT_BYTES.replace(b'"first":0', b'"first":42'), "first <= last"),
        (SEGMENT_BYTES.replace(b'"first":0', b'"first":true'), "expected a valid 'first'"),
        (SEGMENT_BYTES.replace(b'"events"', b'"other"'), "expected a valid 'class'"),
        (SEGMENT_BYTES.replace(b"aa", b"AA"), "expected a valid 'head'"),
    ],
)
def test_a_malformed_entry_is_refused_with_its_reason(data: bytes, message: str) -> None:
    """Two spellings of one entry cannot both be in a log."""
    with pytest.raises(ProofError, match=message):
        log_entry.parse_entry(data)


def test_a_field_of_a_later_version_is_kept() -> None:
    """New optional fields may be added; old readers pass them through."""
    data = log_entry.format_entry("heartbeat", {"time": "1", "zone": "eu"})
    assert log_entry.parse_entry(data).fields["zone"] == "eu"


@given(st.integers(0, 10_000), st.binary(max_size=3), st.integers(0, 3))
def test_no_raw_exception_leaves_the_parser(place: int, splice: bytes, removed: int) -> None:
    """Damaged entries are refused as ProofError, or are other well-formed entries."""
    start = place % len(SEGMENT_BYTES)
    data = SEGMENT_BYTES[:start] + splice + SEGMENT_BYTES[start + removed :]
    try:
        parsed = log_entry.parse_entry(data)
    except ProofError:
        return
    assert log_entry.format_entry(parsed.type, parsed.fields) == data
