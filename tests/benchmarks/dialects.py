"""What reading one span of another instrumentation takes, and finding its registered prompt among many.

`python tests/benchmarks/dialects.py`. The spans are the captured ones of the tests.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from median_call import ROUNDS, report
from spanledger_exporter.normalise.dialects import SpanFacts, read_span
from spanledger_exporter.prompts.prompt_file import Prompt
from spanledger_exporter.prompts.registry import PromptMatcher, save_prompts
from spanledger_semconv.invocation import InvocationRequest

CAPTURES = Path(__file__).resolve().parent.parent / "exporter" / "normalise" / "dialects" / "captures"


def main() -> None:
    """Print medians of seven rounds."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {count} spans a round")
    for path in sorted(CAPTURES.glob("*.json")):
        span = json.loads(path.read_text(encoding="utf-8"))[0]
        facts = SpanFacts(span["name"], span["attributes"], span["scope"])
        report(f"read a span of {path.stem}", count, partial(read_span, facts))
    with tempfile.TemporaryDirectory() as directory:
        registry = Path(directory) / "prompts.json"
        save_prompts(registry, [Prompt(f"p{n}", "1.0.0", template(n)) for n in range(200)])
        matcher = PromptMatcher(registry)
        for name, text in (("the same again", filled(0)), ("unmatched", "y" * 4_000)):
            asked = InvocationRequest("chat", system_instructions=[{"type": "text", "content": text}])
            report(f"match 4 kB against 200 prompts: {name}", count, partial(matcher.attributes_of, asked))
        texts = iter(range(1, 1 + count * ROUNDS))
        report("match 4 kB against 200 prompts: new text", count, lambda: matcher.attributes_of(request(next(texts))))


def filled(number: int) -> str:
    """Return a text that one of the templates made; another one for each number."""
    return template(77).replace("{alert}", f"{number} " + "x" * 4_000)


def request(number: int) -> InvocationRequest:
    """Return a request with such a text."""
    return InvocationRequest("chat", system_instructions=[{"type": "text", "content": filled(number)}])


def template(number: int) -> str:
    """Return one of many templates that begin alike."""
    return f"You are assistant number {number} of the bank.\nSort this alert: {{alert}}\nAnswer in one word."


if __name__ == "__main__":
    main()
