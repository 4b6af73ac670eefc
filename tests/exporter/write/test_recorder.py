"""The recorder: rows that are durable when `record` returns, whatever happens around it."""

from __future__ import annotations

import errno
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest

from spanledger_exporter.config import Settings
from spanledger_exporter.errors import RecordError
from spanledger_exporter.ledger.content import Content, content_ref
from spanledger_exporter.recorder import DEFERRED, Recorder, open_recorder
from spanledger_exporter.spool.reader import chains
from spools import read_spool, settings_for


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give the settings of a fresh data directory."""
    return settings_for(tmp_path)


def _record_many(recorder: Recorder, count: int) -> None:
    for _ in range(count):
        recorder.record({"event_type": "heartbeat"})


def _text(text: str) -> Content:
    data = text.encode()
    return Content(content_ref("text/plain", data), "payload", "text/plain", len(data), data)


def test_row_0_says_who_writes_and_under_which_settings(settings: Settings) -> None:
    """`chain.open` holds what ledger.md section 2 lists."""
    open_recorder(settings, role="cli").close()
    (chain,) = read_spool(settings)
    opening = chain.envelopes[0]
    assert opening["event_type"] == "chain.open"
    assert opening["event_id"] == f"{chain.spool.chain_id.hex()}:0"
    body = opening["chain"]
    assert {"software", "host", "pid", "boot_id", "durability", "content", "config_digest"} <= set(body)
    assert (body["role"], body["pid"], body["references"]) == ("cli", os.getpid(), "plain")


def test_a_clean_end_is_a_row(settings: Settings) -> None:
    """`close` leaves `chain.close` as the last row; nothing relies on it."""
    open_recorder(settings, role="cli").close()
    (chain,) = read_spool(settings)
    assert chain.envelopes[-1]["event_type"] == "chain.close"


def test_row_0_is_put_into_the_chain_registry_once(settings: Settings) -> None:
    """The registry entry holds chain, hash and time of row 0, as canonical JSON."""
    open_recorder(settings, role="cli").close()
    (chain,) = read_spool(settings)
    entry = (settings.anchors_directory / "chains" / f"{chain.spool.chain_id.hex()}.json").read_bytes()
    assert orjson.loads(entry) == {
        "chain": chain.spool.chain_id.hex(),
        "row_hash": chain.rows[0].row_hash.hex(),
        "time_ns": str(chain.rows[0].time_ns),
    }


def test_a_restart_names_the_newest_row_of_its_predecessor(settings: Settings) -> None:
    """The next chain of the same host, service and role claims the one before it."""
    for _ in range(2):
        open_recorder(settings, role="cli").close()
    first, second = read_spool(settings)
    assert second.envelopes[0]["chain"]["predecessor"] == {
        "relation": "restart",
        "chain": first.spool.chain_id.hex(),
        "seq": first.rows[-1].seq,
        "row_hash": first.rows[-1].row_hash.hex(),
    }


def test_a_live_sibling_is_no_predecessor(settings: Settings) -> None:
    """Two workers at the same time do not claim each other."""
    with open_recorder(settings, role="cli"), open_recorder(settings, role="cli"):
        assert all("predecessor" not in chain.envelopes[0]["chain"] for chain in read_spool(settings))


def test_row_0_names_the_newest_checkpoint_it_could_see(settings: Settings) -> None:
    """A checkpoint that row 0 quotes proves that the chain began after it."""
    directory = settings.anchors_directory / "checkpoints"
    directory.mkdir(parents=True)
    for size in (7, 1200):
        (directory / f"{size:020d}").write_text(f"ledger.example\n{size}\ncm9vdA==\n\n— ledger.example c2ln\n")
    open_recorder(settings, role="cli").close()
    (chain,) = read_spool(settings)
    assert chain.envelopes[0]["chain"]["checkpoint"] == {"origin": "ledger.example", "size": 1200, "root": "cm9vdA=="}


def test_missing_fields_are_filled_in(settings: Settings) -> None:
    """Schema, tenant, service, time and event id are there when the caller left them out."""
    with open_recorder(settings, role="cli", service={"name": "billing"}) as recorder:
        row = recorder.record({"event_type": "heartbeat"})
    (chain,) = read_spool(settings)
    (event,) = chain.events()
    assert event["schema"] == "spanledger.event/1"
    assert (event["tenant"], event["service"]) == ("default", {"name": "billing"})
    assert event["event_id"] == f"{row.chain_id.hex()}:{row.seq}"
    assert chain.rows[row.seq].row_hash == row.row_hash


def test_content_is_spooled_once_per_chain(settings: Settings) -> None:
    """A conversation that is resent on every turn takes its room once."""
    with open_recorder(settings, role="cli") as recorder:
        for _ in range(3):
            recorder.record({"event_type": "heartbeat"}, [_text("the same question")])
    (chain,) = read_spool(settings)
    data = b"".join(chain.spool.path(file).read_bytes() for file in chain.spool.files())
    assert data.count(b"the same question") == 1


def test_the_newest_contents_are_remembered(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that has left the memory is written once more, which says nothing new."""
    monkeypatch.setattr("spanledger_exporter.spool.chain.MAX_KNOWN_CONTENTS", 2)
    texts = ["first text", "second text", "third text"]
    with open_recorder(settings, role="cli") as recorder:
        for text in (*texts, *texts[1:], texts[0]):
            recorder.record({"event_type": "heartbeat"}, [_text(text)])
    (chain,) = read_spool(settings)
    data = b"".join(chain.spool.path(file).read_bytes() for file in chain.spool.files())
    assert [data.count(text.encode()) for text in texts] == [2, 1, 1]


def test_a_clock_that_steps_back_never_takes_the_chain_with_it(settings: Settings) -> None:
    """Times do not decrease; a row whose time was held says so."""
    now = [500]
    recorder = Recorder(settings, role="cli", clock=lambda: now[0])
    for now[0] in (900, 400, 1000):
        recorder.record({"event_type": "heartbeat"})
    (chain,) = read_spool(settings)
    assert [row.time_ns for row in chain.rows] == [900, 900, 900, 1000]
    assert [envelope.get("clock_clamped", False) for envelope in chain.envelopes] == [False, False, True, False]


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("-inf"), 2**63, -(2**70), "\ud800", b"\x00\xff", {"a": None}, [None], "x" * 100_000],
    ids=["nan", "infinity", "2^63", "-2^70", "surrogate", "bytes", "null", "null in list", "long"],
)
def test_odd_values_have_a_place_in_the_profile(settings: Settings, value: Any) -> None:
    """What JSON has no form for is written by the profile's rules, and the row keeps its type."""
    with open_recorder(settings, role="cli") as recorder:
        recorder.record({"event_type": "span", "odd": value})
    (chain,) = read_spool(settings)
    assert [event["event_type"] for event in chain.events()] == ["span"]


class _Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def _cycle() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize("value", [_cycle(), object(), _Hostile(), {1: "a", "1": "b"}])
def test_what_cannot_be_encoded_becomes_a_raw_row(settings: Settings, value: Any) -> None:
    """A row is never lost because canonicalisation failed; ids and the reason are kept."""
    with open_recorder(settings, role="cli") as recorder:
        recorder.record({"event_type": "span", "event_id": "t:s", "trace_id": "t", "odd": value})
    (chain,) = read_spool(settings)
    (event,) = chain.events()
    assert (event["event_type"], event["event_id"], event["trace_id"]) == ("raw", "t:s", "t")
    assert event["raw"]["event_type"] == "span"
    assert event["raw"]["data"]


def test_a_tenant_that_utf_8_cannot_hold_is_the_same_in_row_and_envelope(settings: Settings) -> None:
    """The plain column of the store is checked against the envelope: they must agree."""
    with open_recorder(settings, role="cli") as recorder:
        recorder.record({"event_type": "heartbeat", "tenant": "bank \ud800 zürich"})
    (chain,) = read_spool(settings)
    assert chain.rows[1].tenant == chain.events()[0]["tenant"] == "bank \ufffd zürich"


def test_any_failure_to_append_is_counted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that nobody thought of: the next row says that something is missing."""
    recorder = open_recorder(settings, role="cli")
    with monkeypatch.context() as faulty:
        faulty.setattr("spanledger_exporter.spool.chain.row_frame", lambda *_: 1 / 0)
        with pytest.raises(RecordError, match="ZeroDivisionError"):
            recorder.record({"event_type": "heartbeat"})
    recorder.record({"event_type": "heartbeat"})
    recorder.close()
    (chain,) = read_spool(settings)
    assert [event["event_type"] for event in chain.events()] == ["loss", "heartbeat"]


def test_what_follows_the_beginning_of_a_chain_cannot_cost_a_row(settings: Settings) -> None:
    """Background threads that cannot be started are a log line."""
    recorder = Recorder(settings, role="cli", on_begin=lambda: 1 / 0)  # type: ignore[arg-type]
    recorder.record({"event_type": "heartbeat"})
    recorder.close()
    (chain,) = read_spool(settings)
    assert len(chain.events()) == 1


def test_threads_share_one_chain_without_gaps(settings: Settings) -> None:
    """Eight threads, one chain, every row there, every link right."""
    recorder = open_recorder(settings, role="cli")

    def work(worker: int) -> None:
        for number in range(200):
            recorder.record({"event_type": "heartbeat", "worker": worker, "number": number})

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    (chain,) = read_spool(settings)
    assert len({(event["worker"], event["number"]) for event in chain.events()}) == 1_600


def test_a_row_recorded_from_inside_an_append_follows_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finalizer that records while this thread appends neither deadlocks nor breaks the chain."""
    recorder = open_recorder(settings, role="cli")
    write, entered = os.write, list[Any]()

    def write_and_record(descriptor: int, data: bytes) -> int:
        if not entered:
            entered.append(None)
            entered.append(recorder.record({"event_type": "heartbeat", "number": 2}))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", write_and_record)
    recorder.record({"event_type": "heartbeat", "number": 1})
    monkeypatch.undo()
    recorder.close()
    (chain,) = read_spool(settings)
    assert entered[1] is DEFERRED
    assert [event["number"] for event in chain.events()] == [1, 2]


def test_a_signal_handler_may_record(settings: Settings) -> None:
    """A timer that interrupts appends at random places leaves one whole chain, with its own rows in it."""
    recorder = open_recorder(settings, role="cli")
    interrupted: list[int] = []

    def handler(number: int, frame: object) -> None:
        interrupted.append(number)
        recorder.record({"event_type": "heartbeat", "from": "handler"})
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0005)  # one at a time, or a busy machine does nothing but handle

    before = signal.signal(signal.SIGVTALRM, handler)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.0005)
    try:
        for _ in range(3_000):
            recorder.record({"event_type": "heartbeat", "from": "loop"})
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    recorder.close()
    (chain,) = read_spool(settings)
    assert interrupted
    assert len(chain.events()) == 3_000 + len(interrupted)


def test_an_interrupt_in_the_middle_of_an_append_never_forks_the_chain(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between the write and the head's advance ends the call; the row is there once, the chain goes on."""
    recorder = open_recorder(settings, role="cli")
    write, calls = os.write, list[None]()

    def write_then_interrupt(descriptor: int, data: bytes) -> int:
        written = write(descriptor, data)
        calls.append(None)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return written

    monkeypatch.setattr(os, "write", write_then_interrupt)
    with pytest.raises(KeyboardInterrupt):
        recorder.record({"event_type": "heartbeat", "number": 1})
    monkeypatch.undo()
    recorder.record({"event_type": "heartbeat", "number": 2})
    recorder.close()
    (chain,) = read_spool(settings)
    assert [event["number"] for event in chain.events()] == [1, 2]


def test_a_forked_child_has_a_chain_of_its_own_that_names_its_parent(settings: Settings) -> None:
    """The child's row 0 holds the parent's newest row as it stood at the fork; the parent's chain goes on alone."""
    recorder = open_recorder(settings, role="cli")
    at_fork = recorder.record({"event_type": "heartbeat", "by": "parent"})
    child = os.fork()
    if child == 0:
        recorder.record({"event_type": "heartbeat", "by": "child"})
        os._exit(0)
    os.waitpid(child, 0)
    recorder.record({"event_type": "heartbeat", "by": "parent"})
    recorder.close()
    parent, forked = read_spool(settings)
    assert [event["by"] for event in parent.events()] == ["parent", "parent"]
    assert [event["by"] for event in forked.events()] == ["child"]
    assert forked.envelopes[0]["chain"]["predecessor"] == {
        "relation": "fork",
        "chain": at_fork.chain_id.hex(),
        "seq": at_fork.seq,
        "row_hash": at_fork.row_hash.hex(),
    }


def test_a_child_that_lives_on_does_not_keep_its_parent_s_chain_alive(settings: Settings) -> None:
    """The child lets go of the inherited lock: when the parent ends, its chain is seen to have ended."""
    recorder = open_recorder(settings, role="cli")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)  # lives until the parent lets it go
        os._exit(0)
    recorder.close()
    (chain,) = chains(settings.spool_directory)
    assert not chain.is_live
    os.close(writing)
    os.waitpid(child, 0)
    os.close(reading)


def test_a_fork_while_another_thread_appends_does_not_hang_the_child(settings: Settings) -> None:
    """The child's locks are new: whoever held the old ones does not exist there."""
    recorder = open_recorder(settings, role="cli")
    stop = threading.Event()

    def append_for_ever() -> None:
        while not stop.is_set():
            recorder.record({"event_type": "heartbeat", "by": "parent"})

    thread = threading.Thread(target=append_for_ever)
    thread.start()
    children: list[int] = []
    for _ in range(10):
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # a hang would be the failure: die of it instead
            recorder.record({"event_type": "heartbeat", "by": "child"})
            os._exit(0)
        children.append(os.waitpid(child, 0)[1])
    stop.set()
    thread.join()
    recorder.close()
    assert children == [0] * 10
    assert len(read_spool(settings)) == 11


def test_after_close_the_next_row_begins_another_chain(settings: Settings) -> None:
    """A span that ends after the provider was shut down is recorded all the same."""
    recorder = open_recorder(settings, role="cli")
    recorder.close()
    recorder.record({"event_type": "heartbeat"})
    recorder.close()
    first, second = read_spool(settings)
    assert len(second.events()) == 1
    assert second.envelopes[0]["chain"]["predecessor"]["chain"] == first.spool.chain_id.hex()


def test_power_durability_syncs_before_it_returns(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `durability=power` each acknowledged row has been covered by an fdatasync."""
    synced: list[int] = []
    fdatasync = os.fdatasync

    def noted(descriptor: int) -> None:
        fdatasync(descriptor)
        synced.append(descriptor)

    monkeypatch.setattr(os, "fdatasync", noted)
    with open_recorder(settings_for(settings.directory, DURABILITY="power"), role="cli") as recorder:
        before = len(synced)
        recorder.record({"event_type": "heartbeat"})
        assert len(synced) == before + 1


def test_one_sync_serves_many_threads(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Group commit: rows appended while a sync runs share the next one."""
    recorder = open_recorder(settings_for(settings.directory, DURABILITY="power"), role="cli")
    synced: list[int] = []
    release, fdatasync = threading.Event(), os.fdatasync

    def slow(descriptor: int) -> None:
        synced.append(descriptor)
        release.wait(10)
        fdatasync(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    threads = [threading.Thread(target=recorder.record, args=({"event_type": "heartbeat"},)) for _ in range(12)]
    for thread in threads:
        thread.start()
    while recorder.head is None or recorder.head.seq < 12:
        threading.Event().wait(0.001)
    release.set()
    for thread in threads:
        thread.join()
    assert len(synced) == 2
    recorder.close()


def test_a_spool_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    """The message says where, why, and which variable moves it elsewhere."""
    (tmp_path / "spool").write_text("in the way")
    with pytest.raises(RecordError, match="SPANLEDGER_DIR"):
        open_recorder(settings_for(tmp_path), role="cli")


def test_rows_lost_to_a_broken_spool_are_counted_in_the_next_row(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The gap is one log line when it begins, one `loss` row when it ends, with count, types, reasons and times."""
    obstacle = tmp_path / "spool"
    obstacle.write_text("in the way")
    recorder = Recorder(settings_for(tmp_path), role="cli")
    with caplog.at_level(logging.ERROR):
        for event_type in ("model_call", "model_call", "tool_call"):
            with pytest.raises(RecordError):
                recorder.record({"event_type": event_type})
    obstacle.unlink()
    recorder._retry_at_s = 0.0
    recorder.record({"event_type": "heartbeat"})
    recorder.close()
    (chain,) = read_spool(settings_for(tmp_path))
    loss, heartbeat = chain.events()
    assert loss["event_type"] == "loss"
    assert loss["loss"]["events"] == 3
    assert loss["loss"]["event_types"] == {"model_call": 2, "tool_call": 1}
    assert heartbeat["event_type"] == "heartbeat"
    assert [record.message for record in caplog.records if "gap" in record.message].__len__() == 1


def test_where_calls_are_refused_the_log_does_not_speak_of_a_gap(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With `closed` the call that could not be recorded was not made."""
    (tmp_path / "spool").write_text("in the way")
    recorder = Recorder(settings_for(tmp_path, ON_FAILURE="closed"), role="cli")
    with caplog.at_level(logging.ERROR), pytest.raises(RecordError):
        recorder.record({"event_type": "model_call"})
    assert "calls are refused from now on" in caplog.text
    assert "gap" not in caplog.text


def test_losses_are_reported_before_the_chain_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk has room again when the process ends, and nobody makes another call."""
    settings = settings_for(tmp_path)
    recorder = open_recorder(settings, role="cli")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", _disk_full)
        with pytest.raises(RecordError):
            recorder.record({"event_type": "model_call"})
    recorder.close()
    (chain,) = read_spool(settings)
    assert [event["event_type"] for event in chain.events()] == ["loss"]
    assert chain.events("loss")[0]["loss"]["event_types"] == {"model_call": 1}


def test_losses_of_a_process_that_never_had_a_chain_are_reported_when_it_ends(tmp_path: Path) -> None:
    """Its directory could not be written while it called, and can be now."""
    obstacle = tmp_path / "spool"
    obstacle.write_text("in the way")
    recorder = Recorder(settings_for(tmp_path), role="cli")
    with pytest.raises(RecordError):
        recorder.record({"event_type": "model_call"})
    obstacle.unlink()
    recorder.close()
    (chain,) = read_spool(settings_for(tmp_path))
    assert [event["loss"]["events"] for event in chain.events("loss")] == [1]


@pytest.mark.parametrize("had_chain", [True, False])
def test_losses_that_no_row_can_report_are_the_last_words_of_the_log(
    had_chain: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that ends on a full disk leaves no row of it: at least the log has the number."""
    recorder = Recorder(settings_for(tmp_path), role="cli")
    if had_chain:
        recorder.begin()
    monkeypatch.setattr(os, "write", _disk_full)
    for _ in range(3):
        with pytest.raises(RecordError):
            recorder.record({"event_type": "model_call"})
    with caplog.at_level(logging.ERROR):
        recorder.close()
        recorder.close()
    assert caplog.text.count("the ledger does not say that 3 rows are missing (3 model_call)") == 1


def _disk_full(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(("policy", "refuses"), [("closed", True), ("loss", False)])
def test_a_full_quota_refuses_rows_and_counts_them(settings: Settings, policy: str, refuses: bool) -> None:
    """`closed` refuses the call too, `loss` lets it proceed; both leave a `loss` row once there is room."""
    limited = settings_for(settings.directory, SPOOL_QUOTA_BYTES="3000", SPOOL_QUOTA_POLICY=policy)
    recorder = Recorder(limited, role="cli")
    recorder._quota._clock = iter(range(10_000)).__next__
    with pytest.raises(RecordError) as refused:
        _record_many(recorder, 100)
    assert refused.value.refuses_call is refuses
    recorder._quota._limit_bytes = 10**9
    recorder.record({"event_type": "heartbeat"})
    recorder.close()
    (chain,) = read_spool(settings)
    assert [event["loss"]["events"] for event in chain.events("loss")] == [1]


def test_at_the_quota_a_writer_leaves_its_file_so_that_it_can_be_removed(settings: Settings) -> None:
    """A file that is written to is never cleaned up: with one file of 64 MiB, calls would wait for ever."""
    limited = settings_for(settings.directory, SPOOL_QUOTA_BYTES="160000", SPOOL_QUOTA_POLICY="loss")
    recorder = Recorder(limited, role="cli")
    recorder._quota._clock = iter(range(100_000)).__next__
    _record_many(recorder, 10)
    recorder._quota._limit_bytes = 1
    for _ in range(3):
        with pytest.raises(RecordError):
            recorder.record({"event_type": "heartbeat"})
    (chain,) = chains(settings.spool_directory)
    assert chain.files() == [0, 1]
    recorder._quota._limit_bytes = 160_000
    _record_many(recorder, 100)
    recorder.close()
    assert max(chain.path(file).stat().st_size for file in chain.files()) < 11_000
    assert len(read_spool(settings)[0].events("heartbeat")) == 110


def test_a_full_quota_with_policy_block_waits_for_the_shipper(settings: Settings) -> None:
    """`block` returns when room was made, and loses nothing."""
    limited = settings_for(settings.directory, SPOOL_QUOTA_BYTES="3000", SPOOL_QUOTA_POLICY="block")
    recorder = Recorder(limited, role="cli")
    waits: list[float] = []

    def make_room(seconds: float) -> None:
        waits.append(seconds)
        recorder._quota._limit_bytes = 10**9

    recorder._quota._clock = iter(range(10_000)).__next__
    recorder._quota._wait = make_room
    for _ in range(20):
        recorder.record({"event_type": "heartbeat"})
    recorder.close()
    (chain,) = read_spool(settings)
    assert len(waits) == 1
    assert len(chain.events("heartbeat")) == 20
