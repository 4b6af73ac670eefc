"""Reading the spool: order, liveness, torn tails, damage in the middle."""

from pathlib import Path

import pytest

from spanledger_exporter.config import Settings
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.recorder import Recorder, open_recorder
from spanledger_exporter.spool.quarantine import quarantine
from spanledger_exporter.spool.reader import START, ChainSpool, Damage, Position, chains
from spools import read_chain, read_spool, settings_for


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give the settings of a fresh data directory."""
    return settings_for(tmp_path)


def _write(settings: Settings, rows: int) -> ChainSpool:
    with open_recorder(settings, role="cli") as recorder:
        for number in range(rows):
            recorder.record({"event_type": "heartbeat", "number": number})
        assert recorder.head is not None
        chain_id = recorder.head.chain_id
    return ChainSpool(chain_id, settings.spool_directory / chain_id.hex())


def _numbers(chain: ChainSpool, cursor: Position = START) -> list[int]:
    return [frame.record.seq for frame in chain.read(cursor) if isinstance(frame.record, Row)]


def _damage(chain: ChainSpool) -> list[Damage]:
    return [frame.record for frame in chain.read() if isinstance(frame.record, Damage)]


def test_a_cursor_continues_where_the_last_frame_ended(settings: Settings) -> None:
    """`end` of one frame is the cursor that yields the next one first."""
    chain = _write(settings, 5)
    third = [frame for frame in chain.read() if isinstance(frame.record, Row)][2]
    assert _numbers(chain, third.end) == [3, 4, 5, 6]


def test_a_chain_is_live_while_its_writer_holds_it(settings: Settings) -> None:
    """Liveness is the writer's lock, which ends with the writer."""
    recorder = open_recorder(settings, role="cli")
    (chain,) = chains(settings.spool_directory)
    assert chain.is_live
    recorder.close()
    assert not chain.is_live


def test_rows_are_read_while_the_writer_runs(settings: Settings) -> None:
    """A reader sees each row as soon as `record` has returned."""
    with open_recorder(settings, role="cli") as recorder:
        recorder.record({"event_type": "heartbeat"})
        (chain,) = chains(settings.spool_directory)
        assert _numbers(chain) == [0, 1]


def test_an_incomplete_frame_of_a_live_writer_is_not_there_yet(settings: Settings) -> None:
    """Half an append is neither a row nor damage while its writer may still complete it."""
    recorder = open_recorder(settings, role="cli")
    recorder.record({"event_type": "heartbeat"})
    (chain,) = chains(settings.spool_directory)
    whole = chain.path(0).read_bytes()
    chain.path(0).write_bytes(whole[:-7])
    assert _numbers(chain) == [0]
    assert _damage(chain) == []
    recorder.close()


@pytest.mark.parametrize("cut", [1, 7, 8, 9, 60])
def test_the_torn_tail_of_a_dead_writer_is_named(settings: Settings, cut: int) -> None:
    """Bytes of an append that never completed are reported with their place, and the rows before them are read."""
    chain = _write(settings, 3)
    whole = chain.path(0).read_bytes()
    chain.path(0).write_bytes(whole[:-cut])
    (damage,) = _damage(chain)
    assert _numbers(chain) == [0, 1, 2, 3]
    assert damage.reason == "torn append"
    assert damage.position.offset + damage.length == len(whole) - cut


def test_damage_in_the_middle_costs_only_the_damaged_rows(settings: Settings) -> None:
    """Reading goes on at the next intact frame."""
    chain = _write(settings, 6)
    second = [frame for frame in chain.read() if isinstance(frame.record, Row)][2]
    data = bytearray(chain.path(0).read_bytes())
    data[second.position.offset + 40] ^= 0xFF
    chain.path(0).write_bytes(data)
    (damage,) = _damage(chain)
    assert _numbers(chain) == [0, 1, 3, 4, 5, 6, 7]
    assert damage == Damage(second.position, second.end.offset - second.position.offset, "checksum does not match")


def test_a_damaged_length_does_not_swallow_its_neighbours(settings: Settings) -> None:
    """The length is under the checksum too; a wrong one sends the reader looking for the next frame."""
    chain = _write(settings, 4)
    second = [frame for frame in chain.read() if isinstance(frame.record, Row)][2]
    data = bytearray(chain.path(0).read_bytes())
    data[second.position.offset] ^= 0x01
    chain.path(0).write_bytes(data)
    assert _numbers(chain) == [0, 1, 3, 4, 5]


def test_a_file_of_another_chain_is_named_as_such(settings: Settings) -> None:
    """A spool file that was put into the wrong directory is damage, and its rows do not verify there."""
    chain, other = _write(settings, 1), _write(settings, 1)
    chain.path(0).write_bytes(other.path(0).read_bytes())
    assert "the header is that of chain" in _damage(chain)[0].reason


def test_rotation_keeps_one_chain_over_many_files(settings: Settings) -> None:
    """Files are left behind by size; the chain runs on through them."""
    recorder = Recorder(settings, role="cli", rotate_bytes=2_000)
    for number in range(40):
        recorder.record({"event_type": "heartbeat", "number": number})
    recorder.close()
    (chain,) = read_spool(settings)
    assert len(chain.spool.files()) > 3
    assert [event["number"] for event in chain.events()] == list(range(40))


def test_files_that_were_cleaned_up_are_not_missed(settings: Settings) -> None:
    """What the shipper removed from the front is gone on purpose: reading starts at the first file that is there."""
    recorder = Recorder(settings, role="cli", rotate_bytes=1_500)
    for _ in range(20):
        recorder.record({"event_type": "heartbeat"})
    recorder.close()
    (chain,) = chains(settings.spool_directory)
    chain.path(0).unlink()
    assert _numbers(chain)[0] > 0
    assert _damage(chain) == []


def test_other_files_in_the_spool_directory_are_left_alone(settings: Settings) -> None:
    """Only directories named like a chain are chains."""
    _write(settings, 1)
    (settings.spool_directory / "notes").mkdir()
    (settings.spool_directory / "readme.txt").write_text("hello")
    assert len(chains(settings.spool_directory)) == 1


def test_a_spool_that_does_not_exist_yet_has_no_chains(settings: Settings) -> None:
    """A shipper may start before any application."""
    assert chains(settings.spool_directory) == []


def test_a_chain_reads_back_verified(settings: Settings) -> None:
    """Every hash and link that the writer made is what the format says."""
    chain = read_chain(_write(settings, 50))
    assert [event["number"] for event in chain.events()] == list(range(50))


def test_the_newest_row_is_found_without_reading_everything(settings: Settings) -> None:
    """It is the last intact one: behind a torn tail, over many files, and after damage in the middle."""
    chain = _write(settings, 5)
    whole = chain.path(0).read_bytes()
    assert _seq_of_last(chain) == 6
    chain.path(0).write_bytes(whole[:-3])
    assert _seq_of_last(chain) == 5
    chain.path(0).write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:])
    assert _seq_of_last(chain) == 6
    chain.path(0).write_bytes(whole[:44])
    assert _seq_of_last(chain) is None


def _seq_of_last(chain: ChainSpool) -> int | None:
    row = chain.last_row()
    return None if row is None else row.seq


def test_damaged_bytes_are_kept_as_they_were_found(settings: Settings) -> None:
    """A copy survives the cleaning up of the spool file."""
    chain = _write(settings, 3)
    data = chain.path(0).read_bytes()
    chain.path(0).write_bytes(data[:-9])
    (damage,) = _damage(chain)
    kept = quarantine(chain, damage, settings.directory / "quarantine")
    assert kept == quarantine(chain, damage, settings.directory / "quarantine")
    assert kept.read_bytes() == data[damage.position.offset : -9]


def test_a_chain_that_died_before_its_first_row_is_passed_over(settings: Settings) -> None:
    """A restart claims the newest chain that has rows."""
    first = _write(settings, 1)
    second = _write(settings, 1)
    second.path(0).write_bytes(second.path(0).read_bytes()[:50])
    _write(settings, 1)
    (third,) = [
        chain for chain in read_spool(settings) if chain.spool.chain_id not in (first.chain_id, second.chain_id)
    ]
    assert third.envelopes[0]["chain"]["predecessor"]["chain"] == first.chain_id.hex()
