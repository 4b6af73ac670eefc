"""Plain tuples of the spool: the same values as the records, and the same refusals."""

import gc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanledger_exporter.errors import SpoolError
from spanledger_exporter.ledger.content import Content
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.recorder import open_recorder
from spanledger_exporter.spool.fields import CONTENT_FIELDS, ContentFields, RowFields, frame_fields, row_of
from spanledger_exporter.spool.format import FRAME_HEAD_BYTES, format_content, format_row, parse_frame
from spanledger_exporter.spool.reader import BLOCK_BYTES, START, ChainSpool, Damage, Position, chains
from spools import settings_for

CHAIN = bytes(range(16))
HASHES = st.binary(min_size=32, max_size=32)
NUMBERS = st.integers(0, 2**64 - 1)
NAMES = st.text(max_size=20).filter(lambda text: text.encode("utf-8", "ignore").decode() == text)

rows = st.builds(
    Row,
    chain_id=st.just(CHAIN),
    seq=NUMBERS,
    prev_hash=HASHES,
    time_ns=NUMBERS,
    env=st.binary(max_size=300),
    env_hash=HASHES,
    row_hash=HASHES,
    tenant=NAMES,
)
contents = st.builds(
    Content,
    ref=HASHES,
    content_class=st.sampled_from(["artifact", "payload", "withheld"]),
    media=NAMES,
    size=NUMBERS,
    data=st.none() | st.binary(max_size=300),
    key_id=NAMES,
)


@given(row=rows)
def test_a_row_has_the_fields_of_its_record(row: Row) -> None:
    """Whatever the frame holds."""
    assert _record(_fields(format_row(row)), CHAIN) == row


@given(content=contents)
def test_a_content_has_the_fields_of_its_record(content: Content) -> None:
    """Whatever the frame holds."""
    fields = _fields(format_content(content))
    assert fields == tuple(content)
    assert _record(fields, CHAIN) == content


def test_fields_are_plain_tuples(tmp_path: Path) -> None:
    """The collector would walk over named ones for as long as a backlog is read."""
    with open_recorder(settings_for(tmp_path), role="cli") as recorder:
        recorder.record({"event_type": "heartbeat"}, [Content(bytes(32), "payload", "text/plain", 1, b"a")])
    (chain,) = chains(settings_for(tmp_path).spool_directory)
    records = [record for run in chain.read_runs() for record in run.records]
    assert len(records) > 1
    gc.collect()
    assert not any(map(gc.is_tracked, records))


@given(frame=st.one_of(rows.map(format_row), contents.map(format_content)), data=st.data())
def test_a_frame_that_is_no_record_has_no_fields(frame: bytes, data: st.DataObject) -> None:
    """Cut or changed behind its checksum, both readers say the same: a record and its fields, or a refusal."""
    damaged = bytearray(frame[: data.draw(st.integers(FRAME_HEAD_BYTES + 1, len(frame)))])
    damaged[data.draw(st.integers(FRAME_HEAD_BYTES + 1, len(damaged)) | st.just(len(damaged))) - 1] ^= 0x81
    try:
        record = parse_frame(bytes(damaged), chain_id=CHAIN)
    except SpoolError:
        with pytest.raises(SpoolError):
            _fields(bytes(damaged))
        return
    assert _record(_fields(bytes(damaged)), CHAIN) == record


@given(frame=st.one_of(rows.map(format_row), contents.map(format_content)), data=st.data())
def test_a_frame_among_others_is_read_as_it_is_alone(frame: bytes, data: st.DataObject) -> None:
    """A field that says that it goes on behind the frame's end gets nothing of the next frame."""
    damaged = bytearray(frame[: data.draw(st.integers(FRAME_HEAD_BYTES + 1, len(frame)))])
    damaged[data.draw(st.integers(FRAME_HEAD_BYTES + 1, len(damaged)) | st.just(len(damaged))) - 1] ^= 0x81
    among = frame + bytes(damaged) + frame + frame
    start, end = len(frame), len(frame) + len(damaged)
    try:
        alone = _fields(bytes(damaged))
    except SpoolError:
        with pytest.raises(SpoolError):
            frame_fields(among, start, end)
        return
    assert frame_fields(among, start, end) == alone


def _places(chain: ChainSpool, start: Position) -> list[tuple[object, Position]]:
    return [(frame.record, frame.end) for frame in chain.read(start)]


def _run_places(chain: ChainSpool, start: Position) -> list[tuple[object, Position]]:
    runs = list(chain.read_runs(start))
    return [
        (_record(record, chain.chain_id), Position(run.file, end))
        for run in runs
        for record, end in zip(run.records, run.ends, strict=True)
    ]


def _fields(frame: bytes) -> RowFields | ContentFields:
    return frame_fields(frame, 0, len(frame))


def _record(record: RowFields | ContentFields | Damage, chain_id: bytes) -> Row | Content | Damage:
    if isinstance(record, Damage):
        return record
    return Content(*record) if len(record) == CONTENT_FIELDS else row_of(record, chain_id)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> ChainSpool:
    """Return a chain of three blocks with a content that is larger than one."""
    configured = settings_for(tmp_path_factory.mktemp("spool"))
    with open_recorder(configured, role="cli") as recorder:
        for number in range(6):
            size = 2 * BLOCK_BYTES if number == 3 else 90_000
            recorder.record(
                {"event_type": "heartbeat", "number": number},
                [Content(bytes([number]) * 32, "payload", "text/plain", size, bytes(size))],
            )
    (chain,) = chains(configured.spool_directory)
    return chain


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_runs_and_frames_tell_the_same_of_a_damaged_file(written: ChainSpool, data: st.DataObject) -> None:
    """Wherever a byte is wrong or the file is cut, and wherever reading begins."""
    path = written.path(0)
    whole = path.read_bytes()
    frames = list(written.read())
    start = data.draw(st.sampled_from([START, *(frame.end for frame in frames)]))
    edges = [place + shift for frame in frames for place in (frame.position.offset,) for shift in range(12)]
    damaged = bytearray(whole)
    damaged[data.draw(st.sampled_from(edges) | st.integers(0, len(whole) - 1))] ^= 0x11
    cut = data.draw(st.sampled_from([len(whole), *edges]) | st.integers(0, len(whole)))
    try:
        path.write_bytes(damaged[:cut])
        assert _run_places(written, start) == _places(written, start)
    finally:
        path.write_bytes(whole)


def test_a_run_knows_where_each_of_its_records_ends(tmp_path: Path) -> None:
    """Any of those places is a cursor that goes on with the next record."""
    configured = settings_for(tmp_path)
    with open_recorder(configured, role="cli") as recorder:
        for number in range(3):
            recorder.record({"event_type": "heartbeat", "number": number})
    (chain,) = chains(configured.spool_directory)
    [run] = chain.read_runs()
    for index, end in enumerate(run.ends[:-1]):
        [rest] = chain.read_runs(Position(run.file, end))
        assert rest.records == run.records[index + 1 :]
    assert list(chain.read_runs(Position(run.file, run.ends[-1]))) == []
