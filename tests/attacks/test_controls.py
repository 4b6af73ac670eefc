"""What happens in an honest life raises no alarm: retries, restarts, rotation, clocks, empty intervals, readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from attacks.attacked_store import ROW_COLUMNS, AttackedStore, command, make_base, record_calls, settings_of, ship
from spanledger_exporter.config import Settings
from spanledger_exporter.recorder import Recorder, open_recorder
from spanledger_exporter.store.connection import open_store

NAMES = ROW_COLUMNS.split(", ")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a ledger of two chains, shipped and sealed twice."""
    return make_base(tmp_path_factory.mktemp("controls") / "base")


def insert_twice(store: AttackedStore) -> None:
    """Retry an insert that had landed, with its token lost."""
    with open_store(store.settings, role="owner") as opened:
        rows = opened.query(f"SELECT {ROW_COLUMNS} FROM rows WHERE seq < 4", binary=("env",))
        opened.insert("rows", NAMES, [(*row[:5], row[5].decode(), *row[6:]) for row in rows])


def restart(store: AttackedStore) -> None:
    """End a process and begin another, whose chain names its predecessor."""
    for _ in range(2):
        with open_recorder(store.settings, role="application") as recorder:
            record_calls(recorder, 2, word="again")
    ship(store.settings)
    assert command(store.directory, "seal")[0] == 0


def rotate(store: AttackedStore) -> None:
    """Change the signing key, and seal rows under the new one."""
    assert command(store.directory, "keys", "rotate")[0] == 0
    restart(store)


def step_clock_back(store: AttackedStore) -> None:
    """Set the clock back by an hour in the middle of a chain, and leave it there for the next."""
    now = 1_800_000_000_000_000_000
    clock = iter([now] * 6 + [now - 3_600 * 10**9] * 200)
    for _ in range(2):
        with Recorder(store.settings, role="application", clock=lambda: next(clock)) as recorder:
            record_calls(recorder, 3, word="clock")
    ship(store.settings)
    assert command(store.directory, "seal")[0] == 0


def seal_nothing(store: AttackedStore) -> None:
    """Nothing happened between two seals."""
    assert command(store.directory, "seal")[0] == 0


def read(store: AttackedStore) -> None:
    """Somebody looked; that leaves access rows, shipped and not sealed."""
    assert command(store.directory, "timeline", "--case", "CASE-1")[0] == 0
    assert command(store.directory, "search", "--limit", "1")[0] == 0


def optimize(store: AttackedStore) -> None:
    """Let the engine merge its parts."""
    store.sql("OPTIMIZE TABLE rows FINAL", "OPTIMIZE TABLE content FINAL")


def move(store: AttackedStore) -> None:
    """Move the data directory to another place."""
    there = store.directory.with_name("elsewhere")
    store.directory.rename(there)
    store.directory = there


CONTROLS: dict[str, Callable[[AttackedStore], None]] = {
    control.__name__.replace("_", " "): control
    for control in (insert_twice, restart, rotate, step_clock_back, seal_nothing, read, optimize, move)
}


@pytest.mark.parametrize("name", CONTROLS)
def test_an_honest_event_raises_no_alarm(name: str, base: Path, tmp_path: Path) -> None:
    """Both verifiers stay with `verified`."""
    store = AttackedStore.copy(base, tmp_path / "copy")
    CONTROLS[name](store)
    status, verdict = store.verify()
    assert status == 0, verdict
    assert store.verify("--sql")[0] == 0


def test_rows_that_wait_for_the_shipper_or_the_sealer_are_incomplete_and_not_tampered(
    base: Path, tmp_path: Path
) -> None:
    """Recorded, then stored, then sealed: 2, 2, 0."""
    store = AttackedStore.copy(base, tmp_path / "copy")
    settings: Settings = settings_of(store.directory)
    with open_recorder(settings, role="application") as recorder:
        record_calls(recorder, 2, word="new")
    states = [store.verify()[0]]
    ship(settings)
    states.append(store.verify()[0])
    assert command(store.directory, "seal")[0] == 0
    states.append(store.verify()[0])
    assert states == [2, 2, 0]
