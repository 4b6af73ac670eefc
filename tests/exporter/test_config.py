"""Settings: what a wrong name does. Wrong values are tested where they are used."""

import logging
from pathlib import Path

import pytest

from spanledger_exporter import config
from spanledger_exporter.config import is_closed, load_settings
from spanledger_exporter.errors import ConfigurationError


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
    assert "got tennant in spanledger.toml, which does nothing; perhaps tenant is meant" in caplog.text
    assert len(caplog.records) == 1


def test_an_unknown_key_of_the_file_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file is ours alone: a key that does nothing was meant to do something."""
    (tmp_path / "spanledger.toml").write_text('directory = "/audit"\n[limits]\nquota = 1\n', encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        load_settings({}, working_directory=tmp_path)
    assert sorted(record.getMessage().partition("got ")[2] for record in caplog.records) == [
        "directory in spanledger.toml, which does nothing",
        "limits in spanledger.toml, which does nothing",
    ]


def test_a_list_in_the_file_is_a_list(tmp_path: Path) -> None:
    """As in the environment, where its parts stand behind commas."""
    (tmp_path / "spanledger.toml").write_text('clear_attributes = ["app.one", "app.two"]\n', encoding="utf-8")
    assert load_settings({}, working_directory=tmp_path).clear_attributes == ("app.one", "app.two")


@pytest.mark.parametrize("line", ["dir = true", "tenant = 1.5", 'content = {level = "full"}', "dir = [[1]]"])
def test_a_value_of_the_file_that_is_no_text_is_refused(line: str, tmp_path: Path) -> None:
    """It is not taken for the text that Python would print for it."""
    (tmp_path / "spanledger.toml").write_text(line, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=f"expected {line.partition(' ')[0]} in spanledger.toml to be a text"):
        load_settings({}, working_directory=tmp_path)


def test_a_tilde_is_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no shell has expanded it: in a unit file, a compose file, `spanledger.toml`."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings = load_settings({"SPANLEDGER_DIR": "~/audit"}, working_directory=tmp_path)
    assert settings.directory == tmp_path / "home" / "audit"


def test_a_home_that_nobody_has_is_wrong_configuration(tmp_path: Path) -> None:
    """One clear line that names the variable and the value."""
    with pytest.raises(ConfigurationError, match="SPANLEDGER_DIR to name a directory, got '~nobody-at-all/x'"):
        load_settings({"SPANLEDGER_DIR": "~nobody-at-all/x"}, working_directory=tmp_path)


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


def test_a_working_directory_that_is_gone_needs_an_absolute_data_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service whose directory a deployment has replaced still records; a relative place would be nowhere."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load_settings({"SPANLEDGER_DIR": str(tmp_path)}).directory == tmp_path
    with pytest.raises(ConfigurationError, match=r"expected SPANLEDGER_DIR to name an absolute place"):
        load_settings({})
    assert is_closed({"SPANLEDGER_ON_FAILURE": "closed"})
