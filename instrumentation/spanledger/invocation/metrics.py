"""Client metrics of GenAI calls, under the newest conventions' names, on a path of their own.

- Token counters are asynchronous instruments: a call adds to plain integers here, the reader collects them.
  The exported data is the same monotonic sum, at a fraction of the cost of one SDK record per counter and call.
- Streams record once, at their end: the time to the first chunk and the mean time between chunks, not one per chunk.
- `released` names are those that opentelemetry-util-genai 1.3b0 emits; `both` is for the time of migration.

Durations are in seconds, buckets as the conventions ask for them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from spanledger.invocation.settings import MetricNames
from spanledger_semconv import attributes as names
from spanledger_semconv import metrics as semconv
from spanledger_semconv.invocation import InvocationRequest, InvocationResult, Usage

INFERENCE_OPERATIONS = frozenset({"chat", "text_completion", "generate_content"})

Attributes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one call: all of it, and the mean between the chunks of its stream."""

    duration_s: float
    chunk_interval_s: float | None = None


_METRIC_KEYS_OF_RESULT = (names.OPENAI_RESPONSE_SERVICE_TIER, names.OPENAI_RESPONSE_SYSTEM_FINGERPRINT)
_METRIC_KEYS_OF_REQUEST = (names.SERVER_ADDRESS, names.SERVER_PORT)


class CallMetrics:
    """Records one finished call under the names that the settings choose."""

    def __init__(self, meter: Meter, metric_names: MetricNames) -> None:
        self._recorders: list[_Latest | _Released] = []
        if metric_names != "released":
            self._recorders.append(_Latest(meter))
        if metric_names != "latest":
            self._recorders.append(_Released(meter))

    def record(self, request: InvocationRequest, result: InvocationResult, timing: Timing, context: Context) -> None:
        """Record duration, time to first chunk and token counts of one call."""
        attributes = _metric_attributes(request, result)
        for recorder in self._recorders:
            recorder.record(request, result, timing, attributes, context)


class _Latest:
    """The names of the newest conventions."""

    def __init__(self, meter: Meter) -> None:
        self._inference = _histogram(meter, semconv.INFERENCE_DURATION)
        self._operation = _histogram(meter, semconv.OPERATION_DURATION)
        self._first_chunk = _histogram(meter, semconv.INFERENCE_TIME_TO_FIRST_CHUNK)
        self._chunk_interval = _histogram(meter, semconv.INFERENCE_TIME_PER_OUTPUT_CHUNK)
        self._input = _histogram(meter, semconv.INFERENCE_INPUT_TOKENS)
        self._output = _histogram(meter, semconv.INFERENCE_OUTPUT_TOKENS)
        self._input_total = _Total(meter, semconv.USAGE_INPUT_TOKENS)
        self._output_total = _Total(meter, semconv.USAGE_OUTPUT_TOKENS)
        self._cache_read_total = _Total(meter, semconv.USAGE_CACHE_READ_INPUT_TOKENS)
        self._cache_write_total = _Total(meter, semconv.USAGE_CACHE_WRITE_INPUT_TOKENS)
        self._reasoning_total = _Total(meter, semconv.USAGE_REASONING_OUTPUT_TOKENS)

    def record(
        self,
        request: InvocationRequest,
        result: InvocationResult,
        timing: Timing,
        attributes: Attributes,
        context: Context,
    ) -> None:
        if request.operation not in INFERENCE_OPERATIONS:
            self._operation.record(timing.duration_s, attributes, context)
            return
        self._inference.record(timing.duration_s, attributes, context)
        if result.time_to_first_chunk_s is not None:
            self._first_chunk.record(result.time_to_first_chunk_s, attributes, context)
        if timing.chunk_interval_s is not None:
            self._chunk_interval.record(timing.chunk_interval_s, attributes, context)
        usage = result.usage or _NO_USAGE
        if usage.input_tokens is not None:
            self._input.record(usage.input_tokens, attributes, context)
        if usage.output_tokens is not None:
            self._output.record(usage.output_tokens, attributes, context)
        self._add(usage, attributes)

    def _add(self, usage: Usage, attributes: Attributes) -> None:
        """Add to the counters; a call without usage adds 0 under modality `unknown`, as the conventions ask."""
        key = frozenset(attributes.items())
        self._input_total.add(key, usage.input_tokens or 0)
        self._output_total.add(key, usage.output_tokens or 0)
        for total, count in (
            (self._cache_read_total, usage.cache_read),
            (self._cache_write_total, usage.cache_write),
            (self._reasoning_total, usage.reasoning),
        ):
            if count:
                total.add(key, count)


class _Released:
    """The names of opentelemetry-util-genai 1.3b0, for dashboards that were built on them."""

    def __init__(self, meter: Meter) -> None:
        self._duration = _histogram(meter, semconv.OPERATION_DURATION)
        self._usage = _histogram(meter, semconv.LEGACY_TOKEN_USAGE)
        self._first_chunk = _histogram(meter, semconv.LEGACY_TIME_TO_FIRST_CHUNK)
        self._chunk_interval = _histogram(meter, semconv.LEGACY_TIME_PER_OUTPUT_CHUNK)

    def record(
        self,
        _request: InvocationRequest,
        result: InvocationResult,
        timing: Timing,
        attributes: Attributes,
        context: Context,
    ) -> None:
        self._duration.record(timing.duration_s, attributes, context)
        if result.time_to_first_chunk_s is not None:
            self._first_chunk.record(result.time_to_first_chunk_s, attributes, context)
        if timing.chunk_interval_s is not None:
            self._chunk_interval.record(timing.chunk_interval_s, attributes, context)
        usage = result.usage or _NO_USAGE
        for token_type, count in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            if count is not None:
                self._usage.record(count, {**attributes, names.GEN_AI_TOKEN_TYPE: token_type}, context)


class _Total:
    """One monotonic sum, kept here and collected by the SDK when a reader asks."""

    def __init__(self, meter: Meter, metric: semconv.Metric) -> None:
        self._sums: dict[frozenset[tuple[str, Any]], int] = {}
        self._lock = threading.Lock()  # held for one addition; guards _sums
        meter.create_observable_counter(metric.name, [self._observe], unit=metric.unit, description=metric.description)

    def add(self, key: frozenset[tuple[str, Any]], count: int) -> None:
        with self._lock:
            self._sums[key] = self._sums.get(key, 0) + count

    def _observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        with self._lock:
            sums = list(self._sums.items())
        return [Observation(count, {**dict(key), names.GEN_AI_TOKEN_MODALITY: "unknown"}) for key, count in sums]


_NO_USAGE = Usage(source="unknown")


def _metric_attributes(request: InvocationRequest, result: InvocationResult) -> Attributes:
    """Give the low-cardinality attributes of one call's metrics."""
    attributes: Attributes = {names.GEN_AI_OPERATION_NAME: request.operation}
    if request.provider is not None:
        attributes[names.GEN_AI_PROVIDER_NAME] = request.provider
    if request.model is not None:
        attributes[names.GEN_AI_REQUEST_MODEL] = request.model
    if result.model is not None:
        attributes[names.GEN_AI_RESPONSE_MODEL] = result.model
    if result.error_type is not None:
        attributes[names.ERROR_TYPE] = result.error_type
    _copy(request.attributes, _METRIC_KEYS_OF_REQUEST, attributes)
    _copy(result.attributes, _METRIC_KEYS_OF_RESULT, attributes)
    return attributes


def _copy(source: Mapping[str, Any], keys: Iterable[str], target: Attributes) -> None:
    for key in keys:
        value = source.get(key)
        if value is not None:
            target[key] = value


def _histogram(meter: Meter, metric: semconv.Metric) -> Histogram:
    return meter.create_histogram(
        metric.name,
        unit=metric.unit,
        description=metric.description,
        explicit_bucket_boundaries_advisory=metric.buckets,
    )
