"""Existing tracing backends keep working: the demo's run, sent to a real one beside the ledger and read back.

The backend is Arize Phoenix, the OTLP server that installs from the package index; it gets an environment of its own
inside `.venv`, made on first use.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_provider import LocalProvider

ROOT = Path(__file__).resolve().parents[1]
BACKEND = "arize-phoenix==20.26.1"
PLACE = Path(sys.prefix) / "tracing-backend"
START_TIMEOUT_S = 120.0
ARRIVE_TIMEOUT_S = 30.0


def backend_command() -> Path:
    """Install the backend once and return its command."""
    stamp, command = PLACE / "installed", PLACE / "bin" / "phoenix"
    if not stamp.exists() or stamp.read_text() != BACKEND:
        venv.create(PLACE, with_pip=True, clear=True)
        pip = [str(PLACE / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, BACKEND], check=True)
        stamp.write_text(BACKEND)
    return command


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def read_json(url: str) -> Any:
    """Fetch one JSON document from the backend."""
    return httpx.get(url, timeout=5).raise_for_status().json()


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a running backend."""
    command, port, directory = backend_command(), free_port(), tmp_path_factory.mktemp("backend")
    environment = {
        **os.environ,
        "PHOENIX_WORKING_DIR": str(directory),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    with (directory / "log").open("w") as log:
        process = subprocess.Popen([str(command), "serve"], env=environment, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(url, process, directory / "log")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the backend ended: {log.read_text()[-2000:]}"
        try:
            httpx.get(f"{url}/healthz", timeout=1).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"the backend did not start in {START_TIMEOUT_S} s: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def spans(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[dict[str, Any]]]:
    """Run the demo's application with both exporters and return the backend's spans by name."""
    transcript = ROOT / "examples" / "transcripts" / "alert_triage.json"
    with LocalProvider([transcript]) as provider:
        environment = {
            **os.environ,
            **provider.environment,
            "OTEL_EXPORTER_OTLP_ENDPOINT": backend,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "SPANLEDGER_DIR": str(tmp_path_factory.mktemp("ledger")),
        }
        instrument = Path(sys.executable).with_name("opentelemetry-instrument")
        application = [sys.executable, str(ROOT / "examples" / "triage_app.py")]
        subprocess.run(
            [str(instrument), "--traces_exporter", "otlp,spanledger", *application],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    deadline = time.monotonic() + ARRIVE_TIMEOUT_S
    found: list[dict[str, Any]] = []
    while time.monotonic() < deadline and sum(span["name"] == "triage alert" for span in found) < 2:
        time.sleep(0.2)
        found = read_json(f"{backend}/v1/projects/default/spans?limit=1000")["data"]
    by_name: dict[str, list[dict[str, Any]]] = {}
    for span in found:
        by_name.setdefault(span["name"], []).append(span)
    return by_name


def test_model_calls_arrive_under_their_trace(spans: Mapping[str, list[dict[str, Any]]]) -> None:
    """The call's span hangs under the application's own span, in the same trace."""
    roots = {span["context"]["span_id"]: span["context"]["trace_id"] for span in spans["triage alert"]}
    calls = spans["chat gpt-5-mini"]
    assert calls
    for call in calls:
        assert roots[call["parent_id"]] == call["context"]["trace_id"]


def test_model_tokens_and_prompt_identity_can_be_read_there(spans: Mapping[str, list[dict[str, Any]]]) -> None:
    """The standard attributes are what the backend stores and shows."""
    attributes = spans["chat gpt-5-mini"][0]["attributes"]
    assert attributes["gen_ai.provider.name"] == "openai"
    assert attributes["gen_ai.request.model"] == "gpt-5-mini"
    assert attributes["gen_ai.usage.input_tokens"] > 0
    assert attributes["gen_ai.usage.output_tokens"] > 0


def test_a_failed_call_shows_as_an_error(spans: Mapping[str, list[dict[str, Any]]]) -> None:
    """The demo's provider fails once; the backend's status says so."""
    statuses = [span["status_code"] for span in spans["chat claude-sonnet-5"]]
    assert "ERROR" in statuses


def test_content_stays_in_the_ledger_by_default(spans: Mapping[str, list[dict[str, Any]]]) -> None:
    """Nobody asked for message content on spans, so the backend gets none."""
    text = json.dumps(list(spans.values()))
    assert "You are a security analyst" not in text
    assert "gen_ai.input.messages" not in text
