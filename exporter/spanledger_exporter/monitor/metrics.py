"""The monitor's figures as OpenTelemetry metrics.

    spanledger.monitor.findings    {check, kind}    what the newest look found; 0 is good
    spanledger.monitor.verdict     {verdict}        1 for the newest verdict's word, 0 for the others
    spanledger.log.size                             entries in the log
    spanledger.rows.unsealed                        rows that no segment covers yet
    spanledger.checkpoint.age      s                since the newest checkpoint was signed
    spanledger.anchor.age          s {kind, target} since an anchor's newest receipt

Rules
- The meter provider is the caller's. `metrics_provider` makes one for the command line, when OpenTelemetry's own
  variables name an OTLP endpoint; otherwise metrics cost nothing and go nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader

from spanledger_exporter.monitor.look import Look
from spanledger_exporter.verify.verdict import EXIT_STATUS

KINDS = ("tampered", "unverifiable", "incomplete")


class MonitorMetrics:
    """Gauges over the newest look."""

    def __init__(self, provider: MeterProvider) -> None:
        self.newest: Look | None = None
        meter = provider.get_meter("spanledger.monitor")
        gauge = meter.create_observable_gauge
        gauge("spanledger.monitor.findings", [self._findings], unit="{finding}", description="What the last look found")
        gauge("spanledger.monitor.verdict", [self._verdict], description="1 for the verdict of the last look")
        gauge("spanledger.log.size", [self._log_size], unit="{entry}", description="Entries in the log")
        gauge("spanledger.rows.unsealed", [self._unsealed], unit="{row}", description="Rows that no segment covers")
        gauge("spanledger.checkpoint.age", [self._checkpoint_age], unit="s", description="Age of the newest checkpoint")
        gauge("spanledger.anchor.age", [self._anchor_age], unit="s", description="Age of an anchor's newest receipt")

    def _findings(self, _: CallbackOptions) -> Iterable[Observation]:
        if self.newest is None:
            return
        for check, result in self.newest.verdict.checks.items():
            for kind in KINDS:
                yield Observation(result.counts.get(kind, 0), {"check": check, "kind": kind})

    def _verdict(self, _: CallbackOptions) -> Iterable[Observation]:
        if self.newest is not None:
            for word in EXIT_STATUS:
                yield Observation(int(word == self.newest.verdict.word), {"verdict": word})

    def _log_size(self, _: CallbackOptions) -> Iterable[Observation]:
        if self.newest is not None:
            yield Observation(self.newest.measures.log_size)

    def _unsealed(self, _: CallbackOptions) -> Iterable[Observation]:
        if self.newest is not None:
            yield Observation(self.newest.measures.unsealed_rows)

    def _checkpoint_age(self, _: CallbackOptions) -> Iterable[Observation]:
        if self.newest is not None and self.newest.measures.checkpoint_age_s is not None:
            yield Observation(self.newest.measures.checkpoint_age_s)

    def _anchor_age(self, _: CallbackOptions) -> Iterable[Observation]:
        if self.newest is not None:
            for (kind, target), age_s in self.newest.measures.anchor_age_s.items():
                yield Observation(age_s, {"kind": kind, "target": target})


def metrics_provider(environ: Mapping[str, str]) -> SdkMeterProvider | None:
    """Return a provider that exports by OTLP, if OpenTelemetry's variables ask for it."""
    endpoints = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    is_off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_METRICS_EXPORTER") == "none"
    if is_off or not any(environ.get(name) for name in endpoints):
        return None
    return SdkMeterProvider([PeriodicExportingMetricReader(_exporter(environ))])


def _exporter(environ: Mapping[str, str]) -> MetricExporter:
    names = ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next((environ[name] for name in names if environ.get(name)), "grpc")
    if protocol.startswith("http"):
        from opentelemetry.exporter.otlp.proto.http import metric_exporter as http  # noqa: PLC0415 - one of two

        return http.OTLPMetricExporter()
    from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc  # noqa: PLC0415 - one of two

    return grpc.OTLPMetricExporter()
