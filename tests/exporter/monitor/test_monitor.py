"""The monitor: what one look finds, how the loop tells of it, and where alarms go."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from sealing import Bench, open_engine
from spanledger_exporter.anchors.anchor import AnchorError, Submission
from spanledger_exporter.anchors.witness_client import WitnessAnchor
from spanledger_exporter.errors import ConfigurationError, StoreError
from spanledger_exporter.keys.key_file import FileSigner
from spanledger_exporter.ledger.checkpoint import Checkpoint
from spanledger_exporter.ledger.note import COSIGNATURE_V1
from spanledger_exporter.monitor.alarm import MAX_FINDINGS, WebhookError, as_row, describe, post
from spanledger_exporter.monitor.look import Look, Measures, look
from spanledger_exporter.monitor.metrics import MonitorMetrics, metrics_provider
from spanledger_exporter.monitor.watch import REPEAT_AFTER_S, Watch
from spanledger_exporter.verify.checkpoints import KnownCheckpoint
from spanledger_exporter.verify.local import trust_of
from spanledger_exporter.verify.verdict import Findings
from spanledger_exporter.witness.server import serving
from spanledger_exporter.witness.witness import Witness

WITNESS = FileSigner(b"\3" * 32, name="audit.example/w1", algorithm=COSIGNATURE_V1)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Bench]]:
    """Open one engine for this module."""
    with open_engine(tmp_path_factory.mktemp("engine")) as make:
        yield make


@pytest.fixture
def bench(engine: Callable[[], Bench]) -> Bench:
    """Return a sealed ledger."""
    made = engine()
    made.ledger.open_chain().append({"event_type": "model_call"})
    made.ship()
    made.seal()
    return made


def glance(bench: Bench, **more: Any) -> Look:
    """Look at the bench's ledger."""
    options: dict[str, Any] = {
        "settings": bench.settings,
        "trust": trust_of(bench.keys.root),
        "anchors": bench.anchors,
        **more,
    }
    return look(bench.store, **options)


def reasons(seen: Look) -> list[str]:
    """Return what was found."""
    return [finding["reason"] for finding in describe(seen)["findings"]]


@pytest.mark.parametrize("is_full", [False, True])
def test_a_sealed_and_anchored_ledger_is_verified(bench: Bench, *, is_full: bool) -> None:
    """With its size, and the checkpoint to be remembered."""
    seen = glance(bench, is_full=is_full)
    assert (seen.verdict.word, reasons(seen)) == ("verified", [])
    assert seen.measures.log_size == seen.verdict.newest.size if seen.verdict.newest else False


def test_a_log_that_no_longer_extends_what_was_seen_is_tampered_even_if_every_anchor_agrees(bench: Bench) -> None:
    """The monitor's own memory is an anchor that the operator does not hold."""
    seen = KnownCheckpoint(Checkpoint(bench.keys.origin, 2, b"\xaa" * 32), "the remembered checkpoint")
    longer = KnownCheckpoint(Checkpoint(bench.keys.origin, 99, b"\xaa" * 32), "the remembered checkpoint")
    assert "signed over another log" in reasons(glance(bench, remembered=[seen]))[0]
    assert "cut or rolled back" in reasons(glance(bench, remembered=[longer]))[0]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("ALTER TABLE log UPDATE entry = 'x' WHERE index = 0 SETTINGS mutations_sync = 2", "does not hash"),
        ("ALTER TABLE rows DELETE WHERE seq = 99 SETTINGS mutations_sync = 2", "was changed by mutation"),
        ("ALTER TABLE rows MODIFY COLUMN model String MATERIALIZED 'gpt-9'", "no longer derived from env"),
        ("ALTER TABLE rows MODIFY SETTING old_parts_lifetime = 1", "not those that the log records"),
        ("TRUNCATE TABLE checkpoints", "missing from the store's checkpoints"),
        ("DROP TABLE log", "the ledger lacks tables: log"),
    ],
)
def test_what_was_done_to_the_tables_is_named(bench: Bench, statement: str, reason: str) -> None:
    """Log, mutations, definitions, checkpoints, and tables that are gone."""
    bench.store.command(statement)
    seen = glance(bench)
    assert seen.verdict.word in ("tampered", "unknown")
    assert any(reason in found for found in reasons(seen))


def test_a_lightweight_update_leaves_a_patch_part_that_is_named(bench: Bench) -> None:
    """It is no mutation in the old sense, and must not pass for none."""
    table = f"{bench.store.database}.rows"
    bench.store.command(
        f"ALTER TABLE {table} MODIFY SETTING enable_block_number_column = 1, enable_block_offset_column = 1"
    )
    bench.ledger.open_chain()
    bench.ship()
    bench.store.command(
        f"UPDATE {table} SET time_ns = 1 WHERE seq = 0 SETTINGS allow_experimental_lightweight_update = 1"
    )
    assert any("patch part" in found or "mutation" in found for found in reasons(glance(bench)))


def test_rows_that_nobody_seals_are_late_after_a_while(bench: Bench) -> None:
    """At once they are only counted."""
    bench.ledger.open_chain()
    bench.ship()
    assert (glance(bench).verdict.word, glance(bench).measures.unsealed_rows) == ("verified", 1)
    late = glance(bench, max_age_s=-1)
    assert late.verdict.word == "incomplete"
    assert "does a sealer run?" in reasons(late)[0]


def test_rows_that_the_sealer_refuses_are_late_though_others_are_sealed(bench: Bench) -> None:
    """A chain that broke would otherwise wait unseen for as long as anybody else writes."""
    broken = bench.ledger.open_chain()
    broken.append({"event_type": "model_call"})
    del bench.ledger.rows[-2]  # its row 0 never arrived
    bench.ship()
    bench.ledger.open_chain()
    bench.ship()
    assert [found.seq for found in bench.seal().breaks] == [0]
    ((sealed_at,),) = bench.store.query("SELECT max(created_at) FROM checkpoints")
    stored = "SELECT min(stored_at) FROM rows WHERE chain_id = unhex({chain:String})"
    ((stored_at,),) = bench.store.query(stored, {"chain": broken.chain_id.hex()})
    between_s = 1 + (sealed_at - stored_at).total_seconds() / 2
    late = glance(bench, max_age_s=between_s, clock_s=lambda: sealed_at.timestamp() + 1)
    assert late.verdict.word == "incomplete"
    assert "though a sealer runs" in reasons(late)[0]


class AbsentAnchor:
    """An anchor that never got anything."""

    kind, target = "witness", "nowhere"

    def publish(self, submission: Submission) -> str:
        raise AnchorError("no answer")


def test_an_anchor_that_stays_behind_is_late(bench: Bench) -> None:
    """It is named with what it has and what there is."""
    late = glance(bench, anchors=[*bench.anchors, AbsentAnchor()], max_age_s=-1)
    assert late.verdict.word == "incomplete"
    assert "anchor witness nowhere has size 0 of 3" in reasons(late)[0]


def test_the_newest_receipt_of_a_witness_is_verified_again(bench: Bench, tmp_path: Path) -> None:
    """A receipt in the store that was exchanged is no cosignature."""
    log_key = bench.keys.root.current.key
    witness = Witness(WITNESS, logs=[log_key], directory=tmp_path / "witness", clock_s=lambda: 1_795_000_000)
    with serving(witness) as url:
        anchors = [*bench.anchors, WitnessAnchor(WITNESS.verifier_key, url)]
        bench.seal(anchors=anchors)
    good = glance(bench, anchors=anchors)
    assert good.verdict.checks["anchoring"].counts["confirmed_receipts"] == 1
    bench.store.command("ALTER TABLE anchors UPDATE receipt = 'x' WHERE kind = 'witness' SETTINGS mutations_sync = 2")
    assert any("does not hold" in found for found in reasons(glance(bench, anchors=anchors)))


# The loop ---------------------------------------------------------------------------------------------------------


def sight(word: str) -> Look:
    """Return a look with that verdict."""
    findings = Findings()
    if word == "tampered":
        findings.tampered("integrity", "changed")
    if word == "incomplete":
        findings.incomplete("coverage", "late")
    if word == "tampered elsewhere":
        findings.tampered("integrity", "changed")
        findings.tampered("integrity", "changed too", chain=b"c" * 16)
    return Look(findings.verdict(), Measures())


@dataclass(slots=True)
class Script:
    """Looks that come one after another, and what was told of them."""

    looks: list[str]
    told: list[tuple[str, bool]]
    alarms: list[str]
    is_deaf: bool = False
    """Whether nobody takes an alarm."""

    def hear(self, seen: Look) -> bool:
        self.alarms.append(seen.verdict.word)
        return not self.is_deaf

    def watch(self, **more: Any) -> Watch:
        """Return a watch that plays this script."""
        return Watch(
            look=lambda: sight(self.looks.pop(0)),
            tell=lambda seen, is_news: self.told.append((seen.verdict.word, is_news)),
            alarm=self.hear,
            **more,
        )


def test_an_alarm_needs_a_second_look_that_says_the_same() -> None:
    """The sealer may have been in the middle of its work."""
    script = Script(["tampered", "verified"], [], [])
    script.watch().once()
    assert (script.told, script.alarms) == ([("verified", True)], [])


def test_an_alarm_is_raised_once_and_again_after_an_hour() -> None:
    """It does not go away by being heard."""
    script = Script(["tampered"] * 6, [], [])
    watch = script.watch(interval_s=REPEAT_AFTER_S / 2)
    for _ in range(3):
        watch.once()
    assert script.alarms == ["tampered", "tampered"]
    assert script.told == [("tampered", True), ("tampered", False), ("tampered", False)]


def test_a_new_finding_under_the_same_verdict_is_an_alarm_and_so_is_the_end_of_it() -> None:
    """Who was told of one chain has not been told of the next; who was called is called off."""
    words = ["tampered", "tampered elsewhere", "tampered", "incomplete"]
    script = Script(["verified", *(word for word in words for _ in range(2)), "verified", "verified"], [], [])
    watch = script.watch()
    for _ in range(7):
        watch.once()
    assert script.alarms == ["tampered", "tampered", "incomplete", "verified"]


def test_an_alarm_that_nobody_took_is_raised_at_every_round_until_somebody_does() -> None:
    """A webhook that is down for a minute must not cost an hour."""
    script = Script(["tampered"] * 8, [], [], is_deaf=True)
    watch = script.watch()
    watch.once()
    watch.once()
    script.is_deaf = False
    watch.once()
    watch.once()
    assert script.alarms == ["tampered"] * 3


def test_without_an_outlet_the_loop_ends_at_the_first_alarm() -> None:
    """Its supervisor sees the exit status."""
    script = Script(["verified", "incomplete", "incomplete"], [], [])
    assert script.watch(has_outlet=False, interval_s=0.0).run(threading.Event()) == 2


def test_with_an_outlet_the_loop_goes_on_until_it_is_told_to_stop() -> None:
    """The webhook has been told."""
    stop = threading.Event()
    stop.set()
    script = Script(["incomplete"] * 2, [], [])
    assert script.watch().run(stop) == 0
    assert script.alarms == ["incomplete"]


def test_a_store_that_cannot_be_read_is_an_alarm_of_its_own() -> None:
    """Not knowing is not being well."""

    def broken() -> Look:
        raise StoreError("no answer")

    script = Script([], [], [])
    Watch(look=broken, tell=lambda *_: None, alarm=script.hear).once()
    assert script.alarms == ["unknown"]


# Outlets ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve a webhook; yield its URL and what it got."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if self.path == "/broken" else 204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", got
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_gets_verdict_and_places(hook: tuple[str, list[dict[str, Any]]]) -> None:
    """One JSON document; a webhook that refuses is told as such."""
    url, got = hook
    post(url, describe(sight("tampered")))
    assert (got[0]["verdict"], got[0]["findings"][0]["reason"]) == ("tampered", "changed")
    with pytest.raises(WebhookError, match="500"):
        post(f"{url}/broken", {})
    with pytest.raises(ConfigurationError, match="http"):
        post("ftp://x", {})


def test_a_thousand_findings_make_a_short_row_that_says_how_many() -> None:
    """`verify --json` lists them all."""
    findings = Findings()
    for number in range(1000):
        findings.tampered("integrity", f"{number}", chain=bytes(16), seq=number)
    told = describe(Look(findings.verdict(), Measures()))
    assert told["rows_read"] is False
    row = as_row(told)
    assert (row["event_type"], len(row["monitor"]["findings"]), row["monitor"]["findings_total"]) == (
        "heartbeat",
        MAX_FINDINGS,
        1000,
    )


def test_the_figures_are_opentelemetry_metrics(bench: Bench) -> None:
    """Findings by check and kind, the verdict, sizes and ages."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    metrics = MonitorMetrics(provider)
    assert collected(reader) == {}
    metrics.newest = glance(bench)
    found = collected(reader)
    assert set(found) == {
        "spanledger.monitor.findings",
        "spanledger.monitor.verdict",
        "spanledger.log.size",
        "spanledger.rows.unsealed",
        "spanledger.checkpoint.age",
        "spanledger.anchor.age",
    }
    assert found["spanledger.monitor.verdict"]["verified"] == 1
    assert found["spanledger.log.size"][""] == 3
    provider.shutdown()


def collected(reader: InMemoryMetricReader) -> dict[str, dict[str, float]]:
    """Return every value by metric name and joined attributes."""
    data = reader.get_metrics_data()
    found: dict[str, dict[str, float]] = {}
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    name = " ".join(str(value) for value in (point.attributes or {}).values())
                    found.setdefault(metric.name, {})[name] = point.value  # type: ignore[union-attr]
    return found


@pytest.mark.parametrize(
    ("environ", "is_made"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_METRICS_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True),
        (
            {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            True,
        ),
    ],
)
def test_metrics_go_out_only_when_opentelemetrys_variables_say_so(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], *, is_made: bool
) -> None:
    """No endpoint, no exporter."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    provider = metrics_provider(environ)
    assert (provider is not None) == is_made
