"""What an application pays for having the exporter installed: no engine, no client library, no price list at import."""

import subprocess
import sys

import pytest

HEAVY = {"chdb", "clickhouse_connect", "genai_prices", "pydantic", "cryptography", "openai", "anthropic", "starlette"}
ENTRY_POINTS = [
    "spanledger_exporter.otel.span_exporter",
    "spanledger_exporter.otel.sampler",
    "spanledger_exporter.otel.pre_instrument",
    "spanledger_exporter.otel.install",
]


@pytest.mark.parametrize("module", ENTRY_POINTS)
def test_an_entry_point_imports_nothing_heavy(module: str) -> None:
    """The application process never imports a database engine; everything else comes when it is needed."""
    program = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert HEAVY & set(finished.stdout.split()) == set()


def test_the_pre_instrument_hook_does_not_even_import_the_sdk() -> None:
    """It runs in every process of the launcher, also where the ledger is not wanted."""
    program = (
        "import sys, spanledger_exporter.otel.pre_instrument as hook; hook.pre_instrument(); "
        "print('opentelemetry.sdk.trace' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout == "False\n"
