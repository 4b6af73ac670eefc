"""One application under load with a store that hardly answers: whether memory stays flat, and what a call pays.

    python tests/benchmarks/soak.py [--seconds 300] [--rate 2000] [--plot FILE.png]

The application makes calls at a fixed rate, with content, through the audit span processor. Its server store is a
listener that takes every request, waits a second, and answers 503: the shipper keeps trying, the spool grows, the calls
must not notice. Printed: resident memory every few seconds, how it goes on at the end, and the time that the processor
added to a call (begin and end together). A call that starts late because the machine was busy is not added latency of
ours and is not counted as such; the rate that was reached is printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import threading
import time
from array import array
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from spanledger_exporter.config import load_settings
from spanledger_exporter.otel.install import install
from spanledger_semconv.invocation import CONTEXT_KEY, Invocation, InvocationRequest, InvocationResult, Usage

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LEAK_BYTES_PER_CALL = 16
"""Less than the smallest Python object: what grows by less keeps nothing of a call."""

LINES = 15
Sample = tuple[float, float, int]


def main() -> None:
    """Run the load and print what it did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, _slow_store() as url:
        settings = load_settings({"SPANLEDGER_DIR": directory, "SPANLEDGER_STORE": url})
        provider = TracerProvider()
        install(provider, settings)
        samples, added = _load(provider, arguments)
        spooled = sum(path.stat().st_size for path in settings.spool_directory.rglob("*.spool"))
        print(f"{platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores")
        _report(samples, added, spooled, arguments)
        if arguments.plot:
            _plot(samples, arguments.plot)
        os._exit(0)  # the shipper would wait for its store before the interpreter ends


class _Slow(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Take the request, think, refuse."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        threading.Event().wait(1)
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815 - the interface's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the interface's name
        """Say nothing."""


@contextmanager
def _slow_store() -> Generator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"clickhouse://default@127.0.0.1:{server.server_address[1]}/spanledger"
    server.shutdown()


def _load(provider: TracerProvider, arguments: argparse.Namespace) -> tuple[list[Sample], array[float]]:
    """Return (seconds, added milliseconds p99 of that second, resident bytes) per second, and every added time."""
    tracer = provider.get_tracer("spanledger.openai")
    first = _call(tracer, 0)  # begins the chain, and waits for the price list, which a real answer outlasts
    print(f"first call of the process: {first * 1000:.0f} ms")
    samples: list[Sample] = []
    # Its memory is taken before the run: a list of 600,000 floats grows by 19 MiB, which is no growth of ours.
    added = array("d", bytes(8 * int(arguments.seconds * arguments.rate + arguments.rate)))
    start = time.perf_counter()
    second: list[float] = []
    number = 0
    while (now := time.perf_counter() - start) < arguments.seconds:
        if number > now * arguments.rate:
            time.sleep(0.0002)
            continue
        added[number] = _call(tracer, number)
        second.append(added[number])
        number += 1
        if now > len(samples) + 1:
            samples.append((now, _quantile(second, 0.99) * 1000, _resident_bytes()))
            second.clear()
    print(f"{number} calls in {arguments.seconds:g} s: {number / arguments.seconds:,.0f} per second reached")
    return samples, added[:number]


def _call(tracer: Tracer, number: int) -> float:
    """Make one call that takes no time of its own and return what recording it took, in seconds."""
    question = [{"role": "user", "parts": [{"type": "text", "content": f"question {number} " + "x" * 2_000}]}]
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": f"answer {number} " + "y" * 500}]}]
    invocation = Invocation(InvocationRequest("chat", "openai", "gpt-4o", {}, (), question))
    start = time.perf_counter()
    span = tracer.start_span("chat gpt-4o", Context({**get_current(), CONTEXT_KEY: invocation}))
    invocation.result = InvocationResult("success", model="gpt-4o", usage=Usage(500, 120), output_messages=answer)
    span.end()
    return time.perf_counter() - start


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def _quantile(values: Sequence[float] | array[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def _report(samples: Sequence[Sample], added: array[float], spooled: int, arguments: argparse.Namespace) -> None:
    for share in (0.5, 0.99, 0.999):
        print(f"added per call, p{share * 100:g}: {_quantile(added, share) * 1000:.3f} ms")
    for second, _, resident in samples[:: max(len(samples) // LINES, 1)]:
        print(f"after {second:6.1f} s: resident {resident / 2**20:6.1f} MiB")
    rate = len(added) / samples[-1][0]
    growth = _slope(samples[len(samples) // 2 :])
    verdict = "flat" if growth / rate < LEAK_BYTES_PER_CALL else "GROWS"
    print(
        f"resident memory over the second half: {verdict}, {growth * 60 / 2**20:+.2f} MiB a minute, "
        f"{growth / rate:+.1f} bytes a call"
    )
    print(f"spool {spooled / 2**20:,.0f} MiB, nothing shipped in {arguments.seconds:g} s")


def _slope(samples: Sequence[Sample]) -> float:
    """Return the slope of the line through the resident memory, in bytes a second."""
    return statistics.linear_regression([sample[0] for sample in samples], [sample[2] for sample in samples]).slope


def _plot(samples: Sequence[Sample], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (memory, latency) = plt.subplots(2, 1, figsize=(7, 5.4), sharex=True, layout="constrained")
    seconds = [sample[0] for sample in samples]
    memory.plot(seconds, [sample[2] / 2**20 for sample in samples], color="#1f6f8b")
    memory.set_ylabel("resident memory, MiB")
    memory.set_ylim(bottom=0)
    latency.plot(seconds, [sample[1] for sample in samples], color="#b3541e")
    latency.set_ylabel("added per call, p99, ms")
    latency.set_ylim(bottom=0)
    latency.set_xlabel("seconds")
    memory.set_title("An application under load while its store answers nothing but 503")
    for axes in (memory, latency):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
