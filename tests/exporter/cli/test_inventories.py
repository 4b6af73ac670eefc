"""Inventories on the command line: what is in use, and who answers for it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from command_line import Run
from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import ConfigurationError
from spanledger_exporter.read.inventory import ModelEntry, find_inventory, read_inventory, with_responsibility

YAML = """models:
  - model: gpt-*
    provider: openai
    owner: team-risk
    purpose: alert triage
    validation: report MV-12
  - model: never-used
    owner: team-x
"""


def test_models_in_use_are_listed_with_calls_and_aliases(run: Run) -> None:
    """First and last use, calls and cost come from the ledger."""
    found = run("models", "--json").json()
    assert found
    assert all(model["calls"] > 0 and model["first_used"] <= model["last_used"] for model in found)
    assert all(isinstance(model["requested_as"], list) for model in found)


@pytest.mark.parametrize("command", ["tools", "policies", "retrievals"])
def test_each_inventory_lists_what_the_story_used(run: Run, command: str) -> None:
    """As a table and as JSON."""
    listed = run(command, "--json").json()
    assert listed
    assert all(line["first_used"] <= line["last_used"] for line in listed)
    assert run(command).status == 0


def test_looking_at_an_inventory_is_an_access_row(run: Run) -> None:
    """Who looked at what, and why."""
    run("models", "--reason", "yearly review")
    found = run("search", "--event-type", "access", "--json", "--limit", "5").json()
    assert any("yearly review" in json.dumps(event) for event in found)


def test_people_say_who_answers_for_a_model(run: Run, directory: Path) -> None:
    """The file is found in the working directory; an entry without use is shown, too."""
    (directory / "models.yaml").write_text(YAML, encoding="utf-8")
    try:
        found = {model["model"]: model for model in run("models", "--json").json()}
    finally:
        (directory / "models.yaml").unlink()
    assert found["never-used"]["inventory"] == "not used"
    assert {model["inventory"] for name, model in found.items() if name.startswith("gpt")} <= {"listed"}


def test_a_model_that_nobody_listed_fails_the_check(run: Run, tmp_path: Path) -> None:
    """For a scheduled job: status 1, and the names on stderr."""
    path = tmp_path / "models.json"
    path.write_text('{"models": [{"model": "something-else"}]}', encoding="utf-8")
    ran = run("models", "--inventory", str(path), "--check")
    assert ran.status == 1
    assert "not in" in ran.err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.yaml", YAML),
        ("m.toml", '[[models]]\nmodel = "gpt-*"\nprovider = "openai"\nowner = "team-risk"\n'),
        ("m.json", '{"models": [{"model": "gpt-*", "provider": "openai", "owner": "team-risk"}]}'),
    ],
)
def test_the_file_may_be_yaml_toml_or_json(tmp_path: Path, name: str, text: str) -> None:
    """The same entries."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    first = read_inventory(tmp_path / name)[0]
    assert (first.model, first.provider, first.facts["owner"]) == ("gpt-*", "openai", "team-risk")


@pytest.mark.parametrize(
    ("name", "text"), [("m.yaml", "models: 7"), ("m.yaml", "{["), ("m.json", "[]"), ("m.toml", "="), ("m.yaml", "\0")]
)
def test_a_wrong_file_is_one_clear_error(tmp_path: Path, name: str, text: str) -> None:
    """It names the file and what was expected."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="expected a list `models`"):
        read_inventory(tmp_path / name)


@pytest.mark.parametrize("entry", ["owner: me", "gpt-5", "{model: }"])
def test_an_entry_without_a_model_is_named(tmp_path: Path, entry: str) -> None:
    """By its number, in words and not as an exception of Python's."""
    (tmp_path / "m.yaml").write_text(f"models: [{{model: gpt-5}}, {entry}]", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"expected `model: NAME` in .*, entry 2"):
        read_inventory(tmp_path / "m.yaml")


def test_an_inventory_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """The file that was asked for."""
    with pytest.raises(ConfigurationError, match=r"expected to read .*gone\.yaml, got: No such file"):
        read_inventory(tmp_path / "gone.yaml")


def test_no_file_is_no_inventory(tmp_path: Path) -> None:
    """The listing then says nothing about owners."""
    assert find_inventory(tmp_path) is None
    assert with_responsibility([{"model": "m", "provider": "p"}], [])[0]["inventory"] == "not listed"


def test_an_entry_fits_by_alias_and_only_its_provider() -> None:
    """`gpt-5.2` was asked for, a dated version answered."""
    record = {"provider": "openai", "model": "m-2026-03-11", "requested_as": ["m"]}
    assert ModelEntry("M").fits(record)
    assert not ModelEntry("m", "azure").fits(record)


# Prompts.

TRIAGE = "---\nname: triage\nversion: {version}\nowner: team-risk\n---\nYou sort alerts for a bank.\nAlert: {{alert}}"


def test_prompt_files_are_registered_once_each_as_an_artifact(run: Run, tmp_path: Path) -> None:
    """The row holds name, version, owner and digest; its template is content."""
    (tmp_path / "triage.md").write_text(TRIAGE.format(version="7.0.0"), encoding="utf-8")
    assert "7.0.0: registered" in run("prompts", "register", str(tmp_path)).err
    assert "7.0.0: known" in run("prompts", "register", str(tmp_path)).err
    found = run("search", "--event-type", "artifact", "--json").json()
    assert sum("register prompt triage 7.0.0" in json.dumps(event) for event in found) == 1


def test_the_list_names_the_owner_who_has_a_prompt_now(run: Run, tmp_path: Path) -> None:
    """A second `artifact` row says when it was handed on."""
    for owner in ("team-risk", "team-fraud"):
        text = TRIAGE.format(version="7.5.0").replace("team-risk", owner)
        (tmp_path / "triage.md").write_text(text, encoding="utf-8")
        assert "7.5.0: registered" in run("prompts", "register", str(tmp_path)).err
    listed = [line for line in run("prompts", "list", "--json").json() if line["prompt_version"] == "7.5.0"]
    assert [line["owner"] for line in listed] == ["team-fraud"]


def test_a_registered_prompt_is_listed_before_anything_used_it(run: Run, tmp_path: Path) -> None:
    """With no calls yet."""
    (tmp_path / "triage.md").write_text(TRIAGE.format(version="8.0.0"), encoding="utf-8")
    run("prompts", "register", str(tmp_path))
    listed = {(line["prompt_name"], line["prompt_version"]): line for line in run("prompts", "list", "--json").json()}
    assert (listed["triage", "8.0.0"]["calls"], listed["triage", "8.0.0"]["owner"]) == (0, "team-risk")


def test_a_second_text_for_a_version_is_refused_and_nothing_is_registered(run: Run, tmp_path: Path) -> None:
    """Also the other files of that run are left out."""
    (tmp_path / "triage.md").write_text(TRIAGE.format(version="9.0.0"), encoding="utf-8")
    run("prompts", "register", str(tmp_path))
    (tmp_path / "triage.md").write_text(TRIAGE.format(version="9.0.0") + " Be brief.", encoding="utf-8")
    (tmp_path / "other.md").write_text(TRIAGE.format(version="9.1.0"), encoding="utf-8")
    ran = run("prompts", "register", str(tmp_path))
    assert ran.status == 64
    assert "give it a new version" in ran.err
    registry = load_settings().directory / "prompts.json"
    assert "9.1.0" not in registry.read_text(encoding="utf-8")


def test_every_wrong_file_is_named_at_once(run: Run, tmp_path: Path) -> None:
    """Those that do not parse, and those that would give a version a second text; the good one is left out too."""
    texts = {
        "good.md": TRIAGE.format(version="10.0.0"),
        "a.md": "no front matter",
        "b.txt": TRIAGE.format(version="one"),
        "c.md": TRIAGE.format(version="11.0.0"),
        "d.md": TRIAGE.format(version="11.0.0") + " Be brief.",
        "e.md": TRIAGE.format(version="11.0.0") + " Be long.",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    ran = run("prompts", "register", str(tmp_path))
    assert ran.status == 64
    named = {Path(line.partition(": expected")[0].split()[-1]).name for line in ran.err.splitlines() if ": exp" in line}
    assert named == {"a.md", "b.txt", "d.md", "e.md"}
    assert "4 of 6 prompt files are wrong: nothing was registered" in ran.err
    assert "10.0.0" not in run("prompts", "list").out


@pytest.mark.parametrize("text", [None, "no front matter"])
def test_a_folder_without_prompts_or_with_a_wrong_one_is_refused(run: Run, tmp_path: Path, text: str | None) -> None:
    """The message names what was expected."""
    if text is not None:
        (tmp_path / "bad.md").write_text(text, encoding="utf-8")
    ran = run("prompts", "register", str(tmp_path))
    assert ran.status == 64
    assert "expected" in ran.err


def test_prompts_that_nobody_registered_are_listed_with_where_they_are_called(run: Run) -> None:
    """So that somebody can register them."""
    ran = run("prompts", "list", "--unmatched", "--json")
    assert ran.status == 0
    assert all("prompt_hash" in line and line["calls"] > 0 for line in ran.json())


@pytest.mark.parametrize("command", ["models", "tools", "retrievals", "policies", "prompts"])
def test_help_ends_with_an_example(run: Run, command: str) -> None:
    """Every command shows how it is used."""
    assert f"spanledger {command}" in run(command, "--help").out.split("examples:")[1]


def test_a_folder_that_does_not_exist_is_one_clear_error(run: Run, tmp_path: Path) -> None:
    """Nothing is registered."""
    ran = run("prompts", "register", str(tmp_path / "nowhere"))
    assert (ran.status, "expected a directory" in ran.err) == (64, True)


def test_a_prompt_with_too_little_fixed_text_is_registered_with_a_warning(run: Run, tmp_path: Path) -> None:
    """Calls cannot be recognised by it."""
    (tmp_path / "short.md").write_text("---\nname: short\nversion: 1.0.0\n---\n{everything}", encoding="utf-8")
    assert "too little fixed text" in run("prompts", "register", str(tmp_path)).err


def test_yaml_without_pyyaml_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or which other format to use."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "m.yaml").write_text(YAML, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"spanledger\[yaml\]"):
        read_inventory(tmp_path / "m.yaml")
