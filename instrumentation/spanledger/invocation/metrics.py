"""Client metrics of GenAI calls, under the newest conventions' names, off the caller's path.

- A finished call only notes its figures here. The SDK's aggregation, some twenty microseconds per instrument, runs
  when a metric reader collects: our counters are asynchronous instruments, and their callback records what was noted.
  The exported data is the same. Once `MOST_NOTED` calls wait, each further call records the oldest two: no call pays
  for all of them at once, and without a reader the memory stays bounded.
- Streams count once, at their end: the time to the first chunk and the mean time between chunks, not one per chunk.
- `released` names are those that opentelemetry-util-genai 1.3b0 emits; `both` is for the time of migration.

Durations are in seconds, buckets as the conventions ask for them.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

from spanledger.invocation.faults import report_once
from spanledger.invocation.settings import MetricNames
from spanledger_semconv import attributes as names
from spanledger_semconv import metrics as semconv
from spanledger_semconv.invocation import InvocationRequest, InvocationResult, Usage

INFERENCE_OPERATIONS = frozenset({"chat", "text_completion", "generate_content"})
MOST_NOTED: Final = 2048
_RECORDED_PER_CALL: Final = 2  # more than one, so that the waiting ones become fewer

Attributes = dict[str, Any]

_METRIC_KEYS_OF_RESULT = (names.OPENAI_RESPONSE_SERVICE_TIER, names.OPENAI_RESPONSE_SYSTEM_FINGERPRINT)
_METRIC_KEYS_OF_REQUEST = (names.SERVER_ADDRESS, names.SERVER_PORT)
_NO_USAGE = Usage(source="unknown")


class Noted(NamedTuple):
    """The figures of one finished call; no content, so that nothing large waits for a reader."""

    operation: str
    provider: str | None
    request_model: str | None
    response_model: str | None
    error_type: str | None
    request_attributes: Mapping[str, Any]
    response_attributes: Mapping[str, Any]
    usage: Usage
    duration_s: float
    first_chunk_s: float | None
    chunk_interval_s: float | None
    span: SpanContext


class CallMetrics:
    """Notes finished calls, and records them under the names that the settings choose."""

    def __init__(self, meter: Meter, metric_names: MetricNames) -> None:
        self._noted: deque[Noted] = deque()  # append and popleft are atomic
        self._process = os.getpid()
        self._recorders: list[_Latest | _Released] = []
        if metric_names != "released":
            self._recorders.append(_Latest(meter, self.record_noted))
        if metric_names != "latest":
            self._recorders.append(_Released(meter))
            # An instrument that never has a value of its own: it is asked first when a reader collects.
            meter.create_observable_counter(
                semconv.USAGE_INPUT_TOKENS.name + ".noted", [lambda _: self._record_and_give_nothing()]
            )

    def note(
        self,
        request: InvocationRequest,
        result: InvocationResult,
        duration_s: float,
        chunk_interval_s: float | None,
        span: SpanContext,
        /,
    ) -> None:
        """Note one finished call. By position: naming the arguments would cost as much as the rest."""
        noted = self._noted
        noted.append(
            Noted(
                request.operation,
                request.provider,
                request.model,
                result.model,
                result.error_type,
                request.attributes,
                result.attributes,
                result.usage or _NO_USAGE,
                duration_s,
                result.time_to_first_chunk_s,
                chunk_interval_s,
                span,
            )
        )
        if len(noted) > MOST_NOTED:
            self.record_noted(_RECORDED_PER_CALL)

    def record_noted(self, most: int = sys.maxsize) -> None:
        """Hand what was noted to the SDK, the oldest first and no more than `most`."""
        if self._process != os.getpid():  # a forked child: what the parent noted is the parent's to record
            self._process = os.getpid()
            self._noted.clear()
        while self._noted and most > 0:
            most -= 1
            try:
                noted = self._noted.popleft()
            except IndexError:  # another reader was faster
                return
            self._record(noted)

    def _record(self, noted: Noted) -> None:
        context = set_span_in_context(NonRecordingSpan(noted.span), Context())  # for exemplars
        try:
            attributes = _metric_attributes(noted)
            for recorder in self._recorders:
                recorder.record(noted, attributes, context)
        except Exception as error:
            report_once("record metrics", error)

    def _record_and_give_nothing(self) -> Iterable[Observation]:
        self.record_noted()
        return ()


class _Latest:
    """The names of the newest conventions."""

    def __init__(self, meter: Meter, record_noted: Callable[[], None]) -> None:
        self._inference = _histogram(meter, semconv.INFERENCE_DURATION)
        self._operation = _histogram(meter, semconv.OPERATION_DURATION)
        self._first_chunk = _histogram(meter, semconv.INFERENCE_TIME_TO_FIRST_CHUNK)
        self._chunk_interval = _histogram(meter, semconv.INFERENCE_TIME_PER_OUTPUT_CHUNK)
        self._input = _histogram(meter, semconv.INFERENCE_INPUT_TOKENS)
        self._output = _histogram(meter, semconv.INFERENCE_OUTPUT_TOKENS)
        self._input_total = _Total(meter, semconv.USAGE_INPUT_TOKENS, record_noted)
        self._output_total = _Total(meter, semconv.USAGE_OUTPUT_TOKENS, record_noted)
        self._cache_read_total = _Total(meter, semconv.USAGE_CACHE_READ_INPUT_TOKENS, record_noted)
        self._cache_write_total = _Total(meter, semconv.USAGE_CACHE_WRITE_INPUT_TOKENS, record_noted)
        self._reasoning_total = _Total(meter, semconv.USAGE_REASONING_OUTPUT_TOKENS, record_noted)

    def record(self, noted: Noted, attributes: Attributes, context: Context) -> None:
        if noted.operation not in INFERENCE_OPERATIONS:
            self._operation.record(noted.duration_s, attributes, context)
            return
        usage = noted.usage
        for histogram, value in (
            (self._inference, noted.duration_s),
            (self._first_chunk, noted.first_chunk_s),
            (self._chunk_interval, noted.chunk_interval_s),
            (self._input, usage.input_tokens),
            (self._output, usage.output_tokens),
        ):
            if value is not None:
                histogram.record(value, attributes, context)
        self._add(usage, frozenset(attributes.items()))

    def _add(self, usage: Usage, key: frozenset[tuple[str, Any]]) -> None:
        """Add to the counters; a call without usage adds 0 under modality `unknown`, as the conventions ask."""
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

    def record(self, noted: Noted, attributes: Attributes, context: Context) -> None:
        for histogram, value in (
            (self._duration, noted.duration_s),
            (self._first_chunk, noted.first_chunk_s),
            (self._chunk_interval, noted.chunk_interval_s),
        ):
            if value is not None:
                histogram.record(value, attributes, context)
        for token_type, count in (("input", noted.usage.input_tokens), ("output", noted.usage.output_tokens)):
            if count is not None:
                self._usage.record(count, {**attributes, names.GEN_AI_TOKEN_TYPE: token_type}, context)


class _Total:
    """One monotonic sum, kept here and collected by the SDK when a reader asks."""

    def __init__(self, meter: Meter, metric: semconv.Metric, record_noted: Callable[[], None]) -> None:
        self._sums: dict[frozenset[tuple[str, Any]], int] = {}
        self._lock = threading.Lock()  # held for one addition; guards _sums
        self._record_noted = record_noted
        meter.create_observable_counter(metric.name, [self._observe], unit=metric.unit, description=metric.description)

    def add(self, key: frozenset[tuple[str, Any]], count: int) -> None:
        with self._lock:
            self._sums[key] = self._sums.get(key, 0) + count

    def _observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        self._record_noted()
        with self._lock:
            sums = list(self._sums.items())
        return [Observation(count, {**dict(key), names.GEN_AI_TOKEN_MODALITY: "unknown"}) for key, count in sums]


def _metric_attributes(noted: Noted) -> Attributes:
    """Give the low-cardinality attributes of one call's metrics."""
    attributes: Attributes = {names.GEN_AI_OPERATION_NAME: noted.operation}
    if noted.provider is not None:
        attributes[names.GEN_AI_PROVIDER_NAME] = noted.provider
    if noted.request_model is not None:
        attributes[names.GEN_AI_REQUEST_MODEL] = noted.request_model
    if noted.response_model is not None:
        attributes[names.GEN_AI_RESPONSE_MODEL] = noted.response_model
    if noted.error_type is not None:
        attributes[names.ERROR_TYPE] = noted.error_type
    _copy(noted.request_attributes, _METRIC_KEYS_OF_REQUEST, attributes)
    _copy(noted.response_attributes, _METRIC_KEYS_OF_RESULT, attributes)
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
