"""What the public API adds to a call: without an SDK, with spans, with the ledger.

`python tests/benchmarks/public_api.py [calls]`. The peer is the undecorated function, in the same run.
"""

from __future__ import annotations

import platform
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from median_call import report
from spanledger import case, decision, event_span, external_action, tool
from spanledger_exporter.config import load_settings
from spanledger_exporter.otel.ledger import SpanLedger
from spanledger_exporter.otel.processor import AuditSpanProcessor


def lookup(customer: int) -> dict[str, int]:
    """Stand for a tool."""
    return {"id": customer}


def in_case() -> None:
    """Enter and leave a case."""
    with case("ALERT-7"):
        pass


def act() -> None:
    """Do something in the world."""
    with external_action("refund", target="bank", idempotency_key="k", details={"amount": 7}):
        pass


def main() -> None:
    """Print medians of seven rounds."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {count} calls a round")
    report("function alone (peer)", count, lambda: lookup(7))
    report("enter and leave a case", count, in_case)
    measure("no SDK", count)
    provider = TracerProvider()
    use(provider.get_tracer("benchmark"))
    measure("SDK, no exporter", count)
    with tempfile.TemporaryDirectory() as directory:
        ledger = SpanLedger(load_settings({"SPANLEDGER_DIR": directory}, working_directory=Path(directory)))
        provider.add_span_processor(AuditSpanProcessor(ledger))
        measure("SDK and ledger", count)
        ledger.close()


def use(tracer: Tracer) -> None:
    """Let the public API write to `tracer`."""
    event_span._tracer = lambda: tracer  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


def measure(name: str, count: int) -> None:
    """Print the API's figures."""
    decorated = tool("lookup", version="3")(lookup)
    report(f"{name}: tool", count, lambda: decorated(7))
    report(f"{name}: decision", count, lambda: decision("route", result="close", rationale="because"))
    report(f"{name}: external action", count, act)


if __name__ == "__main__":
    main()
