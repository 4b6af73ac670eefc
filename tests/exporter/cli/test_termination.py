"""A command that is told to end cleans up and ends by that signal; what a killed one leaves is found by the next."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from spanledger_exporter.store.scratch import PREFIX, Scratch, remove_abandoned

PREAMBLE = """
import hashlib, signal, threading, time
from spanledger_exporter.cli.termination import ended_by_signals
from spanledger_exporter.store.scratch import Scratch

def wait():
    print("ready", flush=True)
    time.sleep(60)

def tell_when_busy(clock, began):
    while time.clock_gettime(clock) < began + 0.3:
        time.sleep(0.01)
    print("ready", flush=True)

def compute():
    clock = time.pthread_getcpuclockid(threading.get_ident())
    threading.Thread(target=tell_when_busy, args=(clock, time.clock_gettime(clock)), daemon=True).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)

def with_scratch(step):
    scratch = Scratch.make()
    try:
        step()
    finally:
        scratch.remove()
        print("cleaned up", flush=True)
"""


def started(program: str, temporary: Path) -> subprocess.Popen[str]:
    """Start `program`, with a temporary directory of its own, and return when it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(program)],
        env={"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_cleans_up_and_ends_by_the_signal(tmp_path: Path, number: signal.Signals) -> None:
    """So does whoever started it see what ended it."""
    process = started("with ended_by_signals(): with_scratch(wait)", tmp_path)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (-number, "cleaned up\n")
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_is_inside_the_engine_ends_all_the_same(tmp_path: Path) -> None:
    """Python runs no handler until a long query returns; the next reader removes what stays behind."""
    process = started("with ended_by_signals(): with_scratch(compute)", tmp_path)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert len(list(tmp_path.glob(f"{PREFIX}*"))) == 1
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_serves_keeps_its_own_way_to_end(tmp_path: Path) -> None:
    """Also when that takes longer than the grace that others get."""
    program = """
        stopped = []
        with ended_by_signals():
            signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
            print("ready", flush=True)
            while not stopped:
                time.sleep(0.01)
            time.sleep(3)
            print("served", flush=True)
    """
    process = started(program, tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == "served\n"
    assert process.returncode == 0


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """As `nohup` wants it."""
    program = """
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with ended_by_signals():
            print("ready", flush=True)
            signal.sigtimedwait([], 3)
    """
    process = started(program, tmp_path)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_the_directory_of_a_living_reader_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's lock says that it lives; one without a lock file may be about to get it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"{PREFIX}being-made").mkdir()
    living, other = Scratch.make(), Scratch.make()
    remove_abandoned(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {living.directory.name, f"{PREFIX}being-made"}
    living.remove()
    other.remove()
    assert [path.name for path in tmp_path.iterdir()] == [f"{PREFIX}being-made"]


def test_a_removal_that_was_cut_off_is_finished_by_the_next_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock went first, and what is without one is left alone: sixty such directories were found in one /tmp."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scratch = Scratch.make()
    scratch.engine.mkdir()
    with monkeypatch.context() as cut_off:
        cut_off.setattr(shutil, "rmtree", _killed_at_the_end_of_the_first)
        with pytest.raises(KeyboardInterrupt):
            scratch.remove()
    os.close(scratch.descriptor)  # as the kernel does
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_the_engine_still_writes_keeps_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that could not be emptied has one, so that the next reader finds it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scratch = Scratch.make()
    scratch.engine.mkdir()
    with monkeypatch.context() as busy:
        busy.setattr(shutil, "rmtree", lambda *_, **__: None)
        scratch.remove()
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_is_told_to_end_while_it_makes_its_directory_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a lock it would be left alone: it may be about to get one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def told_to_end(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(fcntl, "flock", told_to_end)
        with pytest.raises(KeyboardInterrupt):
            Scratch.make()
    assert list(tmp_path.iterdir()) == []


def _killed_at_the_end_of_the_first(directory: Path, **_: bool) -> None:
    for name in ("engine", "reader.lock"):  # in the order of their names, as a directory may list them or not
        path = directory if directory.name == name else directory / name
        if path.is_dir():
            path.rmdir()
        elif path.exists():
            path.unlink()
    raise KeyboardInterrupt
