"""The main story: an application that knows nothing of spanledger leaves an audit trail that stands up to scrutiny.

    python3 examples                  # a local provider answers from a transcript: no key, no network, no cost
    python3 examples --live           # the real providers answer; needs OPENAI_API_KEY or ANTHROPIC_API_KEY
    python3 examples --keep ledger    # leaves the ledger in the directory `ledger`, to look around in

Every step is a command that you can type yourself; it is printed before its output.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from local_provider import LocalProvider

EXAMPLES = Path(__file__).resolve().parent
TRANSCRIPT = EXAMPLES / "transcripts" / "alert_triage.json"
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")

QUESTION = """SELECT coalesce(nullIf(model, ''), model_requested) AS used, count() AS calls,
       countIf(outcome = 'error') AS failed, sum(input_tokens) AS input, sum(output_tokens) AS output,
       sum(cost_usd) AS usd
FROM events WHERE event_type = 'model_call' GROUP BY used ORDER BY used"""

FORGERY = """
import sys
from chdb.session import Session

session = Session(sys.argv[1])
chain, seq = session.query('''
    SELECT hex(chain_id), seq FROM spanledger.rows
    WHERE event_type = 'model_call' AND outcome != '' ORDER BY time_ns DESC LIMIT 1''', "TSV").bytes().decode().split()
session.query(f'''
    ALTER TABLE spanledger.rows
    UPDATE env = replaceRegexpOne(env, '"outcome":"[a-z]+"', '"outcome":"escalated"')
    WHERE chain_id = unhex('{chain}') AND seq = {seq} SETTINGS mutations_sync = 2''')
session.close()
print(f"changed: chain {chain.lower()} row {seq}")
"""


def main() -> int:
    """Tell the story; the exit status says whether it went as it should."""
    arguments = parse_arguments()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `python3 examples | head` ends quietly
    with ledger_directory(arguments.keep) as ledger, provider(is_live=arguments.live) as local:
        Story({**os.environ, **(local.environment if local else {}), **settings(ledger)}, local).tell()
        if arguments.keep:
            spanledger = Path(sys.executable).with_name("spanledger")
            print(f"\nThe ledger is in {ledger}: try `SPANLEDGER_DIR={shlex.quote(str(ledger))} {spanledger} doctor`.")
    return 0


class Story:
    """Runs the steps, in one environment."""

    def __init__(self, environment: Mapping[str, str], local: LocalProvider | None) -> None:
        self.environment = environment
        self.local = local

    def tell(self) -> None:
        """Run the whole story."""
        heading("1. An ordinary application triages two security alerts; its code does not mention spanledger")
        self.run("opentelemetry-instrument", "--traces_exporter", "spanledger", "python", "examples/triage_app.py")
        if self.local:
            print(f"\nThe provider got {len(self.local.requests)} requests: one was answered HTTP 429, and sent again.")
        heading("2. Its calls go from the spool to ClickHouse (embedded here), and are sealed")
        self.run("spanledger", "ship")
        self.run("spanledger", "seal")
        heading("3. What happened in one case: models, versions, tokens, cost and every word")
        self.run("spanledger", "timeline", "--case", "A-7731", "--reason", "demo")
        heading("4. A question, in SQL")
        self.run("spanledger", "sql", QUESTION)
        heading("5. Is it all there, and unchanged?")
        self.run("spanledger", "verify")
        heading("6. Behind our back, somebody makes the last call look as if a human had been asked")
        self.forge()
        heading("7. The verdict names the row")
        self.run("spanledger", "verify", expected_status=1)

    def forge(self) -> None:
        """Change one row with the engine itself, past everything of ours."""
        print(FORGERY.strip(), end="\n\n", flush=True)
        store = Path(self.environment["SPANLEDGER_DIR"]) / "store"
        subprocess.run([sys.executable, "-c", FORGERY, str(store)], env=self.environment, check=True)

    def run(self, *command: str, expected_status: int = 0) -> None:
        """Print a command, run it, print what it says; end the story if it does not end as it should."""
        typed = " ".join(shlex.quote(word) if "'" not in word else f'"{word}"' for word in command)
        print(f"$ {typed}", flush=True)
        status = subprocess.run(command, cwd=EXAMPLES.parent, env=self.environment, check=False).returncode
        if status != expected_status:
            raise SystemExit(f"expected status {expected_status} from `{typed}`, got {status}")
        if status:
            print(f"(exit status {status})", flush=True)


def heading(text: str) -> None:
    """Print the heading of a step."""
    print(f"\n\033[1m{text}\033[0m\n" if sys.stdout.isatty() else f"\n{text}\n", flush=True)


def settings(ledger: Path) -> Mapping[str, str]:
    """Return what a user would set: where the ledger is, and what the service is called."""
    return {
        "SPANLEDGER_DIR": str(ledger),
        "OTEL_SERVICE_NAME": "alert-triage",
        "OTEL_METRICS_EXPORTER": "none",  # the default would look for a collector on this machine
        "OTEL_LOGS_EXPORTER": "none",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


@contextlib.contextmanager
def provider(*, is_live: bool) -> Generator[LocalProvider | None]:
    """Run the local provider; with `is_live` the SDKs talk to the real ones, whose keys must be there."""
    if is_live:
        if not any(os.environ.get(key) for key in KEYS):
            raise SystemExit(
                f"expected {' or '.join(KEYS)} to be set for --live, got neither: set one, or leave --live out"
            )
        yield None
        return
    title = json.loads(TRANSCRIPT.read_text(encoding="utf-8"))["title"]
    print(f"A local provider answers from {TRANSCRIPT.relative_to(EXAMPLES.parent)}: {title.lower()}.")
    with LocalProvider([TRANSCRIPT]) as local:
        yield local


@contextlib.contextmanager
def ledger_directory(keep: Path | None) -> Generator[Path]:
    """Yield the directory of the ledger: a temporary one, unless it is to be kept."""
    if keep is not None:
        _make_empty(keep)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="spanledger-story-") as directory:
        yield Path(directory)


def _make_empty(keep: Path) -> None:
    """Make the directory; end the story where there is something already: it ends with a ledger that was forged."""
    try:
        keep.mkdir(parents=True, exist_ok=True)
        if not any(keep.iterdir()):
            return
        found = "one with something in it"
    except OSError as error:
        found = str(error.strerror)
    raise SystemExit(f"expected an empty or a new directory after --keep, got {keep}: {found}")


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python3 examples", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--live", action="store_true", help="talk to the real providers")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="leave the ledger in DIR")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
