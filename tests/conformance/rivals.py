"""Count usage-bearing spans while a real, other GenAI instrumentation is switched on besides ours, in both orders.

Example: `python tests/conformance/rivals.py`; further arguments choose rivals by name. It installs each rival from the
package index into an environment of its own. Exit status 0: every call has exactly one span with token counts, else 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
ORDERS = ("ours-first", "rival-first")
"""Who is switched on first, and so ends up inside the other."""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another instrumentation: its distribution with version, and where its instrumentor is."""

    distribution: str
    module: str
    library: str

    @property
    def instrumentor(self) -> str:
        """Name of its instrumentor, the same in every package."""
        return {"openai": "OpenAIInstrumentor", "anthropic": "AnthropicInstrumentor"}[self.library]


RIVALS = {
    "official-openai": Rival(
        "opentelemetry-instrumentation-genai-openai==1.3b0", "opentelemetry.instrumentation.genai.openai", "openai"
    ),
    "official-anthropic": Rival(
        "opentelemetry-instrumentation-genai-anthropic==1.3b0",
        "opentelemetry.instrumentation.genai.anthropic",
        "anthropic",
    ),
    "openinference-openai": Rival(
        "openinference-instrumentation-openai==0.1.66", "openinference.instrumentation.openai", "openai"
    ),
    "openinference-anthropic": Rival(
        "openinference-instrumentation-anthropic==3.1.0", "openinference.instrumentation.anthropic", "anthropic"
    ),
    "openllmetry-openai": Rival(
        "opentelemetry-instrumentation-openai==0.62.4", "opentelemetry.instrumentation.openai", "openai"
    ),
    "openllmetry-anthropic": Rival(
        "opentelemetry-instrumentation-anthropic==0.62.4", "opentelemetry.instrumentation.anthropic", "anthropic"
    ),
}


def main() -> int:
    """Probe every rival in both orders, and print who recorded what."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *RIVALS], help="which rivals; all by default")
    names = parser.parse_args().names or list(RIVALS)
    wrong = 0
    for name in names:
        python = _environment(name, RIVALS[name])
        for order in ORDERS:
            counted = _probe(python, RIVALS[name], order)
            bad = [kind for kind, scopes in counted.items() if len(scopes) != 1]
            wrong += len(bad) + (not counted)
            who = sorted({scope for scopes in counted.values() for scope in scopes})
            print(f"{name:24s} {order:12s} {len(counted)} calls, recorded by {', '.join(who)}")
            for kind in bad:
                print(f"  {kind}: expected one span with usage, got {counted[kind]}")
    return 1 if wrong else 0


def _environment(name: str, rival: Rival) -> Path:
    directory = HERE / "downloads" / "rivals" / name
    python = directory / "bin" / "python"
    if not (directory / "ready").exists():
        print(f"installing {rival.distribution} …")
        venv.create(directory, with_pip=True, clear=True)
        needed = ("--editable", str(PROJECT), rival.distribution, rival.library)
        subprocess.run([str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q", *needed], check=True)
        (directory / "ready").touch()
    return python


def _probe(python: Path, rival: Rival, order: str) -> dict[str, list[str]]:
    command = [str(python), str(HERE / "rival_probe.py"), rival.module, rival.instrumentor, rival.library, order]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stderr[-2000:])
        return {}
    counted: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return counted


if __name__ == "__main__":
    sys.exit(main())
