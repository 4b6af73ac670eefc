"""A finaliser may run in the middle of anything; it must not wait for a lock that its own thread holds."""

import sys
import types
from collections.abc import Callable, Iterator

import pytest

from spanledger.invocation import abandoned


@pytest.fixture
def ended() -> Iterator[list[str]]:
    """Collect ends, and leave none behind."""
    yield []
    abandoned.end_waiting()


def finaliser(ended: list[str]) -> None:
    """Stand for a `__del__`."""
    abandoned.end_from_finaliser(lambda: ended.append("ended"))


def inside(module: str, function: Callable[[], None]) -> None:
    """Run `function` below a frame of `module`, as a collection in the middle of that module would."""
    code = types.ModuleType(module)
    vars(code)["run"] = function
    exec(compile("def middle(): run()", module, "exec"), vars(code))  # noqa: S102  # a frame of that module
    vars(code)["middle"]()


def test_an_end_in_application_code_happens_at_once(ended: list[str]) -> None:
    """As the application expects after `del stream`."""
    finaliser(ended)
    assert ended == ["ended"]


@pytest.mark.parametrize("module", ["opentelemetry.sdk.metrics", "spanledger_exporter.spool.chain", "logging"])
def test_an_end_in_the_middle_of_telemetry_waits_until_it_has_returned(ended: list[str], module: str) -> None:
    """That thread may hold the very lock that ending a span needs."""
    inside(module, lambda: finaliser(ended))
    assert ended == []
    abandoned.end_waiting()
    assert ended == ["ended"]


def test_nothing_ends_while_the_interpreter_goes_down(ended: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its modules are half gone by then."""
    monkeypatch.setattr(sys, "is_finalizing", lambda: True)
    finaliser(ended)
    assert ended == []


def test_an_end_that_fails_does_not_stop_the_others(ended: list[str]) -> None:
    """It is logged, and the next one runs."""
    inside("logging", lambda: abandoned.end_from_finaliser(lambda: ended.append(str(1 / 0))))
    inside("logging", lambda: finaliser(ended))
    abandoned.end_waiting()
    assert ended == ["ended"]
