"""The fault table: which system call fails × how, then the chain is read back and verified whole.

After each row of the table: every acknowledged row is in the chain exactly once, no unacknowledged row is in it, a
`loss` row counts what was refused, and nothing in the files is damaged.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spanledger_exporter.errors import RecordError
from spanledger_exporter.recorder import Recorder
from spools import read_spool, settings_for

Fault = Callable[[Any], Callable[..., Any]]


def _refuse(code: int) -> Fault:
    """Make a call fail that does nothing."""

    def fault(call: Any) -> Callable[..., Any]:
        def refused(*arguments: Any, **named: Any) -> Any:
            raise OSError(code, os.strerror(code))

        return refused

    return fault


def _land_then_refuse(call: Any) -> Callable[..., Any]:
    """Make a call do its work, and report a failure."""

    def landed(*arguments: Any, **named: Any) -> Any:
        call(*arguments, **named)
        raise OSError(errno.EIO, "it landed, but nobody said so")

    return landed


def _half_then_refuse(call: Any) -> Callable[..., Any]:
    """Make a write take half of the bytes, then find the disk full."""
    state = {"halves": 0}

    def half(descriptor: int, data: bytes) -> int:
        state["halves"] += 1
        if state["halves"] % 2 == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written: int = call(descriptor, data[: len(data) // 2])
        return written

    return half


FAULTS: list[tuple[str, Fault, dict[str, Fault]]] = [
    ("disk full", _refuse(errno.ENOSPC), {}),
    ("read-only disk", _refuse(errno.EROFS), {}),
    ("quota of the file system", _refuse(errno.EDQUOT), {}),
    ("input/output error", _refuse(errno.EIO), {}),
    ("half of the bytes land", _half_then_refuse, {}),
    ("all bytes land, reported as failed", _land_then_refuse, {}),
    ("half lands, and cannot be cut off at once", _half_then_refuse, {"ftruncate": _refuse(errno.EIO)}),
    ("all lands, and cannot be cut off at once", _land_then_refuse, {"ftruncate": _refuse(errno.EIO)}),
]


@pytest.mark.parametrize("rotate_bytes", [64 * 2**20, 1_200], ids=["one file", "many files"])
@pytest.mark.parametrize(("write_fault", "others"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_a_failed_append_never_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_fault: Fault, others: dict[str, Fault], rotate_bytes: int
) -> None:
    """Rows 0-4 land, 5-7 are refused, 8-11 land; the chain holds exactly those, and a loss row counts three."""
    recorder = Recorder(settings_for(tmp_path), role="cli", rotate_bytes=rotate_bytes)
    acknowledged: list[int] = []
    for number in range(12):
        with monkeypatch.context() as faulty:
            if number in (5, 6, 7):
                faulty.setattr(os, "write", write_fault(os.write))
                for name, fault in others.items():
                    faulty.setattr(os, name, fault(getattr(os, name)))
            try:
                recorder.record({"event_type": "heartbeat", "number": number})
                acknowledged.append(number)
            except RecordError:
                continue
    recorder.close()
    (chain,) = read_spool(settings_for(tmp_path))
    assert [event["number"] for event in chain.events("heartbeat")] == acknowledged == [0, 1, 2, 3, 4, 8, 9, 10, 11]
    assert [event["loss"]["events"] for event in chain.events("loss")] == [3]
    assert chain.damage == []


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_failed_sync_is_a_failure_even_though_the_row_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """With `durability=power` a row that was not synced is not acknowledged, and stays in the chain."""
    recorder = Recorder(settings_for(tmp_path, DURABILITY="power"), role="cli")
    recorder.record({"event_type": "heartbeat", "number": 0})
    with monkeypatch.context() as faulty:
        faulty.setattr(os, "fdatasync", _refuse(code)(os.fdatasync))
        with pytest.raises(RecordError):
            recorder.record({"event_type": "heartbeat", "number": 1})
    recorder.record({"event_type": "heartbeat", "number": 2})
    recorder.close()
    (chain,) = read_spool(settings_for(tmp_path))
    assert [event["number"] for event in chain.events("heartbeat")] == [0, 1, 2]


STEPS_OF_OPENING = ["mkdir", "open", "write"]


@pytest.mark.parametrize("step", STEPS_OF_OPENING)
def test_a_chain_that_could_not_begin_is_begun_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Each step of opening may fail; the next row begins a whole chain, and the loss is counted there."""
    recorder = Recorder(settings_for(tmp_path), role="cli")
    with monkeypatch.context() as faulty:
        faulty.setattr(os, step, _refuse(errno.EACCES)(getattr(os, step)))
        with pytest.raises(RecordError):
            recorder.record({"event_type": "model_call"})
    recorder._retry_at_s = 0.0
    recorder.record({"event_type": "heartbeat"})
    recorder.close()
    (chain,) = read_spool(settings_for(tmp_path))  # the failed attempt left nothing behind
    assert [event["event_type"] for event in chain.events()] == ["loss", "heartbeat"]


def test_a_registry_that_cannot_be_written_does_not_stop_the_chain(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The chain is recorded; a warning says that the anchor misses it."""
    (tmp_path / "anchors").write_text("in the way")
    with Recorder(settings_for(tmp_path), role="cli") as recorder:
        recorder.record({"event_type": "heartbeat"})
    (chain,) = read_spool(settings_for(tmp_path))
    assert len(chain.events()) == 1
    assert "chain registry" in caplog.text
