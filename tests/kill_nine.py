"""kill -9 at random moments: what reached the provider has a row, once, and every chain verifies.

    python tests/kill_nine.py --rounds 1000

A zygote process has everything imported and instrumented; for each round it forks a child that calls the local
provider in a loop with the real OpenAI SDK, each call with a text of its own, until SIGKILL meets it somewhere: before
the intent row, while it is written, on the wire, while the answer's row is written. The child knows of no kill.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "examples")]

from local_provider import LocalProvider  # noqa: E402 - runs as a script too, with the path set above
from spools import SpooledChain, read_spool, settings_for  # noqa: E402 - as above

ZYGOTE = """
import os, sys
import openai
from opentelemetry.sdk.trace import TracerProvider
from spanledger.openai import OpenAIInstrumentor
from spanledger_exporter.otel.install import install
from spanledger_semconv import cost

cost.warm()  # what a first call starts in the background would eat most of these short lives
provider = TracerProvider()
install(provider)
OpenAIInstrumentor().instrument(tracer_provider=provider, skip_dep_check=True)
client = openai.OpenAI(max_retries=0)  # made once: it opens no connection before its first call
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        number = 0
        while True:
            text = f"{line.strip()}-{number}"
            messages = [{"role": "user", "content": text}]
            client.chat.completions.create(model="gpt-5-mini", messages=messages, extra_headers={"x-text": text})
            number += 1
    print(child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""
LONGEST_LIFE_S = 0.1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `rounds` kills left behind: texts the provider received, and every chain, read and verified."""

    received: Sequence[str]
    chains: Sequence[SpooledChain]

    @property
    def begun(self) -> Counter[str]:
        """How many intent rows each text has."""
        texts: Counter[str] = Counter()
        for chain in self.chains:
            for event in chain.events("model_call"):
                if event["event_id"].endswith(":begin"):
                    (item,) = event["input"]
                    data = chain.contents[item["ref"]].data
                    texts[(data or b"").decode()] += 1
        return texts

    @property
    def event_ids(self) -> Counter[str]:
        """How often each event id occurs, over all chains."""
        return Counter(event["event_id"] for chain in self.chains for event in chain.envelopes)

    @property
    def without_row(self) -> list[str]:
        """Texts that the provider received and that no intent row announced."""
        begun = self.begun
        return [text for text in self.received if begun[text] == 0]

    @property
    def duplicates(self) -> list[str]:
        """Texts with more than one intent row, and event ids that occur twice."""
        return [name for counter in (self.begun, self.event_ids) for name, count in counter.items() if count > 1]


def run(directory: Path, *, rounds: int, seed: int) -> Outcome:
    """Kill `rounds` children at random moments and read what is left."""
    chance = random.Random(seed)
    with LocalProvider() as provider, _zygote(directory, provider.environment) as zygote:
        assert zygote.stdin
        assert zygote.stdout
        for number in range(rounds):
            before = len(provider.requests)
            zygote.stdin.write(f"round-{number}\n")
            zygote.stdin.flush()
            child = int(zygote.stdout.readline())
            if chance.random() < 0.9:
                provider.wait_for_requests(before + 1, timeout_s=30)  # the other tenth dies while it starts
            threading.Event().wait(chance.random() * LONGEST_LIFE_S)
            os.kill(child, signal.SIGKILL)
            assert zygote.stdout.readline() == "dead\n"
        zygote.stdin.close()
        zygote.wait(30)
        # From a header: a kill in the middle of sending lets a request arrive without its body, and it has arrived.
        received = [request.headers["x-text"] for request in provider.requests]
    return Outcome(received, read_spool(settings_for(directory)))


def _zygote(directory: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ZYGOTE],
        env={**os.environ, **environment, "SPANLEDGER_DIR": str(directory)},
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def main() -> None:
    """Run many rounds and say what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        outcome = run(Path(directory), rounds=arguments.rounds, seed=arguments.seed)
    print(
        f"seed {arguments.seed}: {arguments.rounds} kills, {len(outcome.chains)} chains verified, "
        f"{len(outcome.received)} requests received, {len(outcome.without_row)} without a row, "
        f"{len(outcome.duplicates)} duplicates, {sum(len(chain.damage) for chain in outcome.chains)} torn appends"
    )
    raise SystemExit(bool(outcome.without_row or outcome.duplicates))


if __name__ == "__main__":
    main()
