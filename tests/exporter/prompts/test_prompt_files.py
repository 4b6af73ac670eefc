"""Prompt files: front matter and template."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanledger_exporter.prompts.prompt_file import (
    PromptFileError,
    find_prompt_files,
    parse_prompt,
    read_prompt_file,
    version_key,
)

TRIAGE = """---
name: triage
version: 1.2.0
# who answers for it
owner: "team-risk"
purpose: sorts alerts
---
Sort this alert.

{alert}
"""


def test_front_matter_and_template_are_told_apart() -> None:
    """The template is everything after the second line of dashes."""
    prompt = parse_prompt(TRIAGE)
    assert (prompt.name, prompt.version, prompt.owner) == ("triage", "1.2.0", "team-risk")
    assert prompt.template == "Sort this alert.\n\n{alert}"
    assert prompt.other == {"purpose": "sorts alerts"}


def test_dashes_inside_the_template_belong_to_it() -> None:
    """Only the first two lines of dashes are front matter."""
    assert parse_prompt("---\nname: a\nversion: 1.0.0\n---\nOne\n---\nTwo").template == "One\n---\nTwo"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Sort this alert.", "expected front matter"),
        ("---\nname: a\nversion: 1.0.0\n", "expected front matter"),
        ("---\nversion: 1.0.0\n---\nx", "name"),
        ("---\nname: a\n---\nx", "semantic version"),
        ("---\nname: a\nversion: v1\n---\nx", "semantic version"),
        ("---\nname: a\nversion: 1.0.0\n---\n\n", "expected a template"),
        ("---\nname a\n---\nx", "key: value"),
    ],
)
def test_a_wrong_file_is_refused_with_what_to_do(text: str, says: str) -> None:
    """Each message says what was expected."""
    with pytest.raises(PromptFileError, match=says):
        parse_prompt(text)


def test_the_error_names_the_file(tmp_path: Path) -> None:
    """Among a hundred files somebody has to find it."""
    path = tmp_path / "bad.md"
    path.write_bytes(b"\xff")
    with pytest.raises(PromptFileError, match=r"bad\.md"):
        read_prompt_file(path)


def test_only_prompt_files_are_found_hidden_ones_left_alone(tmp_path: Path) -> None:
    """A folder of prompts may live in a repository."""
    for name in ("b.md", "a.txt", "notes.pdf", ".git/x.md", "sub/c.j2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert [path.name for path in find_prompt_files(tmp_path)] == ["a.txt", "b.md", "c.j2"]


def test_versions_sort_as_semver_says() -> None:
    """The order of semver.org section 11."""
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.2.0", "1.10.0", "2.0.0"]
    shuffled = [*ordered[4:], *ordered[:4]]
    assert sorted(shuffled, key=version_key) == ordered
