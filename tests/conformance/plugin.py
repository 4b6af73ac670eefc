"""The pytest plugin that turns official tests on our instrumentor, and selects those that see only its output."""

from __future__ import annotations

import json
import os
import types
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

REACH_INTO_THE_PACKAGE = frozenset(
    {
        # These replace parts of the official stream wrapper (`stream.stream`, `stream.__wrapped__`); our callers get
        # the SDK's own stream, which has no such parts. The same behaviour is tested in tests/instrumentation.
        "test_chat_completion_streaming_user_exception_wins_over_close_exception",
        "test_chat_completion_streaming_close_exception_propagates_when_first",
        "test_responses_streaming_stream_error_after_compaction_records_compaction",
        "test_async_responses_streaming_stream_error_after_compaction_records_compaction",
        "test_responses_create_stream_propagation_error",
        "test_async_responses_create_stream_propagation_error",
        "test_sync_messages_raw_response_stream_propagation_error",
        "test_async_messages_raw_response_stream_propagation_error",
        "test_sync_beta_messages_stream_interrupted_mid_iteration",
        "test_async_beta_messages_stream_interrupted_mid_iteration",
        "test_sync_beta_messages_create_streaming_interrupted_mid_iteration",
        "test_async_beta_messages_create_streaming_interrupted_mid_iteration",
        # These put a function of their own in the place of the SDK's `create` or `parse`, or look for the official
        # wrapper there. Ours is further down, on `request`: see instrumentation/adr/0002.
        "test_messages_parse_is_instrumented",
        "test_async_messages_parse_is_instrumented",
        "test_beta_messages_create_is_instrumented",
        "test_async_beta_messages_create_is_instrumented",
        "test_beta_messages_parse_is_instrumented",
        "test_async_beta_messages_parse_is_instrumented",
        "test_beta_messages_instrument_uninstrument",
        "test_completion_hook_invoked",
        # These look at the official package's own handler and at the versions of the SDK that it supports.
        "test_completion_hook_forwarded_to_handler",
        "test_completion_hook_defaults_to_load_completion_hook",
        "test_instrumentation_dependencies",
    }
)
_LIBRARY = os.environ.get("CONFORMANCE_LIBRARY", "openai")
_INSTRUMENTOR = {"openai": "OpenAIInstrumentor", "anthropic": "AnthropicInstrumentor"}[_LIBRARY]
_INSIDE = f"opentelemetry.instrumentation.genai.{_LIBRARY}."
_results: dict[str, str] = {}

_ours = getattr(import_module(f"spanledger.{_LIBRARY}"), _INSTRUMENTOR)
setattr(import_module(_INSIDE.removesuffix(".")), _INSTRUMENTOR, _ours)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers that the tests use."""
    config.addinivalue_line("markers", "vcr: plays the cassette of the test's own name")
    config.addinivalue_line("markers", "cassette(name): plays the named cassette")
    config.addinivalue_line("markers", "asyncio: runs in an event loop")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the black-box tests."""
    kept = [item for item in items if _is_black_box(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _is_black_box(item: pytest.Item) -> bool:
    function: Any = getattr(item, "function", None)
    if not isinstance(function, types.FunctionType):
        return False
    used = _names_in(function.__code__)
    reached = {name for name in used if _comes_from_inside(function.__globals__.get(name))}
    fixtures: Sequence[str] = getattr(item, "fixturenames", ())
    is_instrumented = (
        any(name.startswith("instrument_") for name in fixtures)
        or _INSTRUMENTOR in used
        or "[instrument_" in item.name  # the fixture is chosen by a parameter
    )
    # Some tests look inside only in their streaming half, which this parameter switches off.
    is_outside = not reached or _parameters(item).get("streaming") is False
    return is_instrumented and is_outside and item.name.partition("[")[0] not in REACH_INTO_THE_PACKAGE


def _parameters(item: pytest.Item) -> dict[str, Any]:
    specification: Any = getattr(item, "callspec", None)
    return dict(getattr(specification, "params", {}))


def _comes_from_inside(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).startswith(_INSIDE)


def _names_in(code: types.CodeType) -> set[str]:
    nested = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*(_names_in(inner) for inner in nested))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what happened to a test."""
    name = report.nodeid.rpartition("/")[2]
    if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
        _results[name] = report.outcome
    elif report.outcome == "failed":
        _results[name] = "failed"


def pytest_sessionfinish() -> None:
    """Write what happened to each test for `run.py`."""
    target = os.environ.get("CONFORMANCE_RESULTS")
    if target:
        Path(target).write_text(json.dumps(_results, indent=1, sort_keys=True), encoding="utf-8")
