"""`spanledger collector` as a process: spans over the wire become sealed rows in the embedded store."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

ATTRIBUTES: dict[str, str | int] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5-mini",
    "gen_ai.usage.input_tokens": 7,
}


RECORDS_AND_SENDS = """
import sys
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from spanledger_exporter.otel.install import install

provider = TracerProvider()
install(provider)
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=sys.argv[1])))
attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 7}
with provider.get_tracer("application").start_as_current_span("chat m", attributes=attributes):
    pass
provider.shutdown()
"""


class Collector:
    """A running collector and where it listens."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "SPANLEDGER_DIR": str(directory)}
        command = [sys.executable, "-m", "spanledger_exporter", "collector", "--http-port", "0", "--grpc-port", "0"]
        self.process = subprocess.Popen(command, env=self.environment, cwd=directory, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr
        self.said = ""
        for line in self.process.stderr:
            self.said += line
            found = re.search(r"OTLP over HTTP on (\S+), over gRPC on (\S+)", line)
            if found:
                self.http, self.grpc = found.groups()
                return
        raise AssertionError(f"the collector did not start: {self.said}")

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and return the exit status."""
        self.process.send_signal(by)
        _, rest = self.process.communicate(timeout=30)
        self.said += rest
        return self.process.returncode

    def sql(self, query: str) -> list[dict[str, Any]]:
        """Ask the store, after the collector has let go of it."""
        command = [sys.executable, "-m", "spanledger_exporter", "sql", query, "--format", "json"]
        done = subprocess.run(
            command, env=self.environment, cwd=self.directory, capture_output=True, text=True, check=True
        )
        answer: list[dict[str, Any]] = json.loads(done.stdout)
        return answer


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    """Run a collector with a store of its own."""
    running = Collector(tmp_path)
    yield running
    running.process.kill()
    running.process.communicate()


def test_spans_of_two_services_become_ingested_rows_with_their_own_service(collector: Collector) -> None:
    """One over gRPC, one over HTTP and JSON; each row says whose span it was and how we know it."""
    provider = TracerProvider(resource=Resource({"service.name": "claims", "service.version": "4.2"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=collector.grpc, insecure=True)))
    with provider.get_tracer("java-agent").start_as_current_span("chat gpt-5-mini", attributes=ATTRIBUTES):
        pass
    provider.shutdown()
    span = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "name": "chat gpt-5-mini",
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": "1544712661000000000",
        "attributes": [
            {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
            for key, value in ATTRIBUTES.items()
        ],
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "triage"}}]}
    broken = {**span, "spanId": "zz"}
    request = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span, broken]}]}]}
    for _ in range(2):  # the second is a sender's retry
        assert httpx.post(f"http://{collector.http}/v1/traces", json=request).status_code == 200
    assert collector.stop() == 0, collector.said

    rows = collector.sql(
        "SELECT service, input_tokens, capture_tier FROM spanledger.events "
        "WHERE event_type = 'model_call' ORDER BY service"
    )
    assert rows == [
        {"service": "claims", "input_tokens": 7, "capture_tier": "ingested"},
        {"service": "triage", "input_tokens": 7, "capture_tier": "ingested"},
    ]
    raw = collector.sql("SELECT env FROM spanledger.rows WHERE event_type = 'raw'")
    assert "expected an id in hex" in json.loads(raw[0]["env"])["raw"]["reason"]


def test_a_span_that_is_recorded_and_sent_to_our_collector_is_two_rows_and_one_event(collector: Collector) -> None:
    """As with `otlp,spanledger`, where the tracing backend's address leads here; Ctrl-C ends the collector in order."""
    program = [sys.executable, "-c", RECORDS_AND_SENDS, f"http://{collector.http}/v1/traces"]
    subprocess.run(program, env=collector.environment, cwd=collector.directory, check=True)
    assert collector.stop(signal.SIGINT) == 0, collector.said
    assert "Traceback" not in collector.said

    ends = "event_type = 'model_call' AND NOT endsWith(event_id, ':begin')"
    tiers = collector.sql(f"SELECT capture_tier, event_id FROM spanledger.rows WHERE {ends} ORDER BY capture_tier")
    assert [row["capture_tier"] for row in tiers] == ["captured", "ingested"]
    assert len({row["event_id"] for row in tiers}) == 1
    events = collector.sql("SELECT capture_tier, input_tokens FROM spanledger.events WHERE event_type = 'model_call'")
    assert events == [{"capture_tier": "captured", "input_tokens": 7}]


def test_a_taken_port_is_one_clear_line(collector: Collector, tmp_path: Path) -> None:
    """The second collector says what to do instead of a traceback."""
    port = collector.grpc.rpartition(":")[2]
    command = [sys.executable, "-m", "spanledger_exporter", "collector", "--http-port", "0", "--grpc-port", port]
    environment = {**os.environ, "SPANLEDGER_DIR": str(tmp_path / "second")}
    second = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert second.returncode == 69
    assert "is another collector running?" in second.stderr
    assert "Traceback" not in second.stderr
