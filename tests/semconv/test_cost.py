"""What a call cost: exact, from the list, or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger_semconv.cost import Cost, price, warm
from spanledger_semconv.invocation import Usage

NOVEMBER = int(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()) * 10**9
MODELS = [
    ("openai", "gpt-5.2"),
    ("openai", "gpt-4o-mini"),
    ("anthropic", "claude-sonnet-4-5"),
    ("gcp.gemini", "gemini-2.5-pro"),
    ("deepseek", "deepseek-chat"),
    ("x_ai", "grok-4"),
]


def known(cost: Cost | None) -> Cost:
    """Fail unless there is a price."""
    assert cost is not None
    return cost


def test_a_plain_call_costs_tokens_times_rates() -> None:
    """The rates are the list's: $1.75 and $14 per million tokens for this model."""
    cost = known(price("openai", "gpt-5.2", Usage(input_tokens=1000, output_tokens=100), time_ns=NOVEMBER))
    assert (cost.usd, cost.input_usd, cost.output_usd) == ("0.00315", "0.00175", "0.0014")


def test_cached_tokens_are_paid_once_at_their_own_rate() -> None:
    """`input_tokens` includes the cached ones: paying both rates for them is the classic bug."""
    usage = Usage(input_tokens=1000, output_tokens=0, cache_read=900)
    cost = known(price("openai", "gpt-5.2", usage, time_ns=NOVEMBER))
    assert Decimal(cost.usd) == Decimal("1.75") * 100 / 10**6 + Decimal("0.175") * 900 / 10**6


def test_cache_writes_cost_more_and_an_hour_of_cache_more_still() -> None:
    """Anthropic sells three prices for one input token."""
    plain = Usage(input_tokens=1000, output_tokens=0)
    short = Usage(input_tokens=1000, output_tokens=0, cache_write=1000)
    hour = Usage(input_tokens=1000, output_tokens=0, cache_write=1000, other={"cache_write_1h": 1000})
    amounts = [
        Decimal(known(price("anthropic", "claude-sonnet-4-5", usage, time_ns=NOVEMBER)).usd)
        for usage in (plain, short, hour)
    ]
    assert amounts == [Decimal("0.003"), Decimal("0.00375"), Decimal("0.006")]


@pytest.mark.parametrize(
    ("tier", "factor"), [(None, 1), ("default", 1), ("flex", "0.5"), ("priority", 2), ("batch", "0.5")]
)
def test_the_service_tier_that_served_the_call_decides_the_price(tier: str | None, factor: str | int) -> None:
    """Flex and batch are half, priority is double, for this model."""
    usage = Usage(input_tokens=1000, output_tokens=100)
    cost = known(price("openai", "gpt-5.2", usage, service_tier=tier, time_ns=NOVEMBER))
    assert Decimal(cost.usd) == Decimal("0.00315") * Decimal(factor)


def test_a_tier_without_a_known_price_has_no_cost() -> None:
    """The list would fall back to the standard price; that would be a wrong bill."""
    usage = Usage(input_tokens=1000, output_tokens=100)
    assert price("openai", "gpt-5.2", usage, service_tier="scale", time_ns=NOVEMBER) is None


def test_a_tier_whose_price_is_not_known_for_that_day_has_no_cost() -> None:
    """The list verified the flex rates on 2026-10-12 and says nothing about the days before."""
    before = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp()) * 10**9
    usage = Usage(input_tokens=1000, output_tokens=100)
    assert price("openai", "gpt-5.2", usage, service_tier="flex", time_ns=before) is None


def test_the_time_of_the_call_decides_not_the_time_of_asking() -> None:
    """o3 became cheaper on 2025-06-10."""
    usage = Usage(input_tokens=10**6, output_tokens=0)
    days = [datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)]
    amounts = [known(price("openai", "o3", usage, time_ns=int(day.timestamp()) * 10**9)).usd for day in days]
    assert amounts == ["10", "2"]


def test_an_hourly_price_changes_within_the_day() -> None:
    """DeepSeek sold the night cheaper in spring 2025: a price kept for a day would be wrong."""
    usage = Usage(input_tokens=10**6, output_tokens=0)
    hours = [datetime(2025, 4, 1, 10, tzinfo=UTC), datetime(2025, 4, 1, 20, tzinfo=UTC)]
    amounts = [
        Decimal(known(price("deepseek", "deepseek-chat", usage, time_ns=int(hour.timestamp()) * 10**9)).usd)
        for hour in hours
    ]
    assert amounts[1] < amounts[0]


def test_a_long_input_pays_the_higher_band_for_all_its_tokens() -> None:
    """Gemini doubles the input rate past 200,000 tokens."""
    short = known(price("gcp.gemini", "gemini-2.5-pro", Usage(input_tokens=200_000, output_tokens=0), time_ns=NOVEMBER))
    long = known(price("gcp.gemini", "gemini-2.5-pro", Usage(input_tokens=200_001, output_tokens=0), time_ns=NOVEMBER))
    assert (short.rates["input_mtok"], long.rates["input_mtok"]) == ("1.25", "2.5")
    assert Decimal(long.usd) == Decimal("0.5000025")


@pytest.mark.parametrize(
    ("provider", "model", "usage"),
    [
        ("openai", "no-such-model", Usage(input_tokens=1, output_tokens=1)),
        ("no-such-provider", "gpt-5.2", Usage(input_tokens=1, output_tokens=1)),
        ("openai", None, Usage(input_tokens=1, output_tokens=1)),
        ("openai", "gpt-5.2", None),
        ("openai", "gpt-5.2", Usage()),
        ("openai", "gpt-5.2", Usage(input_tokens=1)),
        ("openai", "gpt-5.2", Usage(input_tokens=1, output_tokens=1, cache_read=2)),
    ],
    ids=["model", "provider", "no model", "no usage", "no counts", "no output count", "contradiction"],
)
def test_what_is_not_known_for_certain_has_no_cost(provider: str, model: str | None, usage: Usage | None) -> None:
    """Absent, never 0: a sum over known costs must not be pulled down by unknown ones."""
    assert price(provider, model, usage, time_ns=NOVEMBER) is None


def test_an_embedding_has_a_cost_without_an_output_count() -> None:
    """Nobody reports output tokens of an embedding, and nobody charges for them."""
    cost = known(price("openai", "text-embedding-3-small", Usage(input_tokens=10**6), time_ns=NOVEMBER))
    assert (cost.usd, cost.output_usd) == ("0.02", "0")


def test_a_cost_says_where_it_comes_from() -> None:
    """Package version, hash of the price row and the rates let anybody recompute it years later."""
    document = known(price("openai", "gpt-5.2", Usage(input_tokens=1, output_tokens=1), time_ns=NOVEMBER)).as_json()
    cost = json.loads(document)
    assert json.dumps(cost, sort_keys=True, separators=(",", ":")) == document
    assert cost["price_version"] == f"{genai_prices.__version__}+{cost['price_row'][:12]}"
    assert cost["rates"]["input_mtok"] == "1.75"
    assert set(cost) == {"usd", "input_usd", "output_usd", "price_source", "price_version", "price_row", "rates"}


def test_an_estimate_says_so() -> None:
    """Where the tier that served the call, or the counts, are not the provider's word, the figure is marked."""
    cost = known(price("openai", "gpt-5.2", Usage(input_tokens=1, output_tokens=1), time_ns=NOVEMBER))
    assert json.loads(cost.as_json(is_estimated=True)) == json.loads(cost.as_json()) | {"estimated": True}


def test_a_negative_count_has_no_cost() -> None:
    """Some servers report them; a negative cost would be subtracted from somebody's bill."""
    assert price("openai", "gpt-5.2", Usage(input_tokens=1, output_tokens=-1), time_ns=NOVEMBER) is None


counts = st.integers(min_value=0, max_value=300_000)


@given(
    which=st.sampled_from(MODELS),
    fresh=counts,
    read=counts,
    written=counts,
    hour=counts,
    output=counts,
    reasoning=counts,
)
def test_our_fast_arithmetic_agrees_with_the_lists_own(
    *, which: tuple[str, str], fresh: int, read: int, written: int, hour: int, output: int, reasoning: int
) -> None:
    """For any counts: the total is the list's, the parts add up, and nothing is counted twice."""
    provider, model = which
    usage = Usage(
        input_tokens=fresh + read + written + hour,
        output_tokens=output + reasoning,
        cache_read=read,
        cache_write=written + hour,
        reasoning=reasoning,
        other={"cache_write_1h": hour},
    )
    ours = known(price(provider, model, usage, time_ns=NOVEMBER))
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=read,
            cache_write_tokens=written + hour,
            cache_write_1h_tokens=hour,
            output_reasoning_tokens=reasoning,
        ),
        model,
        provider_id={"gcp.gemini": "google", "x_ai": "x-ai"}.get(provider, provider),
        genai_request_timestamp=datetime.fromtimestamp(NOVEMBER / 10**9, UTC),
    )
    assert Decimal(ours.usd) == theirs.total_price
    assert Decimal(ours.input_usd) + Decimal(ours.output_usd) == Decimal(ours.usd)
    assert Decimal(ours.input_usd) == theirs.input_price


def test_audio_tokens_have_their_own_rate() -> None:
    """The list's own arithmetic takes over where modalities are priced apart."""
    text = Usage(input_tokens=1000, output_tokens=0)
    audio = Usage(input_tokens=1000, output_tokens=0, other={"input_audio": 1000})
    amounts = [Decimal(known(price("openai", "gpt-audio", usage, time_ns=NOVEMBER)).usd) for usage in (text, audio)]
    assert amounts[1] > amounts[0]


def test_counts_that_the_list_cannot_tell_apart_have_no_cost() -> None:
    """Cached and audio tokens both reported, their overlap not: any figure would be a guess."""
    usage = Usage(input_tokens=1000, output_tokens=0, cache_read=500, other={"input_audio": 800})
    assert price("openai", "gpt-realtime", usage, time_ns=NOVEMBER) is None


def test_importing_the_module_does_not_load_the_price_list() -> None:
    """The list takes a tenth of a second to load; `warm()` does it where nobody waits."""
    code = (
        "import sys, spanledger_semconv.cost as cost\n"
        "before = 'genai_prices' in sys.modules\n"
        "cost.warm()\n"
        "sys.exit(before or 'genai_prices' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_warming_twice_is_harmless() -> None:
    """Several threads may ask for it."""
    warm()
    warm()


def test_a_fee_per_request_is_part_of_the_cost() -> None:
    """Some providers charge for the search that a call makes."""
    usage = Usage(input_tokens=0, output_tokens=0)
    cost = known(price("perplexity", "sonar", usage, time_ns=NOVEMBER))
    assert Decimal(cost.usd) > 0


def test_searches_are_paid_apart() -> None:
    """Ten dollars per thousand, for this model."""
    usage = Usage(input_tokens=0, output_tokens=0, other={"web_searches": 100})
    assert known(price("openai", "gpt-5.2", usage, time_ns=NOVEMBER)).usd == "1"


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=1, other={"web_searches": 1}),
        Usage(input_tokens=1, output_tokens=1, other={"advisor_input": 5}),
    ],
    ids=["no output count", "another model's tokens"],
)
def test_counts_that_do_not_say_everything_have_no_cost(usage: Usage) -> None:
    """Also where the list's own arithmetic would take them."""
    assert price("openai", "gpt-5.2", usage, time_ns=NOVEMBER) is None


def test_output_tokens_without_a_known_rate_have_no_cost() -> None:
    """An embedding model that suddenly answers."""
    usage = Usage(input_tokens=1, output_tokens=1)
    assert price("openai", "text-embedding-3-small", usage, time_ns=NOVEMBER) is None


def test_names_made_up_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered is bounded, by names and by periods."""
    from spanledger_semconv import cost

    monkeypatch.setattr(cost, "_MOST_ENTRIES", 3)
    usage = Usage(input_tokens=1, output_tokens=1)
    for number in range(10):
        price("openai", f"made-up-{number}", usage, time_ns=NOVEMBER)
        price("openai", "gpt-5.2", usage, time_ns=NOVEMBER + number * 86_400 * 10**9)
    assert len(cost._schedules) <= 3
    assert all(len(schedule.prices) <= 3 for schedule in cost._schedules.values() if schedule)
