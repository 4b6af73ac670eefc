"""The demo, run as a newcomer runs it: what it prints is what really happened."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
TRANSCRIPT = EXAMPLES / "transcripts" / "alert_triage.json"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Run the story once and return what it printed."""
    ledger = tmp_path_factory.mktemp("story")
    command = [sys.executable, str(EXAMPLES / "story.py"), "--keep", str(ledger)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


def step(story: str, number: int) -> str:
    """Return what one step printed."""
    parts = re.split(r"^(?=\d\. )", story, flags=re.MULTILINE)
    (found,) = [part for part in parts if part.startswith(f"{number}. ")]
    return found


def test_a_kept_ledger_lies_where_it_was_asked_for_and_is_never_told_over(tmp_path: Path) -> None:
    """A second story in it would end at its fifth step: the first one ends with a forged row."""
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "spool").touch()
    command = [sys.executable, str(EXAMPLES), "--keep", "ledger"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "expected an empty or a new directory after --keep, got ledger: one with something in it\n"
    )


def test_the_application_knows_nothing_of_spanledger() -> None:
    """Zero code: not one import."""
    tree = ast.parse((EXAMPLES / "triage_app.py").read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not any(name.startswith("spanledger") for name in imported)


def test_the_application_does_its_work(story: str) -> None:
    """Tool calls, a streamed verdict, a second opinion, and an error that it handles."""
    said = step(story, 1)
    assert "looked up login_history(d.okafor, 48)" in said
    assert "analyst:  Verdict: malicious" in said
    assert "reviewer: AGREE." in said
    assert "reviewer: no second opinion (HTTP 529)" in said


def test_the_timeline_has_model_tokens_cost_and_content(story: str) -> None:
    """One case, three calls, in order; the other case is not in it."""
    timeline = step(story, 3)
    assert "3 model calls" in timeline
    assert "gpt-5-mini-2025-08-07 · 371 tokens in, 118 out · $" in timeline
    assert "claude-sonnet-5 · 1,366 tokens in, 148 out · $" in timeline
    for content in ("You are a security analyst on duty.", "login_history", "Verdict: malicious", "AGREE."):
        assert content in timeline
    assert "A-7732" not in timeline


def test_the_sql_answer_agrees_with_the_transcript(story: str) -> None:
    """Calls, failures and tokens are what the provider said, counted here from its transcript."""
    rows = [line.split() for line in step(story, 4).splitlines()]
    answers = {row[0]: row[1:5] for row in rows if row and row[0] in {"gpt-5-mini-2025-08-07", "claude-sonnet-5"}}
    replies = [exchange["reply"] for exchange in json.loads(TRANSCRIPT.read_text())["exchanges"]]
    usages = [reply["body"]["usage"] for reply in replies if reply.get("status", 200) == 200]
    chats = [usage for usage in usages if "prompt_tokens" in usage]
    expected = [len(chats), 0, sum(u["prompt_tokens"] for u in chats), sum(u["completion_tokens"] for u in chats)]
    assert answers["gpt-5-mini-2025-08-07"] == [str(number) for number in expected]
    (message,) = [usage for usage in usages if "cache_read_input_tokens" in usage]
    input_tokens = message["input_tokens"] + message["cache_read_input_tokens"] + message["cache_creation_input_tokens"]
    assert answers["claude-sonnet-5"] == ["2", "1", str(input_tokens), str(message["output_tokens"])]


def test_the_verdict_is_verified_and_then_names_the_forged_row(story: str) -> None:
    """The forger's own report and the verdict agree on chain and row."""
    assert "\nVERIFIED:" in step(story, 5)
    changed = re.search(r"^changed: (chain [0-9a-f]{32} row \d+)$", step(story, 6), re.MULTILINE)
    assert changed
    verdict = step(story, 7)
    assert "\nTAMPERED:" in verdict
    assert f"{changed[1]}:" in verdict
    assert "(exit status 1)" in verdict


def test_live_without_a_key_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clear line, before anything runs."""
    for key in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    command = [sys.executable, str(EXAMPLES / "story.py"), "--live"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert "expected OPENAI_API_KEY or ANTHROPIC_API_KEY to be set for --live" in result.stderr
