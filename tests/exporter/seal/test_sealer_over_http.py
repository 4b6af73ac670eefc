"""Sealing a server store over the real HTTP client: faults on the line, and sealers on two hosts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.http_shim import HttpShim
from sealing import Bench
from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import StoreError
from spanledger_exporter.seal.errors import SealerBusyError
from spanledger_exporter.seal.lease import StoreLease
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema

ROUNDS = 8
"""More than the faults that a test leaves behind for its successor, when the client gave up before it met them all."""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpShim]:
    """Run the server."""
    with HttpShim(tmp_path_factory.mktemp("server") / "store") as server:
        yield server


@pytest.fixture
def store(shim: HttpShim) -> Iterator[Store]:
    """Yield an empty server store."""
    settings = load_settings({"SPANLEDGER_STORE": shim.url(options="timeout_s=20&connect_timeout_s=5")})
    with open_store(settings, role="owner") as opened:
        opened.command("DROP DATABASE IF EXISTS spanledger")
        ensure_schema(opened)
        yield opened


@pytest.fixture
def bench(store: Store, shim: HttpShim, tmp_path: Path) -> Bench:
    """Return a bench with four rows in the server store."""
    settings = load_settings({"SPANLEDGER_STORE": shim.url(), "SPANLEDGER_DIR": str(tmp_path)})
    made = Bench(store, settings)
    made.ledger.open_chain().append({"event_type": "model_call"})
    made.ledger.open_chain().close()
    made.ship()
    return made


def test_a_server_store_is_sealed_and_the_lease_given_back(bench: Bench) -> None:
    """The next sealer need not wait."""
    bench.seal()
    bench.seal(is_heartbeat_due=True)
    assert bench.examine() == 4
    assert bench.store.query("SELECT max(epoch) FROM sealer_leases") == [(2,)]


def test_a_sealer_on_another_host_is_refused_with_who_is_at_work(bench: Bench, tmp_path: Path) -> None:
    """Its data directory is another one; the store is the same."""
    other = replace(bench.settings, directory=tmp_path / "other-host")
    with StoreLease(bench.store), pytest.raises(SealerBusyError, match=r"got process \d+ on"):
        bench.seal(settings=other)
    assert bench.seal().is_new


@pytest.mark.parametrize("table", ["log", "checkpoints", "anchors"])
@pytest.mark.parametrize("fault", ["reset_after", "late_500"])
def test_a_seal_over_a_bad_line_is_made_good_by_the_next(bench: Bench, shim: HttpShim, fault: str, table: str) -> None:
    """Whatever landed twice or not at all: one entry per index, one checkpoint per size, every row once."""
    shim.fault(fault, on=f"INSERT INTO `spanledger`.`{table}`", times=2)
    for _ in range(ROUNDS):
        try:
            bench.seal()
            break
        except StoreError:
            continue  # its lease was given back, if the line allowed it
    bench.seal()
    assert bench.examine() == 4
