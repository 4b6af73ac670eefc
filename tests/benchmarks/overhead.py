"""Time that observing a call adds to it: nothing, the official instrumentor, and ours with the whole audit trail.

The real OpenAI SDK talks to an in-process transport, so what is measured is the client side of a call and nothing else.
Time is processor time of the calling thread: nothing here waits for anything, and other load disturbs it least. Each
variant runs in processes of its own. The processes of a round take turns every few milliseconds, so that a machine
whose speed drifts is as slow for one as for the other, and each turn is compared with the turn of `none` beside it.
There are many rounds of few calls: where a process happens to have its memory makes it 2 % slower or faster for all its
life, which is as much of a stream as all that we add (two processes of `none` differ by that much).

- `none`: no instrumentation.
- `official`: opentelemetry-instrumentation-genai-openai 1.3b0, content on spans.
- `spanledger`: intent and completion row with content in the spool on disk, none on spans (both at their defaults).
Each keeps the content once. Question and answer of every call are new, as those of an application are, except in
`chat-again`: a text that came lately is neither hashed nor written a second time. All have a tracer provider with a
batch processor and a meter provider with a reader; exporters drop what they get.

    python tests/benchmarks/overhead.py               # some five minutes
    python tests/benchmarks/overhead.py --rounds 5    # shorter
    python tests/benchmarks/overhead.py --import-time # what importing and instrumenting costs
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
OFFICIAL = "opentelemetry-instrumentation-genai-openai==1.3b0"
VARIANTS = ("none", "official", "spanledger")
SCENARIOS = {"chat": 200, "chat-again": 200, "stream": 20, "async-stream": 20}  # scenario -> calls per process
TURN = {
    "chat": 10,
    "chat-again": 10,
    "stream": 1,
    "async-stream": 1,
}  # scenario -> calls before the next variant's turn
WARM_UP = 0.3  # of the calls, not measured
CHUNKS = 200
PROMPT_BYTES = 4096
TARGETS = {"chat": 0.70, "chat-again": 0.70, "stream": 0.15, "async-stream": 0.15}
IMPORT_TARGET_MS = 60

Run = Callable[[int], list[float]]  # makes so many calls and gives their times in seconds
Measured = dict[str, dict[str, list[float]]]  # scenario -> variant -> time of a call in each turn, in seconds


def main() -> int:
    """Measure, print, and judge against the targets."""
    arguments = _arguments()
    if arguments.worker:
        _work(arguments.worker, arguments.scenario)
        return 0
    python = _environment(arguments.environment)
    _print_machine(python)
    if arguments.import_time:
        return _import_time(python, arguments.rounds)
    measured = _measure(python, arguments.rounds)
    return _report(measured)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21, help="processes per variant and scenario")
    parser.add_argument("--environment", type=Path, help="an environment to keep and use again")
    parser.add_argument("--import-time", action="store_true", help="measure imports instead of calls")
    parser.add_argument("--worker", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--scenario", choices=SCENARIOS, help=argparse.SUPPRESS)
    return parser.parse_args()


def _environment(kept: Path | None) -> Path:
    """Give a Python that has this project, the SDK and the official instrumentor."""
    directory = kept or Path(tempfile.mkdtemp(prefix="overhead-"))
    python = directory / "bin" / "python"
    if not python.exists():
        print(f"installing this project and {OFFICIAL} …", flush=True)
        venv.create(directory, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--editable", str(PROJECT), OFFICIAL, "openai"], check=True)
    return python


_VERSIONS = """
from importlib.metadata import version
for name in ("spanledger", "openai", "opentelemetry-sdk", "opentelemetry-instrumentation-genai-openai", "wrapt"):
    print(name, version(name), end="; ")
"""


def _print_machine(python: Path) -> None:
    versions = subprocess.run(
        [str(python), "-c", _VERSIONS],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    print(f"{platform.platform()}, {os.cpu_count()} cores ({_processor()}), Python {platform.python_version()}")
    print(f"{versions}; load average {os.getloadavg()[0]:.1f}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _measure(python: Path, rounds: int) -> Measured:
    measured: Measured = {name: {variant: [] for variant in VARIANTS} for name in SCENARIOS}
    for round_number in range(rounds):
        for scenario in SCENARIOS:
            _one_round(python, scenario, measured[scenario])
        print(f"\rround {round_number + 1} of {rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return measured


def _one_round(python: Path, scenario: str, turns: dict[str, list[float]]) -> None:
    """Let one process of each variant make its calls, in turns; the first turns warm up and are not counted."""
    with contextlib.ExitStack() as processes:
        workers = {variant: processes.enter_context(_worker(python, variant, scenario)) for variant in VARIANTS}
        for done in range(-int(SCENARIOS[scenario] * WARM_UP), SCENARIOS[scenario], TURN[scenario]):
            for variant, worker in workers.items():
                time_of_a_call = statistics.median(_take_turn(worker, TURN[scenario]))
                if done >= 0:
                    turns[variant].append(time_of_a_call)


_CONTENT_ON_SPANS = {"none": "no_content", "official": "span_only", "spanledger": "no_content"}


@contextlib.contextmanager
def _worker(python: Path, variant: str, scenario: str) -> Generator[subprocess.Popen[str]]:
    """Run a process that makes as many calls as a line of its input says, and prints their times."""
    with tempfile.TemporaryDirectory(prefix="overhead-spool-") as directory:
        environment = {
            **os.environ,
            "SPANLEDGER_DIR": directory,
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": _CONTENT_ON_SPANS[variant],
            "OTEL_SERVICE_NAME": "overhead",
        }
        command = [str(python), __file__, "--worker", variant, "--scenario", scenario]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as worker:
            yield worker
            assert worker.stdin is not None
            worker.stdin.close()


def _take_turn(worker: subprocess.Popen[str], calls: int) -> list[float]:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(f"{calls}\n")
    worker.stdin.flush()
    answer = worker.stdout.readline()
    if not answer:
        raise SystemExit(f"expected the times of {calls} calls, got the end of the process: see its message above")
    times: list[float] = json.loads(answer)
    return times


def _report(measured: Measured) -> int:
    missed = 0
    heads = f"{'medians':<14}{'none':>10}{'official':>12}{'spanledger':>12}{'ratio':>8}{'target':>8}"
    print(f"\n{heads}   [ratio by tenths of the run]")
    for scenario, turns in measured.items():
        official, ours = _added(turns, "official"), _added(turns, "spanledger")
        plain, theirs, own = (statistics.median(times) * 1e6 for times in (turns["none"], official, ours))
        ratio, target = own / theirs, TARGETS[scenario]
        missed += ratio > target
        print(
            f"{scenario:<14}{plain:>8.0f}µs{theirs:>+10.0f}µs{own:>+10.0f}µs{ratio:>8.2f}{target:>8.2f}"
            f"   [{_spread(official, ours)}]"
        )
    print("time of a call, and what is added: the median over turns of the difference to the turn of `none` beside it;")
    print(f"ratio = spanledger / official; load average now {os.getloadavg()[0]:.1f}")
    return 1 if missed else 0


def _added(turns: dict[str, list[float]], variant: str) -> list[float]:
    return [observed - plain for observed, plain in zip(turns[variant], turns["none"], strict=True)]


def _spread(official: list[float], ours: list[float]) -> str:
    """Give the smallest and the largest ratio that a tenth of the turns shows: how far to trust the figure."""
    size = len(official) // 10
    tenths = [slice(start, start + size) for start in range(0, size * 10, size)]
    ratios = [statistics.median(ours[tenth]) / statistics.median(official[tenth]) for tenth in tenths]
    return f"{min(ratios):.2f} to {max(ratios):.2f}"


# --- the measured process ---------------------------------------------------------------------------------------------


def _work(variant: str, scenario: str) -> None:
    """Make as many calls as each line of the input says and print their times in seconds."""
    tracer_provider, meter_provider = _providers()
    _instrument(variant, tracer_provider, meter_provider)
    runs = {"chat": _chats, "chat-again": _same_chats, "stream": _streams, "async-stream": _async_streams}
    run = runs[scenario]()
    for line in sys.stdin:
        print(json.dumps(run(int(line))), flush=True)


def _providers() -> tuple[Any, Any]:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Drop(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(BatchSpanProcessor(Drop()))
    return tracer_provider, MeterProvider(metric_readers=[InMemoryMetricReader()])


def _instrument(variant: str, tracer_provider: Any, meter_provider: Any) -> None:
    if variant == "official":
        from opentelemetry.instrumentation.genai.openai import (  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]
            OpenAIInstrumentor as Official,
        )

        Official().instrument(tracer_provider=tracer_provider, meter_provider=meter_provider)
    elif variant == "spanledger":
        from spanledger.openai import OpenAIInstrumentor
        from spanledger_exporter.otel.install import install

        if install(tracer_provider) is None:
            raise SystemExit("expected the ledger to be installed, got none: see the log above")
        OpenAIInstrumentor().instrument(tracer_provider=tracer_provider, meter_provider=meter_provider)


_SYSTEM = {"role": "system", "content": "You triage security alerts. " * 20}
_QUESTION = "What happened in alert 000000000? " + "x" * (PROMPT_BYTES - 600)
_NUMBER = "000000000"
_numbers = itertools.count(1)


def _new(text: str) -> str:
    """Give `text` with a number in it that it never had."""
    return text.replace(_NUMBER, f"{next(_numbers):09d}", 1)


def _messages(question: str) -> list[Any]:
    return [_SYSTEM, {"role": "user", "content": question}]


def _chats() -> Run:
    client = _client(lambda: _new(_WHOLE).encode())
    return lambda calls: _time_chats(client, [_messages(_new(_QUESTION)) for _ in range(calls)])


def _same_chats() -> Run:
    body, messages = _WHOLE.encode(), _messages(_QUESTION)
    client = _client(lambda: body)
    return lambda calls: _time_chats(client, [messages] * calls)


def _time_chats(client: Any, conversations: list[Any]) -> list[float]:
    times: list[float] = []
    for messages in conversations:
        start = time.thread_time()
        client.chat.completions.create(model="gpt-4o-mini", messages=messages, temperature=0.2)
        times.append(time.thread_time() - start)
    return times


def _streams() -> Run:
    client = _client(lambda: _new(_STREAM).encode())

    def run(calls: int) -> list[float]:
        times: list[float] = []
        for _ in range(calls):
            messages = _messages(_new(_QUESTION))
            start = time.thread_time()
            for _chunk in client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True, **_USAGE):
                pass
            times.append(time.thread_time() - start)
        return times

    return run


def _async_streams() -> Run:
    import asyncio

    client = _async_client(lambda: _new(_STREAM).encode())
    runner = asyncio.Runner()

    async def make(calls: int) -> list[float]:
        times: list[float] = []
        for _ in range(calls):
            messages = _messages(_new(_QUESTION))
            start = time.thread_time()
            async for _chunk in await client.chat.completions.create(
                model="gpt-4o-mini", messages=messages, stream=True, **_USAGE
            ):
                pass
            times.append(time.thread_time() - start)
        return times

    return lambda calls: runner.run(make(calls))


_USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}


Body = Callable[[], bytes]  # the body of the next answer


def _client(body: Body) -> Any:
    import httpx2
    from openai import OpenAI

    return OpenAI(api_key="x", http_client=httpx2.Client(transport=httpx2.MockTransport(_answers(body))))


def _async_client(body: Body) -> Any:
    import httpx2
    from openai import AsyncOpenAI

    return AsyncOpenAI(api_key="x", http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(_answers(body))))


def _answers(body: Body) -> Callable[[Any], Any]:
    import httpx2

    def answer(request: Any) -> Any:
        kind = "text/event-stream" if b'"stream":true' in request.content else "application/json"
        return httpx2.Response(200, headers={"content-type": kind}, content=body())

    return answer


_HEAD = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o-mini-2024-07-18", "service_tier": "default"}
_TOKENS = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
_WHOLE = json.dumps(
    {
        **_HEAD,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Alert 000000000: " + "a finding. " * 90},
                "finish_reason": "stop",
            }
        ],
        "usage": _TOKENS,
    }
)


def _event(choices: list[Any], **more: Any) -> str:
    return "data: " + json.dumps({**_HEAD, "object": "chat.completion.chunk", "choices": choices, **more})


def _delta(content: str) -> str:
    return _event([{"index": 0, "delta": {"role": "assistant", "content": content}}])


_STREAM = "\n\n".join(
    [
        _delta(f"Alert {_NUMBER}: "),
        *(_delta("finding ") for _ in range(CHUNKS - 1)),
        _event([{"index": 0, "delta": {}, "finish_reason": "stop"}]),
        _event([], usage=_TOKENS),
        "data: [DONE]\n\n",
    ]
)


# --- imports ----------------------------------------------------------------------------------------------------------

_IMPORT = """
import sys, time
import opentelemetry.sdk.trace, opentelemetry.instrumentation.instrumentor, opentelemetry.sdk.metrics
before = set(sys.modules)
start = time.process_time()
from spanledger.openai import OpenAIInstrumentor
from spanledger.anthropic import AnthropicInstrumentor
OpenAIInstrumentor().instrument(skip_dep_check=True)
AnthropicInstrumentor().instrument(skip_dep_check=True)
took = time.process_time() - start
assert not {"openai", "anthropic", "chdb"} & set(sys.modules), "a client library was imported"
print(took * 1000)
"""


def _import_time(python: Path, rounds: int) -> int:
    """Print what importing and switching on both instrumentors adds to a process that has OpenTelemetry.

    Bytecode is kept, as an installation keeps it: some machines forbid it (`PYTHONDONTWRITEBYTECODE`), and an editable
    installation would be compiled anew in every process. The first process may have to compile; it is not counted.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def once() -> float:
        command = [str(python), "-c", _IMPORT]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return float(done.stdout)

    first = once()
    times = sorted(once() for _ in range(max(rounds, 5)))
    median = statistics.median(times)
    print(
        f"importing and instrumenting adds {median:.0f} ms of processor time ({times[0]:.0f} to {times[-1]:.0f}; "
        f"the first process {first:.0f}), and imports no SDK"
    )
    print(f"target: under {IMPORT_TARGET_MS} ms")
    return 0 if median < IMPORT_TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
