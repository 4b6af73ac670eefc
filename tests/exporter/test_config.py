"""Settings: what a wrong name does. Wrong values are tested where they are used."""

import logging
from pathlib import Path

import pytest

from spanledger_exporter import config
from spanledger_exporter.config import load_settings


@pytest.fixture(autouse=True)
def _nothing_warned_of_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "_warned", set[str]())


def test_a_misspelled_variable_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever wants `power` and writes the name wrong would run with less, and never hear of it."""
    environ = {"SPANLEDGER_DIR": str(tmp_path), "SPANLEDGER_DURABILTY": "power"}
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert load_settings(environ, working_directory=tmp_path).durability == "process"
    assert [record.getMessage() for record in caplog.records] == [
        (
            "spanledger: expected a setting that exists, got SPANLEDGER_DURABILTY in the environment, "
            "which does nothing; perhaps SPANLEDGER_DURABILITY is meant"
        )
    ]


def test_a_misspelled_key_of_the_file_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file's keys are the variables' names."""
    (tmp_path / "spanledger.toml").write_text('tennant = "acme"\nredact = []\n', encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        load_settings({}, working_directory=tmp_path)
    assert "perhaps SPANLEDGER_TENANT is meant" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "name",
    [
        "SPANLEDGER_SERVICE_HOST",
        "SPANLEDGER_PORT_8080_TCP",
        "SPANLEDGER_GENAI_METRICS",
        "SPANLEDGER_OPENAI_INCLUDE_USAGE",
    ],
)
def test_other_names_are_left_alone(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Kubernetes' variables for a service, and those that the instrumentation reads."""
    with caplog.at_level(logging.WARNING):
        load_settings({f"SPANLEDGER_{name}": "x"}, working_directory=tmp_path)
    assert not caplog.records
