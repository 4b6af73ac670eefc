"""Servers that fork their workers: gunicorn with and without preload, uvicorn, Celery. Nothing they serve is missed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from spools import SpooledChain, read_spool, settings_for

REQUESTS = 12
PATIENCE_S = 60.0

APPLICATION = """
import os
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from spanledger_exporter.otel.install import install

provider = TracerProvider()
install(provider)
trace.set_tracer_provider(provider)

def call(name):
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    with trace.get_tracer("app").start_as_current_span(name, attributes=attributes):
        return str(os.getpid()).encode()

if os.environ.get("CALL_WHILE_LOADING"):
    call("loading")

def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [call("request")]

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": call("request")})
"""

CELERY = """
from celery import Celery
from application import call

app = Celery("tasks", broker="filesystem://", backend="file:///%(directory)s/results")
app.conf.broker_transport_options = {
    "data_folder_in": "%(directory)s/queue",
    "data_folder_out": "%(directory)s/queue",
    "control_folder": "%(directory)s/control",
}

@app.task
def work(number):
    return call("task").decode()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Hold the application and its data directory."""
    (tmp_path / "application.py").write_text(APPLICATION)
    (tmp_path / "tasks.py").write_text(CELERY % {"directory": tmp_path})
    for name in ("queue", "control", "results"):
        (tmp_path / name).mkdir()
    return tmp_path


def _start(directory: Path, command: Sequence[str], **variables: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=directory,
        env={**os.environ, "SPANLEDGER_DIR": str(directory / "data"), **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _get(port: int) -> str:
    """Ask until the server is up."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE_S) as answer:
                body: bytes = answer.read()
                return body.decode()
        except OSError:
            if time.monotonic() > until:
                raise
            threading.Event().wait(0.02)


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(PATIENCE_S)
    finally:
        server.kill()


def _requests(chains: Sequence[SpooledChain], name: str) -> list[str]:
    return [
        event["event_id"]
        for chain in chains
        for event in chain.events("model_call")
        if event["name"] == name and not event["event_id"].endswith(":begin")
    ]


def _pids(chains: Sequence[SpooledChain]) -> set[str]:
    return {str(chain.envelopes[0]["chain"]["pid"]) for chain in chains}


SERVERS = {
    "gunicorn": ["gunicorn", "-w", "2", "application:wsgi"],
    "gunicorn with preload": ["gunicorn", "-w", "2", "--preload", "application:wsgi"],
    "gunicorn with threads": ["gunicorn", "-w", "1", "--threads", "4", "application:wsgi"],
    "uvicorn": ["uvicorn", "--workers", "2", "application:asgi"],
}


@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS.keys())
def test_every_request_to_a_forking_server_is_recorded_by_its_worker(directory: Path, command: list[str]) -> None:
    """One chain per worker that served; the process that only forks has none."""
    port = _free_port()
    place = ["--bind", f"127.0.0.1:{port}"] if command[0] == "gunicorn" else ["--port", str(port)]
    server = _start(directory, [*command, *place])
    try:
        workers = {_get(port) for _ in range(REQUESTS)}
    finally:
        _stop(server)
    chains = read_spool(settings_for(directory / "data"))
    found = _requests(chains, "request")
    assert len(found) == len(set(found)) == REQUESTS
    assert _pids(chains) == workers


def test_workers_of_a_preloaded_application_that_made_calls_name_their_parent(directory: Path) -> None:
    """What the parent recorded while loading stays in its own chain, and every worker's chain says where it forked."""
    port = _free_port()
    command = ["gunicorn", "-w", "2", "--preload", "--bind", f"127.0.0.1:{port}", "application:wsgi"]
    server = _start(directory, command, CALL_WHILE_LOADING="1")
    try:
        for _ in range(REQUESTS):
            _get(port)
    finally:
        _stop(server)
    chains = read_spool(settings_for(directory / "data"))
    (parent,) = [chain for chain in chains if _requests([chain], "loading")]
    workers = [chain for chain in chains if chain is not parent]
    assert len(_requests(workers, "request")) == REQUESTS
    assert {chain.envelopes[0]["chain"]["predecessor"]["relation"] for chain in workers} == {"fork"}
    assert {chain.envelopes[0]["chain"]["predecessor"]["chain"] for chain in workers} == {parent.spool.chain_id.hex()}


@pytest.mark.parametrize("options", [[], ["--max-tasks-per-child", "2"]], ids=["as it comes", "short-lived children"])
def test_every_task_of_a_prefork_celery_worker_is_recorded(directory: Path, options: list[str]) -> None:
    """Celery's pool processes record into chains of their own, however short they live; its main process has none."""
    command = ["celery", "-A", "tasks", "worker", "-c", "2", "-l", "ERROR", "--without-gossip", *options]
    worker = _start(directory, command)
    producer = (
        "from tasks import work\n"
        f"sent = [work.delay(number) for number in range({REQUESTS})]\n"
        f"print(*sorted({{one.get(timeout={PATIENCE_S}) for one in sent}}))"
    )
    try:
        finished = subprocess.run(
            [sys.executable, "-c", producer], cwd=directory, capture_output=True, text=True, timeout=90, check=True
        )
    finally:
        _stop(worker)
    chains = read_spool(settings_for(directory / "data"))
    found = _requests(chains, "task")
    assert len(found) == len(set(found)) == REQUESTS
    assert _pids(chains) == set(finished.stdout.split())
    assert len(chains) > REQUESTS // 2 - 1 if options else len(chains) <= 2
