"""From the launcher to the spool: both real SDKs in a process of their own, and the rows that they leave.

Each program here is an application without a spanledger import, started as a user starts it; what it leaves is read
with the spool's own reader, without a database.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from local_provider import LocalProvider, Reply, anthropic_wire
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.spool.reader import chains

ASK_BOTH = """
import anthropic, openai
question = [{"role": "user", "content": "Is the alert real?"}]
openai.OpenAI().chat.completions.create(model="gpt-5-mini", messages=question)
anthropic.Anthropic().messages.create(model="claude-sonnet-5", max_tokens=9, messages=question)
"""
Envelope = Mapping[str, Any]


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    """Run the local provider."""
    with LocalProvider() as running:
        yield running


class Application:
    """Programs of one application, with one ledger."""

    def __init__(self, directory: Path, provider: LocalProvider) -> None:
        self.ledger = directory / "ledger"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SPANLEDGER_"))}
        self.environment = {
            **clean,
            **provider.environment,
            "SPANLEDGER_DIR": str(self.ledger),
            "OTEL_TRACES_EXPORTER": "spanledger",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            # The development environment has HTTP instrumentation for another test; here it is not wanted.
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "httpx,httpx2",
        }

    def start(self, program: str, **variables: str) -> subprocess.Popen[str]:
        """Start a program under the launcher."""
        launcher = Path(sys.executable).parent / "opentelemetry-instrument"
        return subprocess.Popen(
            [str(launcher), sys.executable, "-c", program],
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, program: str, **variables: str) -> str:
        """Run a program under the launcher and return what it prints."""
        process = self.start(program, **variables)
        said, complained = process.communicate(timeout=60)
        assert process.returncode == 0, complained
        return said

    def envelopes(self) -> list[list[Envelope]]:
        """Return the envelopes of each chain, the longest first."""
        found = [
            [json.loads(frame.record.env) for frame in chain.read() if isinstance(frame.record, Row)]
            for chain in chains(self.ledger / "spool")
        ]
        return sorted(found, key=len, reverse=True)

    def calls(self) -> list[Envelope]:
        """Return the envelopes of every model call, intents too."""
        return [row for rows in self.envelopes() for row in rows if row["event_type"] == "model_call"]


@pytest.fixture
def application(tmp_path: Path, provider: LocalProvider) -> Application:
    """Give an application with an empty ledger."""
    return Application(tmp_path, provider)


def summary(call: Envelope) -> tuple[str, str | None, int | None]:
    """Return who answered, how it ended and how many tokens came out."""
    return call["snapshot"]["provider"], call.get("outcome"), call.get("usage", {}).get("output_tokens")


INITIALIZE = "from opentelemetry.instrumentation.auto_instrumentation import initialize; initialize()"
COMPLETE = [("openai", None, None), ("openai", "success", 6), ("anthropic", None, None), ("anthropic", "success", 6)]


@pytest.mark.parametrize("sampler", ["always_on", "always_off"])
def test_each_call_is_an_intent_and_a_completion_whatever_the_sampling(application: Application, sampler: str) -> None:
    """Sampling is for tracing backends: it makes no holes in the audit."""
    application.run(ASK_BOTH, OTEL_TRACES_SAMPLER=sampler)
    calls = application.calls()
    assert [summary(call) for call in calls] == COMPLETE
    assert {call["capture"]["sampled"] for call in calls} == {sampler == "always_on"}


def test_a_python_that_ignores_its_environment_is_instrumented_by_its_first_line(application: Application) -> None:
    """The launcher works through PYTHONPATH, which `-I` does not look at."""
    for program in (ASK_BOTH, INITIALIZE + ASK_BOTH):
        application.run(
            f"import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', {program!r}], check=True)"
        )
    assert [summary(call) for call in application.calls()] == COMPLETE


def test_the_cost_follows_how_the_call_was_served(application: Application, provider: LocalProvider) -> None:
    """Half the price in a batch, more at high speed, and none where a part of the bill has no known price."""
    advised = {"type": "advisor_message", "model": "claude-opus-5", "input_tokens": 9, "output_tokens": 9}
    ways: list[dict[str, Any]] = [
        {"service_tier": "standard"},
        {"service_tier": "batch"},
        {"service_tier": "standard", "speed": "fast"},
        {"service_tier": "unheard-of"},
        {"service_tier": "standard", "iterations": [advised]},
    ]
    for way in ways:
        usage = {**anthropic_wire.message_usage(1000, 100), **way}
        provider.enqueue(Reply(body=anthropic_wire.message(model="claude-opus-5", usage=usage)))
    application.run(f"for _ in range({len(ways)}):\n{_indented(ASK_ANTHROPIC)}")
    costs = [call.get("cost", {}).get("usd") for call in application.calls() if "outcome" in call]
    standard, batch, fast = (float(usd) for usd in costs[:3])
    assert batch == pytest.approx(standard / 2)
    assert fast > standard
    assert costs[3:] == [None, None]


ASK_ANTHROPIC = """
import anthropic
question = [{"role": "user", "content": "Is the alert real?"}]
anthropic.Anthropic().messages.create(model="claude-sonnet-5", max_tokens=9, messages=question)
"""


def _indented(program: str) -> str:
    return "".join(f"    {line}\n" for line in program.strip().splitlines())


def test_what_was_sent_is_known_when_the_process_is_killed_during_the_call(
    application: Application, provider: LocalProvider
) -> None:
    """The intent is in the spool before the request arrives: no kill comes between."""
    provider.enqueue(Reply(hang=True))
    process = application.start(ASK_ANTHROPIC)
    provider.wait_for_requests(1, timeout_s=60)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    (intent,) = application.calls()
    assert summary(intent) == ("anthropic", None, None)
    assert [part["role"] for part in intent["input"]] == ["user"]


def test_a_forked_child_writes_a_chain_of_its_own_that_names_its_parent(application: Application) -> None:
    """Two processes never write to one chain."""
    application.run(
        f"{ASK_ANTHROPIC}\nimport os\nchild = os.fork()\nif child == 0:\n{_indented(ASK_ANTHROPIC)}"
        "    os._exit(0)\nos.waitpid(child, 0)\n"
    )
    parent, child = application.envelopes()
    assert [row["event_type"] for row in child] == ["chain.open", "model_call", "model_call"]
    assert parent[-1]["event_type"] == "chain.close"
    assert len([row for row in parent if row["event_type"] == "model_call"]) == 2


def test_a_case_named_in_baggage_is_on_every_row(application: Application) -> None:
    """Plain OpenTelemetry is enough to say what business a call belongs to."""
    application.run(
        "from opentelemetry import baggage, context\n"
        'context.attach(baggage.set_baggage("spanledger.case.id", "A-7731"))\n' + ASK_ANTHROPIC
    )
    assert [call["context"] for call in application.calls()] == [{"case_id": "A-7731"}] * 2


def test_a_wrong_setting_does_not_take_the_application_down(application: Application) -> None:
    """One clear line, and the application works."""
    process = application.start(f"{ASK_ANTHROPIC}\nprint('done')", SPANLEDGER_DURABILITY="diamond")
    said, complained = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "done\n")
    assert complained.count("expected SPANLEDGER_DURABILITY to be one of process, power, got 'diamond'") == 1


def test_an_unwritable_directory_does_not_take_the_application_down(application: Application, tmp_path: Path) -> None:
    """A file stands where the ledger should be: not even the superuser can write below it."""
    (tmp_path / "ledger").write_text("")
    process = application.start(f"{ASK_ANTHROPIC}\nprint('done')")
    said, complained = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "done\n")
    assert "spanledger" in complained


def test_a_call_that_cannot_be_recorded_is_refused_where_the_owner_says_so(
    application: Application, provider: LocalProvider, tmp_path: Path
) -> None:
    """With `closed`, nothing leaves the process without a row."""
    (tmp_path / "ledger").write_text("")
    process = application.start(ASK_ANTHROPIC, SPANLEDGER_ON_FAILURE="closed")
    _, complained = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "CallRefusedError" in complained
    assert provider.requests == ()
