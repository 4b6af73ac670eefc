"""What pricing one call takes when warm. Target: under 15 µs.

`python tests/benchmarks/cost.py [calls]`. The peer is genai-prices' own `calc_price`, in the same run.
"""

from __future__ import annotations

import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import genai_prices

from median_call import report
from spanledger_semconv.cost import price, warm
from spanledger_semconv.invocation import Usage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TIME_NS = int(NOON.timestamp()) * 10**9
OPENAI = Usage(input_tokens=1200, output_tokens=100, cache_read=1000, reasoning=20)
ANTHROPIC = Usage(input_tokens=1200, output_tokens=100, cache_write=900, other={"cache_write_1h": 900})


def main() -> None:
    """Print medians of seven rounds."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    began = time.perf_counter()
    warm()
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {count} calls a round")
    print(f"{'loading the price list':45s}{(time.perf_counter() - began) * 1e3:9.1f} ms")
    report("ours: cached and reasoning tokens", count, lambda: price("openai", "gpt-5.2", OPENAI, time_ns=TIME_NS))
    report("ours: flex tier", count, lambda: price("openai", "gpt-5.2", OPENAI, service_tier="flex", time_ns=TIME_NS))
    report("ours: one-hour cache", count, lambda: price("anthropic", "claude-sonnet-4-5", ANTHROPIC, time_ns=TIME_NS))
    report("ours: unknown model", count, lambda: price("openai", "no-such-model", OPENAI, time_ns=TIME_NS))
    report("genai-prices calc_price (peer)", count // 10, the_lists_own)


def the_lists_own() -> object:
    """Price the first call with the list's own function."""
    usage = genai_prices.Usage(input_tokens=1200, output_tokens=100, cache_read_tokens=1000, output_reasoning_tokens=20)
    return genai_prices.calc_price(usage, "gpt-5.2", provider_id="openai", genai_request_timestamp=NOON)


if __name__ == "__main__":
    main()
