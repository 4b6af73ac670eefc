"""The variables that say where content goes, and how a wrong value is answered."""

import pytest

from spanledger.invocation import Telemetry, faults
from spanledger.invocation.settings import CAPTURE_MESSAGE_CONTENT, EMIT_EVENT, CaptureSettings, read_settings
from spanledger.invocation.telemetry import COMPLETION_HOOK


@pytest.mark.parametrize(
    ("value", "on_span", "on_event"),
    [
        ("", False, False),
        ("NO_CONTENT", False, False),
        ("span_only", True, False),
        ("SPAN_ONLY", True, False),
        ("true", True, False),
        ("EVENT_ONLY", False, True),
        ("SPAN_AND_EVENT", True, True),
        ("false", False, False),
    ],
)
def test_content_goes_where_the_variable_says(value: str, *, on_span: bool, on_event: bool) -> None:
    """Events are emitted where they carry content."""
    settings = read_settings({CAPTURE_MESSAGE_CONTENT: value})
    assert settings == CaptureSettings(content_on_span=on_span, content_on_event=on_event, emit_event=on_event)


def test_events_can_be_wanted_without_content() -> None:
    """The two variables are independent."""
    assert read_settings({EMIT_EVENT: "true"}) == CaptureSettings(emit_event=True)


def test_a_wrong_value_is_one_clear_line_and_the_default(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It names variable, value and what would be accepted; it stops nothing."""
    monkeypatch.setattr(faults, "_reported", set())
    assert read_settings({CAPTURE_MESSAGE_CONTENT: "yes please"}) == CaptureSettings()
    assert read_settings({CAPTURE_MESSAGE_CONTENT: "yes please"}) == CaptureSettings()
    (record,) = caplog.records
    assert CAPTURE_MESSAGE_CONTENT in record.message
    assert "'yes please'" in record.message
    assert "span_only" in record.message


def test_a_hook_that_is_not_installed_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever redacts with it must know that nothing is redacted."""
    monkeypatch.setattr(faults, "_reported", set())
    monkeypatch.setenv(COMPLETION_HOOK, "redact-names")
    assert not Telemetry("test").has_hook
    (record,) = caplog.records
    assert COMPLETION_HOOK in record.message
    assert "'redact-names'" in record.message
