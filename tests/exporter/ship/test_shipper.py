"""The background shipper: the application never waits for it, and what it promises about absent stores and forks."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from exporter.http_shim import HttpShim
from exporter.ship.test_drain import assert_stored_once, record, spooled, text
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.recorder import open_recorder
from spanledger_exporter.ship.backoff import Backoff
from spanledger_exporter.ship.chain_shipper import Shipped
from spanledger_exporter.ship.metrics import ShipMetrics
from spanledger_exporter.ship.shipper import Shipper, drain
from spanledger_exporter.ship.status import spool_status
from spanledger_exporter.store.connection import open_store


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HttpShim]:
    """Yield a server that does not run yet."""
    shim = HttpShim(tmp_path / "server")
    yield shim
    shim.kill()


@pytest.fixture
def settings(server: HttpShim, tmp_path: Path) -> Settings:
    """Return settings of the server store."""
    url = server.url(options="timeout_s=10&connect_timeout_s=1")
    return load_settings({"SPANLEDGER_DIR": str(tmp_path / "data"), "SPANLEDGER_STORE": url})


def wait_until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Return when `condition` holds; nothing else tells when another process got there."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.02)


def test_an_application_starts_while_the_store_is_absent_and_its_rows_arrive_when_it_appears(
    server: HttpShim, settings: Settings
) -> None:
    """Database, tables and views are made then; nothing before it raises or waits."""
    shipper = Shipper(settings, interval_s=0.1)
    shipper.start()
    record(settings, 5, contents=lambda number: [text(f"content {number}")])
    wait_until(lambda: shipper.last_error)
    server.start()
    wait_until(lambda: shipper.totals.rows == 7)
    assert shipper.close()
    assert shipper.last_error is None
    with open_store(settings, role="reader") as store:
        assert_stored_once(store, spooled(settings))


def test_closing_without_a_store_is_bounded(settings: Settings) -> None:
    """What is left stays in the spool."""
    record(settings, 5)
    shipper = Shipper(settings)
    shipper.start()
    started = time.monotonic()
    assert not shipper.close(timeout_s=0.3)
    assert time.monotonic() - started < 2
    assert spool_status(settings.spool_directory).waiting_chains == 1


def test_a_flush_returns_when_everything_asked_for_is_stored(server: HttpShim, settings: Settings) -> None:
    """Not a second later."""
    server.start()
    shipper = Shipper(settings, interval_s=60)
    shipper.start()
    record(settings, 3)
    assert shipper.flush(timeout_s=20)
    assert spool_status(settings.spool_directory).unshipped_bytes == 0
    shipper.close()


FORKING = """
import os, sys
from spanledger_exporter.config import load_settings
from spanledger_exporter.recorder import open_recorder
from spanledger_exporter.ship.shipper import Shipper
settings = load_settings()
shipper = Shipper(settings, interval_s=0.1)
shipper.start()
with open_recorder(settings, role="application") as recorder:
    recorder.record({"event_type": "model_call", "name": "parent"})
    assert shipper.flush(20)
    child = os.fork()
    if child == 0:
        recorder.record({"event_type": "model_call", "name": "child"})
        recorder.close()
        shipper.start()
        done = shipper.close(20)
        os._exit(0 if done else 1)
    assert os.waitpid(child, 0)[1] == 0
    recorder.record({"event_type": "model_call", "name": "parent again"})
assert shipper.close(20)
"""


def test_a_forked_child_ships_over_a_connection_of_its_own(server: HttpShim, settings: Settings) -> None:
    """Two processes on one socket would read each other's answers."""
    server.start()
    environ = {**os.environ, "SPANLEDGER_DIR": str(settings.directory), "SPANLEDGER_STORE": settings.store_url}
    subprocess.run([sys.executable, "-c", FORKING], check=True, env=environ, timeout=60)
    with open_store(settings, role="reader") as store:
        assert_stored_once(store, spooled(settings))
        names = store.query("SELECT name FROM rows WHERE event_type = 'model_call' ORDER BY name")
    assert names == [("child",), ("parent",), ("parent again",)]


def test_a_process_that_ends_ships_what_it_has(server: HttpShim, settings: Settings) -> None:
    """At exit, for a bounded time; the application does nothing for it."""
    server.start()
    code = FORKING.split("    child = os.fork()", maxsplit=1)[0] + "    recorder.record({'event_type': 'model_call'})\n"
    environ = {**os.environ, "SPANLEDGER_DIR": str(settings.directory), "SPANLEDGER_STORE": settings.store_url}
    subprocess.run([sys.executable, "-c", code], check=True, env=environ, timeout=60)
    assert spool_status(settings.spool_directory).unshipped_bytes == 0


CALLING = """
from opentelemetry.sdk.trace import TracerProvider
from spanledger_exporter.otel.install import install
provider = TracerProvider()
install(provider)
with provider.get_tracer("app").start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
    pass
"""
WAITING = """
import os, pathlib, time
from spanledger_exporter.ship.status import spool_status
while spool_status(pathlib.Path(os.environ["SPANLEDGER_DIR"], "spool")).unshipped_bytes:
    time.sleep(0.05)
"""


def test_the_end_of_a_chain_is_shipped_by_the_process_that_ends(server: HttpShim, settings: Settings) -> None:
    """Though OpenTelemetry writes it after every other exit handler."""
    server.start()
    environ = {**os.environ, "SPANLEDGER_DIR": str(settings.directory), "SPANLEDGER_STORE": settings.store_url}
    subprocess.run([sys.executable, "-c", CALLING + WAITING], check=True, env=environ, timeout=60)
    with open_store(settings, role="reader") as store:
        found = store.query("SELECT event_type FROM rows ORDER BY seq")
    assert [event_type for (event_type,) in found] == ["chain.open", "model_call", "model_call", "chain.close"]


def test_a_process_that_ends_without_a_store_is_not_held_up(settings: Settings) -> None:
    """What it recorded stays in the spool."""
    environ = {**os.environ, "SPANLEDGER_DIR": str(settings.directory), "SPANLEDGER_STORE": settings.store_url}
    code = CALLING + "import sys, time; began = time.monotonic(); provider.shutdown()\n"
    code += "sys.exit(time.monotonic() - began > 10)"
    subprocess.run([sys.executable, "-c", code], check=True, env=environ, timeout=60)
    assert spool_status(settings.spool_directory).waiting_chains == 1


def command(*arguments: str, directory: Path) -> subprocess.Popen[str]:
    """Start the command line on an embedded store in `directory`."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("SPANLEDGER_")}
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from spanledger_exporter.cli import main; sys.exit(main())", *arguments],
        env={**environ, "SPANLEDGER_DIR": str(directory)},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_following_ships_and_seals_until_sigterm_while_others_read(tmp_path: Path) -> None:
    """The owner keeps the store, a reader beside it attaches to the same files."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path)})
    owner = command("ship", "--follow", directory=tmp_path)
    with open_recorder(settings, role="application") as recorder:
        recorder.record({"event_type": "model_call"})
        wait_until(lambda: spool_status(settings.spool_directory).unshipped_bytes == 0)
        recorder.record({"event_type": "model_call"})
        wait_until(lambda: spool_status(settings.spool_directory).unshipped_bytes == 0)
        wait_until(lambda: list((tmp_path / "anchors" / "checkpoints").glob("*")))
    started = time.monotonic()
    with open_store(settings, role="reader") as store:
        assert time.monotonic() - started < 8  # it did not wait for an owner that means to stay
        assert store.is_read_only
        assert store.query("SELECT count() FROM events WHERE event_type = 'model_call'") == [(2,)]
        assert store.query("SELECT count() > 0 FROM checkpoints") == [(1,)]
    beside = command("ship", directory=tmp_path)
    _, said = beside.communicate(timeout=60)
    assert (beside.returncode, "the process that holds the store has shipped it" in said) == (0, True)
    owner.send_signal(signal.SIGTERM)
    _, said = owner.communicate(timeout=20)
    assert owner.returncode == 0
    assert "stopped after" in said


def test_ship_leaves_nothing_and_says_what_it_did(tmp_path: Path) -> None:
    """Exit status 0 means that the spool is empty."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path)})
    record(settings, 3, contents=lambda number: [text(str(number))])
    shipping = command("ship", directory=tmp_path)
    _, said = shipping.communicate(timeout=60)
    # The last line: the engine itself complains before it where the machine has no cgroups.
    last = said.splitlines()[-1]
    assert (shipping.returncode, last) == (0, "spanledger: shipped 5 rows and 3 contents of 1 chains")


def test_the_status_of_a_spool_counts_what_waits(tmp_path: Path) -> None:
    """Bytes behind the cursors, and the age of the oldest row."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path)})
    record(settings, 3)
    record(settings, 3)
    status = spool_status(settings.spool_directory)
    oldest = min(row.time_ns for row in spooled(settings))
    assert (status.chains, status.waiting_chains, status.live_chains) == (2, 2, 0)
    assert status.unshipped_bytes == status.stored_bytes
    assert status.oldest_unshipped_ns == oldest
    assert status.oldest_age_s(oldest + 1_500_000_000) == 1.5
    with open_store(settings, role="owner") as store:
        drain(settings, store)
    status = spool_status(settings.spool_directory)
    assert (status.unshipped_bytes, status.oldest_unshipped_ns, status.oldest_age_s(0)) == (0, None, 0.0)


def test_the_figures_are_opentelemetry_metrics(tmp_path: Path) -> None:
    """On whatever meter provider the process has."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path)})
    record(settings, 3)
    reader = InMemoryMetricReader()
    metrics = ShipMetrics(
        settings.spool_directory, Shipped(rows=7), is_failing=lambda: True, provider=MeterProvider([reader])
    )
    data = reader.get_metrics_data()
    assert data is not None
    points = {
        metric.name: (metric.unit, getattr(next(iter(metric.data.data_points)), "value"))  # noqa: B009
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }
    assert points["spanledger.spool.unshipped"] == ("By", spool_status(settings.spool_directory).unshipped_bytes)
    assert points["spanledger.ship.rows"] == ("{row}", 7)
    assert points["spanledger.ship.failing"] == ("1", 1)
    assert len(points) == 10
    del metrics


def test_backoff_grows_to_its_limit_and_starts_over() -> None:
    """Half of each wait is jitter."""
    backoff = Backoff(first_s=1, longest_s=8, random=lambda: 1.0)
    assert [backoff.failed() for _ in range(5)] == [1, 2, 4, 8, 8]
    backoff.succeeded()
    assert backoff.failed() == 1
    assert Backoff(first_s=1, random=lambda: 0.0).failed() == 0.5
