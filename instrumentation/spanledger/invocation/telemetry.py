"""What one instrumentor writes to: tracer, metrics, events and the completion hook.

`Telemetry.is_suppressed` says whether a call is not ours to record: the instrumentor was switched off, instrumentation
is suppressed, or another GenAI instrumentation records the call (exactly one usage-bearing span per call).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from importlib.metadata import version as distribution_version
from os import environ
from typing import Any, Protocol

from opentelemetry._logs import Logger, LoggerProvider, LogRecord, SeverityNumber, get_logger
from opentelemetry.context import Context, get_current
from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.trace import Span, TracerProvider, get_tracer

from spanledger.invocation.coexistence import is_another_call, is_recorded_elsewhere, nested_markers
from spanledger.invocation.faults import report_once, warn_once
from spanledger.invocation.metrics import INFERENCE_OPERATIONS, CallMetrics
from spanledger.invocation.settings import CaptureSettings, read_settings
from spanledger.invocation.span_attributes import request_attributes
from spanledger_semconv import attributes as names
from spanledger_semconv.invocation import InvocationRequest

COMPLETION_HOOK = "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK"
_HOOK_GROUP = "opentelemetry_genai_completion_hook"
_SCHEMA_URL = "https://opentelemetry.io/schemas/1.38.0"
_DETAILS_EVENT = "gen_ai.client.inference.operation.details"


class CompletionHook(Protocol):
    """The hook of opentelemetry-util-genai: called after each call, sampled or not, with its content."""

    def on_completion(
        self,
        *,
        inputs: list[Any],
        outputs: list[Any],
        system_instruction: list[Any],
        span: Span | None = None,
        log_record: LogRecord | None = None,
        tool_definitions: list[Any] | None = None,
    ) -> None:
        """Take the content of one finished call."""


class Telemetry:
    """The providers and settings of one instrumentor while it is switched on."""

    def __init__(
        self,
        scope: str,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
        completion_hook: CompletionHook | None = None,
        settings: CaptureSettings | None = None,
        rivals_check: Callable[[], bool] = lambda: False,
    ) -> None:
        version = _version()
        self.active = True
        self._rivals_check: Callable[[], bool] | None = rivals_check
        self._steps_aside = False
        self.markers = nested_markers()
        self.settings = settings if settings is not None else read_settings()
        self.metrics = CallMetrics(get_meter(scope, version, meter_provider, _SCHEMA_URL), self.settings.metric_names)
        self.tracer = get_tracer(scope, version, tracer_provider, _SCHEMA_URL)
        self._logger: Logger = get_logger(scope, version, logger_provider, _SCHEMA_URL)
        self._hook = completion_hook if completion_hook is not None else _load_hook()
        self.has_hook = self._hook is not None
        self.wants_content = self.settings.content_on_event or self.has_hook
        self.has_listener = self.settings.emit_event or self.has_hook

    def is_suppressed(self, context: Context | None = None, inside: tuple[str, ...] | None = None) -> bool:
        """Whether a call that starts now, in `context` or the current one, is not ours to record.

        With `inside` (the modules of its library), a call that only happens to start inside of one of ours is.
        """
        if not self.active:
            return True
        if context is None:
            context = get_current()
        if is_recorded_elsewhere(context) and (inside is None or not is_another_call(context, inside)):
            return True
        check, self._rivals_check = self._rivals_check, None
        if check is not None:  # at the first call, when every instrumentation has been switched on
            self._steps_aside = check()
            self.markers = nested_markers()
        return self._steps_aside

    def completed(
        self,
        request: InvocationRequest,
        span: Span,
        context: Context,
        *,
        attributes: Mapping[str, Any],
        content: Mapping[str, Any],
    ) -> LogRecord | None:
        """Build the details event, where wanted, and let the completion hook see the content before it is recorded."""
        event = None
        if self.settings.emit_event and request.operation in INFERENCE_OPERATIONS:
            event_content = content if self.settings.content_on_event else {}
            event = LogRecord(
                event_name=_DETAILS_EVENT,
                severity_number=SeverityNumber.DEBUG,
                attributes={**request_attributes(request), **attributes, **event_content},
                context=context,
            )
        if self._hook is not None:
            self._call_hook(span, content, event)
        return event

    def emit(self, event: LogRecord) -> None:
        """Send an event that `completed` built."""
        self._logger.emit(event)

    def _call_hook(self, span: Span, content: Mapping[str, Any], event: LogRecord | None) -> None:
        assert self._hook is not None  # noqa: S101  # the only caller has just looked
        try:
            self._hook.on_completion(
                inputs=list(content.get(names.GEN_AI_INPUT_MESSAGES, ())),
                outputs=list(content.get(names.GEN_AI_OUTPUT_MESSAGES, ())),
                system_instruction=list(content.get(names.GEN_AI_SYSTEM_INSTRUCTIONS, ())),
                tool_definitions=list(content.get(names.GEN_AI_TOOL_DEFINITIONS, ())) or None,
                span=span,
                log_record=event,
            )
        except Exception as error:
            report_once("run the completion hook", error)


def _version() -> str:
    try:
        return distribution_version("spanledger")
    except Exception:  # a source tree on the path without an installed distribution
        return "0"


def _load_hook() -> CompletionHook | None:
    """Give the hook that the environment names, from the entry points that opentelemetry-util-genai uses."""
    name = environ.get(COMPLETION_HOOK, "").strip()
    if not name:
        return None
    for entry_point in entry_points(group=_HOOK_GROUP, name=name):
        try:
            hook: CompletionHook = entry_point.load()()
        except Exception as error:
            report_once(f"load the completion hook {name!r}", error)
            return None
        return hook
    warn_once(
        f"expected {COMPLETION_HOOK} to name an entry point of the group {_HOOK_GROUP}, got {name!r}, which is not "
        "installed: what is emitted passes no hook"
    )
    return None
