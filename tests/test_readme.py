"""Every command and every snippet in a README is run, in the order of its page, in a directory of its own.

- A block marked `console` holds lines that begin with `$ `: each is run by a shell and must end with status 0, or with
  the status that a comment at its end names (`# exit status 1`). The other lines are what it prints, for the reader.
- A block marked `python` is run by this Python; `python -c` and `python file` see the same installed packages.
- Blocks under any other mark (`sh`, `text`, `sql`, …) are not run: they need a server, or are no commands.

The SDKs are led to the local provider, and `app.py` is the demo's application.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from local_provider import LocalProvider

ROOT = Path(__file__).resolve().parent.parent
READMES = [
    "README.md",
    "semconv/README.md",
    "instrumentation/README.md",
    "instrumentation/API.md",
    "exporter/README.md",
]
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
STATUS = re.compile(r"#\s*exit status (\d+)\s*$")
TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to run, and where it stands."""

    kind: str
    text: str
    line: int
    status: int = 0


def steps(markdown: str) -> Iterator[Step]:
    """Yield what a page tells its reader to run."""
    for block in FENCE.finditer(markdown):
        kind, body = block[1], block[2]
        line = markdown.count("\n", 0, block.start()) + 2
        if kind == "python":
            yield Step(kind, body, line)
        elif kind == "console":
            yield from _commands(body, line)


def _commands(body: str, first_line: int) -> Iterator[Step]:
    """Yield the commands of a console block; a backslash at the end continues one."""
    lines = iter(enumerate(body.splitlines(), first_line))
    for number, line in lines:
        if not line.startswith("$ "):
            continue
        command = line.removeprefix("$ ")
        while command.endswith("\\"):
            command = command[:-1] + next(lines)[1].removeprefix("> ")
        status = STATUS.search(command)
        yield Step("console", command, number, int(status[1]) if status else 0)


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    """Give a directory with the demo's application in it."""
    shutil.copy(ROOT / "examples" / "triage_app.py", tmp_path / "app.py")
    return tmp_path


@pytest.fixture
def environment(sandbox: Path) -> Iterator[Mapping[str, str]]:
    """Give the variables of a reader who has installed everything and has a key."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPANLEDGER_", "OTEL_"))}
    with LocalProvider([ROOT / "examples" / "transcripts" / "alert_triage.json"]) as provider:
        yield {
            **kept,
            **provider.environment,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}",
            "HOME": str(sandbox),
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        }


@pytest.mark.parametrize("readme", [name for name in READMES if (ROOT / name).exists()])
def test_what_a_readme_tells_to_run_runs(readme: str, sandbox: Path, environment: Mapping[str, str]) -> None:
    """Each step ends with the status that the page promises."""
    for step in steps((ROOT / readme).read_text(encoding="utf-8")):
        command = [sys.executable, "-c", step.text] if step.kind == "python" else ["bash", "-c", step.text]
        result = subprocess.run(
            command, cwd=sandbox, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        place = f"{readme}, line {step.line}: {step.text}"
        assert result.returncode == step.status, f"{place}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}"


def test_the_steps_of_a_page_are_found() -> None:
    """The reader above is only as good as what it finds."""
    page = (
        "# Page\n\n```console\n$ echo one \\\n> two\none two\n$ false  # exit status 1\n```\n\n"
        "```python\nprint(1)\n```\n\n```sh\nrm -rf /\n```\n"
    )
    assert list(steps(page)) == [
        Step("console", "echo one two", 4),
        Step("console", "false  # exit status 1", 7, 1),
        Step("python", "print(1)\n", 11),
    ]


def test_the_main_page_has_something_to_run() -> None:
    """A page without a command shows nobody how to begin."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    if "```" not in page:
        pytest.skip("the README has no code block yet")
    assert [step for step in steps(page) if step.kind == "console"]
