"""Each way a process can live and die × what must be in the ledger afterwards.

Every program below knows OpenTelemetry and nothing of the ledger; `call` is what an instrumentor does. The parent reads
the spool when the program is gone: chains verify, and hold exactly the rows that the table says.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from spools import SpooledChain, read_spool, settings_for

PREAMBLE = """
import asyncio, os, signal, sys, threading, time
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from spanledger_exporter.otel.install import install

def call(text, body=lambda: None):
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.provider.name": "p"}
    with trace.get_tracer("app").start_as_current_span(text, attributes=attributes):
        body()

def set_up():
    provider = TracerProvider()
    install(provider)
    trace.set_tracer_provider(provider)

if __name__ == "__main__":
    set_up()
"""


@dataclass(frozen=True, slots=True)
class Situation:
    """A program, and what it must leave: calls begun, calls ended, chains, and how many of those were closed."""

    program: str
    begun: int
    ended: int
    chains: int = 1
    closed: int = 1
    status: int = 0


SITUATIONS = {
    "ends normally": Situation("call('a'); call('b')", begun=2, ended=2),
    "an exception ends the program": Situation(
        """
        def fail():
            raise RuntimeError("boom")
        call('a', fail)
        """,
        begun=1,
        ended=1,
        status=1,
    ),
    "os._exit in the middle of a call": Situation(
        "call('a'); call('b', lambda: os._exit(7))", begun=2, ended=1, closed=0, status=7
    ),
    "SIGTERM in the middle of a call": Situation(
        "call('a', lambda: os.kill(os.getpid(), signal.SIGTERM))", begun=1, ended=0, closed=0, status=-signal.SIGTERM
    ),
    "SIGKILL in the middle of a call": Situation(
        "call('a', lambda: os.kill(os.getpid(), signal.SIGKILL))", begun=1, ended=0, closed=0, status=-signal.SIGKILL
    ),
    "Ctrl-C in the middle of a call": Situation(
        """
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs the tests behind itself ignores it
        call('a', lambda: signal.raise_signal(signal.SIGINT))
        """,
        begun=1,
        ended=1,
        status=-signal.SIGINT,
    ),
    "threads": Situation(
        """
        threads = [threading.Thread(target=lambda: [call('a') for _ in range(5)]) for _ in range(4)]
        [thread.start() for thread in threads]
        """,
        begun=20,
        ended=20,
    ),
    "a daemon thread is inside a call when the interpreter ends": Situation(
        """
        inside = threading.Event()
        threading.Thread(target=call, args=('a', lambda: (inside.set(), time.sleep(600))), daemon=True).start()
        inside.wait()
        """,
        begun=1,
        ended=0,
    ),
    "a call ends after the provider was shut down": Situation(
        "call('a', lambda: trace.get_tracer_provider().shutdown())", begun=1, ended=1, chains=2, closed=1
    ),
    "a finaliser makes a call while the interpreter takes its modules apart": Situation(
        """
        class Client:
            tracer = trace.get_tracer("app")
            def __del__(self):
                with self.tracer.start_as_current_span("b", attributes={"gen_ai.operation.name": "chat"}):
                    pass
        call('a')
        kept = Client()
        """,
        begun=2,
        ended=2,
        chains=2,
        closed=1,
    ),
    "asyncio, one task cancelled": Situation(
        """
        async def acall(seconds):
            attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
            with trace.get_tracer("app").start_as_current_span("a", attributes=attributes):
                await asyncio.sleep(seconds)
        async def main():
            slow = asyncio.create_task(acall(600))
            await asyncio.gather(*(acall(0.001) for _ in range(10)))
            slow.cancel()
            await asyncio.gather(slow, return_exceptions=True)
        asyncio.run(main())
        """,
        begun=11,
        ended=11,
    ),
    "fork before the first call": Situation(
        """
        if os.fork() == 0:
            call('child')
            os._exit(0)
        os.wait()
        call('parent')
        """,
        begun=2,
        ended=2,
        chains=2,
        closed=1,
    ),
    "fork between calls": Situation(
        """
        call('parent')
        if os.fork() == 0:
            call('child')
            sys.exit(0)
        os.wait()
        call('parent')
        """,
        begun=3,
        ended=3,
        chains=2,
        closed=2,
    ),
    "fork in the middle of a call, which ends on both sides": Situation(
        "call('a', lambda: os.fork() and os.wait())", begun=1, ended=2, chains=2, closed=2
    ),
    "multiprocessing, fork": Situation(
        """
        import multiprocessing
        with multiprocessing.get_context("fork").Pool(2) as pool:
            call('parent')
            pool.map(call, ['child'] * 6, chunksize=3)
            pool.close()
            pool.join()
        """,
        begun=7,
        ended=7,
        chains=3,
        closed=1,
    ),
    "multiprocessing, spawn": Situation(
        """
        import multiprocessing
        context = multiprocessing.get_context("spawn")
        call('parent')
        with context.Pool(1, initializer=set_up) as pool:
            pool.map(call, ['child'] * 3)
            pool.close()
            pool.join()
        """,
        begun=4,
        ended=4,
        chains=2,
        closed=2,
    ),
    "a subprocess is started between calls": Situation(
        """
        import subprocess
        call('a')
        subprocess.run(['true'], check=True)
        call('b')
        """,
        begun=2,
        ended=2,
    ),
}


def _run(directory: Path, program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = directory / "program.py"
    body = textwrap.indent(textwrap.dedent(program), "    ")
    path.write_text(PREAMBLE + body)
    environment = {f"SPANLEDGER_{name}": value for name, value in variables.items()}
    return subprocess.run(
        [sys.executable, str(path)],
        env={**os.environ, "SPANLEDGER_DIR": str(directory / "data"), **environment},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _chains(directory: Path) -> list[SpooledChain]:
    return read_spool(settings_for(directory / "data"))


def _calls(chains: list[SpooledChain], *, begun: bool) -> list[str]:
    return [
        event["event_id"]
        for chain in chains
        for event in chain.events("model_call")
        if event["event_id"].endswith(":begin") is begun
    ]


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS.keys())
def test_what_is_in_the_ledger_afterwards(tmp_path: Path, situation: Situation) -> None:
    """Chains verify, nothing is damaged or recorded twice, and the counts are those of the table."""
    finished = _run(tmp_path, situation.program)
    chains = _chains(tmp_path)
    begun, ended = _calls(chains, begun=True), _calls(chains, begun=False)
    closed = [chain for chain in chains if chain.envelopes[-1]["event_type"] == "chain.close"]
    assert finished.returncode == situation.status, finished.stderr
    assert (len(set(begun)), len(set(ended))) == (len(begun), len(ended)) == (situation.begun, situation.ended)
    assert (len(chains), len(closed)) == (situation.chains, situation.closed)
    assert not any(chain.damage for chain in chains)
    assert "spanledger" not in finished.stderr


CLOSED_FILES = """
call('a')
os.closerange(3, 64)
own = [os.open(f"own-{number}", os.O_RDWR | os.O_CREAT) for number in range(8)]
call('b')
os.closerange(3, 64)
call('c', lambda: os.closerange(3, 64))
print({os.path.getsize(f"own-{number}") for number in range(8)})
os.closerange(3, 64)
"""


def test_files_that_the_application_closed_are_not_its_own_next_ones(tmp_path: Path) -> None:
    """Nothing is lost, and no row lands in what the application opened under the numbers of the ledger's files."""
    finished = _run(tmp_path, CLOSED_FILES)
    chains = _chains(tmp_path)
    assert (finished.returncode, finished.stdout) == (0, "{0}\n")
    assert (len(_calls(chains, begun=True)), len(_calls(chains, begun=False))) == (3, 3)
    assert finished.stderr.count("ends without chain.close") == len(chains) == 4
    assert [len(chain.events("loss")) + len(chain.damage) for chain in chains] == [0, 0, 0, 0]


FULL_DISK = """
import resource
call('a')
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
try:
    for number in range(5):
        call(f'full {number}')
        print('proceeded')
except Exception as error:
    print(type(error).__name__)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
call('b')
"""


def test_a_disk_that_runs_full_lets_calls_proceed_and_counts_what_is_missing(tmp_path: Path) -> None:
    """`SPANLEDGER_ON_FAILURE=open`: the real write fails half-way; one log line, then a `loss` row; calls go on."""
    finished = _run(tmp_path, FULL_DISK)
    (chain,) = _chains(tmp_path)
    (loss,) = chain.events("loss")
    recorded = len(chain.events("model_call"))
    assert finished.stdout == "proceeded\n" * 5
    assert finished.stderr.count("the audit trail has a gap") == 1
    assert recorded + loss["loss"]["events"] == 2 * 7
    assert chain.damage == []


def test_a_disk_that_runs_full_refuses_calls_where_the_owner_wants_that(tmp_path: Path) -> None:
    """`SPANLEDGER_ON_FAILURE=closed`: the call that could not be announced never happens."""
    finished = _run(tmp_path, FULL_DISK, ON_FAILURE="closed")
    (chain,) = _chains(tmp_path)
    assert finished.stdout.endswith("CallRefusedError\n")
    assert len(chain.events("loss")) == 1


@pytest.mark.parametrize(("on_failure", "output"), [("open", "proceeded\n"), ("closed", "refused\n")])
def test_a_directory_that_cannot_be_used(tmp_path: Path, on_failure: str, output: str) -> None:
    """The application runs on, or its calls are refused; either way one clear line says which directory and why."""
    (tmp_path / "data").write_text("in the way")
    program = """
    try:
        call('a')
        print('proceeded')
    except Exception as error:
        print('refused' if 'audit trail' in str(error) else error)
    """
    finished = _run(tmp_path, program, ON_FAILURE=on_failure)
    assert (finished.returncode, finished.stdout) == (0, output)
    assert finished.stderr.count("SPANLEDGER_DIR") == 1


def test_a_wrong_setting_refuses_calls_where_the_owner_wants_none_without_a_row(tmp_path: Path) -> None:
    """A mistyped setting would otherwise switch off what `closed` promises; spans that are no call pass."""
    program = """
    import spanledger
    spanledger.decision('close', result='no')
    try:
        call('a')
        print('proceeded')
    except Exception as error:
        print(type(error).__name__)
    """
    finished = _run(tmp_path, program, ON_FAILURE="closed", DURABILITY="eternal", TRACES_SAMPLER="always_off")
    assert (finished.returncode, finished.stdout) == (0, "CallRefusedError\n")
    assert "got 'eternal'" in finished.stderr


def test_a_wrong_setting_is_one_line_and_the_application_runs(tmp_path: Path) -> None:
    """A telemetry mistake never takes the user's application down."""
    finished = _run(tmp_path, "call('a'); print('ran')", DURABILITY="eternal")
    assert (finished.returncode, finished.stdout) == (0, "ran\n")
    assert "expected SPANLEDGER_DURABILITY to be one of process, power, got 'eternal'" in finished.stderr
