"""What a call cost, from the `genai-prices` list that is installed: offline, exact, or not at all.

Rules
- An unknown model, an unknown price for the service tier, or a missing count gives `None`, never 0.
- `input_tokens` includes cached and cache-write tokens: what has a rate of its own is taken out of it before it is
  priced, so that nothing is paid twice. What has no rate of its own stays in it. The same for reasoning in the output.
- The figure says where it comes from: package version, hash of the price row, and the rates that were applied.
- The list is loaded on the first call, never on import (it takes about a tenth of a second); `warm()` loads it from a
  background thread. A resolved price is kept per provider, model and tier, and per period in which it cannot change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final, NamedTuple

from spanledger_semconv.invocation import Usage

PRICE_SOURCE: Final = "genai-prices"

PROVIDERS: Final[Mapping[str, str]] = {
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "aws.bedrock": "aws",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "x_ai": "x-ai",
}
"""`gen_ai.provider.name` to the price list's provider id, where the two differ."""

STANDARD_TIERS: Final = frozenset({"", "default", "standard", "auto", "on_demand", "standard_only"})
"""Names under which providers sell at list price."""

OTHER_COUNTS: Final[Mapping[str, str]] = {
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "input_text": "input_text_tokens",
    "input_image": "input_image_tokens",
    "input_audio": "input_audio_tokens",
    "input_video": "input_video_tokens",
    "output_text": "output_text_tokens",
    "output_image": "output_image_tokens",
    "output_audio": "output_audio_tokens",
    "cache_read_text": "cache_text_read_tokens",
    "cache_read_image": "cache_image_read_tokens",
    "cache_read_audio": "cache_audio_read_tokens",
    "web_searches": "web_searches",
    "storage_searches": "storage_searches",
}
"""Keys of `Usage.other` that the price list can price, and its names for them."""

OTHER_MODELS: Final = ("advisor_input", "advisor_output")
"""Keys of `Usage.other` for tokens of another model: a bill that leaves them out would be wrong."""

_PLAIN: Final = frozenset(
    {
        "input_mtok",
        "output_mtok",
        "cache_read_mtok",
        "cache_write_mtok",
        "cache_write_1h_mtok",
        "output_reasoning_mtok",
    }
)
_TOKENS_PER_RATE: Final = -6  # rates are dollars per million tokens: a shift of the decimal point, exact
_NANOSECONDS: Final = 1_000_000_000
_DAY_S: Final = 86_400
_MINUTE_S: Final = 60
_MOST_ENTRIES: Final = 4_096  # a program that makes up model names must not fill the memory


class Cost(NamedTuple):
    """A price in US dollars as decimal strings; `rates` are dollars per million tokens unless their name says else.

    `price_row` is the lower-case hex SHA-256 of the price row; `price_version` is the package version and its start.
    `listed_json` repeats what the list says (row, source, version, rates) as members of a JSON object.
    """

    usd: str
    input_usd: str
    output_usd: str
    price_source: str
    price_version: str
    price_row: str
    rates: Mapping[str, str]
    listed_json: str

    def as_json(self, *, is_estimated: bool = False) -> str:
        """Return the envelope's `cost` as JSON with sorted keys; what all calls at one price repeat is encoded once."""
        estimated = '"estimated":true,' if is_estimated else ""
        parts = f'"input_usd":"{self.input_usd}","output_usd":"{self.output_usd}"'
        return f'{{{estimated}{parts},{self.listed_json},"usd":"{self.usd}"}}'


@dataclass(frozen=True, slots=True)
class _Band:
    """Rates per token for inputs longer than `above` tokens; `None` where a kind has no rate of its own.

    They are integers in units of 10^-`digits` dollars: as exact as decimals, and several times faster.
    """

    above: int
    digits: int
    input: int | None
    output: int | None
    cache_read: int | None
    cache_write: int | None
    cache_write_1h: int | None
    reasoning: int | None
    rates: Mapping[str, str]
    listed_json: str


@dataclass(frozen=True, slots=True)
class _Price:
    """One resolved price row. `special` are the keys of `Usage.other` that need the price list's own arithmetic."""

    row: Any
    version: str
    digest: str
    bands: tuple[_Band, ...]
    special: frozenset[str]
    is_plain: bool

    def band(self, input_tokens: int) -> _Band:
        """Return the rates for an input of this length; longer inputs come first."""
        for band in self.bands:
            if input_tokens > band.above:
                return band
        raise ValueError(f"expected a count of tokens, got {input_tokens}")


@dataclass(slots=True)
class _Schedule:
    """The prices of one provider, model and tier; `period_s` is the time in which a price cannot change."""

    model: Any
    is_own: bool
    period_s: int
    prices: dict[int, _Price | None]


_schedules: dict[tuple[str | None, str, str], _Schedule | None] = {}


def warm() -> None:
    """Load the price list, so that the first priced call does not pay for it; may run in any thread."""
    _snapshot()


def price(
    provider: str | None, model: str | None, usage: Usage | None, *, service_tier: str | None = None, time_ns: int
) -> Cost | None:
    """Return what `usage` cost at `time_ns` (Unix nanoseconds), or None when that is not known for certain.

    `provider` is a `gen_ai.provider.name`; `service_tier` is the tier that served the call, as the provider names it
    (`flex`, `priority`, `batch`, `fast`, …).
    """
    if not model or usage is None or usage.input_tokens is None or usage.input_tokens < 0:
        return None
    other = usage.other
    if other and any(other.get(key) for key in OTHER_MODELS):
        return None
    found = _find(provider, model, service_tier.lower() if service_tier else "", time_ns // _NANOSECONDS)
    if found is None:
        return None
    if not found.is_plain or (other and any(other.get(key) for key in found.special)):
        return _by_the_list(found, usage)
    return _plain(found, usage)


def _plain(found: _Price, usage: Usage) -> Cost | None:
    input_tokens, output_tokens = usage.input_tokens or 0, usage.output_tokens
    band = found.bands[0] if len(found.bands) == 1 else found.band(input_tokens)
    if (
        band.input is None
        or band.output is None
        or not output_tokens
        or output_tokens < 0
        or usage.cache_read
        or usage.cache_write
        or usage.reasoning
        or usage.other
    ):
        amounts = _by_parts(band, usage, input_tokens)
        if amounts is None:
            return None
        into, out = amounts
    else:  # most calls: two counts, two rates
        into, out = input_tokens * band.input, output_tokens * band.output
    return _cost(found, band, *_in_dollars((into, out, into + out), band.digits))


def _by_parts(band: _Band, usage: Usage, input_tokens: int) -> tuple[int, int] | None:
    """Price input and output, of which parts may have rates of their own; None where that is not known."""
    cache_read, cache_write = usage.cache_read, usage.cache_write
    parts: list[tuple[int | None, int | None]] = []
    if cache_read or cache_write or usage.other:
        hour = usage.other.get("cache_write_1h", 0) if band.cache_write_1h is not None else 0
        parts += (cache_read, band.cache_read), ((cache_write or 0) - hour, band.cache_write)
        parts.append((hour, band.cache_write_1h))
    into = _split(input_tokens, band.input, parts)
    out = _split(usage.output_tokens, band.output, ((usage.reasoning, band.reasoning),) if usage.reasoning else ())
    return None if into is None or out is None else (into, out)


def _split(total: int | None, rate: int | None, parts: Sequence[tuple[int | None, int | None]]) -> int | None:
    """Price `total` tokens of which some `parts` have rates of their own; None where that is not known."""
    if total is None:
        # Nobody reported the count: that costs nothing only where nothing is charged (an embedding has no output).
        return None if rate else 0
    if rate is None:
        return None if total else 0
    if not parts:
        return total * rate if total >= 0 else None
    amount = 0
    for count, part_rate in parts:
        if not count or part_rate is None:
            continue
        total -= count
        amount += count * part_rate
        if count < 0 or total < 0:  # the parts exceed the whole: the counts contradict each other
            return None
    return amount + total * rate


def _by_the_list(found: _Price, usage: Usage) -> Cost | None:
    """Let the price list do the arithmetic: modalities, cache lifetimes, searches, per-request fees."""
    band = found.band(usage.input_tokens or 0)
    if (usage.output_tokens is None and band.output) or (usage.output_tokens and band.output is None):
        return None
    try:
        parts = found.row.calc_price(_list_usage(usage))
    except (ValueError, LookupError, ArithmeticError):  # counts that the list calls contradictory or incomplete
        return None
    into, out, total = parts["input_price"], parts["output_price"], parts["total_price"]
    return _cost(found, band, _text(into), _text(out), _text(total))


def _list_usage(usage: Usage) -> Any:
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write,
        "output_reasoning_tokens": usage.reasoning,
    }
    counts |= {OTHER_COUNTS[key]: count for key, count in usage.other.items() if key in OTHER_COUNTS}
    return import_module("genai_prices").Usage(**{key: count for key, count in counts.items() if count is not None})


def _cost(found: _Price, band: _Band, into: str, out: str, total: str, /) -> Cost:
    return Cost(total, into, out, PRICE_SOURCE, found.version, found.digest, band.rates, band.listed_json)


def _in_dollars(amounts: tuple[int, int, int], digits: int) -> list[str]:
    """Give amounts in units of 10^-`digits` dollars as decimals without trailing zeros."""
    texts: list[str] = []
    for amount in amounts:
        text = str(amount)
        if len(text) <= digits:
            text = text.zfill(digits + 1)
        texts.append(f"{text[:-digits]}.{text[-digits:]}".rstrip("0").rstrip("."))
    return texts


def _text(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# Finding a price.


@cache
def _snapshot() -> Any:
    return import_module("genai_prices.data_snapshot").get_snapshot()


@cache
def _package_version() -> str:
    return version("genai-prices")


def _find(provider: str | None, model: str, tier: str, time_s: int) -> _Price | None:
    key = (provider, model, tier)
    try:
        schedule = _schedules[key]
    except KeyError:
        schedule = _remember(key)
    if schedule is None:
        return None
    period = time_s // schedule.period_s
    try:
        return schedule.prices[period]
    except KeyError:
        found = _resolve(schedule, tier, datetime.fromtimestamp(time_s, UTC))
        schedule.prices[period] = found
        return found


def _remember(key: tuple[str | None, str, str]) -> _Schedule | None:
    if len(_schedules) >= _MOST_ENTRIES:
        _schedules.clear()
    schedule = _schedules[key] = _schedule(key[0], key[1])
    return schedule


def _schedule(provider: str | None, model: str) -> _Schedule | None:
    name = PROVIDERS.get(provider, provider) if provider else None
    try:
        owner, info = _snapshot().find_provider_model(model, None, name, None)
    except LookupError:
        return None
    is_own = any(info is candidate for candidate in owner.models)
    return _Schedule(info, is_own, _MINUTE_S if _changes_within_a_day(info) else _DAY_S, {})


def _changes_within_a_day(info: Any) -> bool:
    prices = info.prices if isinstance(info.prices, list) else ()
    conditions = [item.constraint for item in (*prices, *(info.price_variants or ()))]
    return any(hasattr(condition, "start_time") for condition in conditions)


def _resolve(schedule: _Schedule, tier: str, moment: datetime) -> _Price | None:
    if len(schedule.prices) >= _MOST_ENTRIES:
        schedule.prices.clear()
    context = _context(tier)
    # The list falls back to the standard price for a tier that it does not know: that would be a wrong bill.
    if context and not (schedule.is_own and _has_variant(schedule.model, context, moment)):
        return None
    return _priced(schedule.model, schedule.model.get_prices(moment, context))


def _context(tier: str) -> dict[str, str] | None:
    if tier in STANDARD_TIERS:
        return None
    return {"processing": "batch"} if tier == "batch" else {"service_tier": tier, "speed": tier}


def _has_variant(model: Any, context: Mapping[str, str], moment: datetime) -> bool:
    return any(
        (variant.constraint is None or variant.constraint.active(moment))
        and all(context.get(key) == value for key, value in variant.when.items())
        for variant in model.price_variants or ()
    )


def _priced(model: Any, row: Any) -> _Price:
    rates = {key: value for key, value in row.__dict__.items() if value is not None}
    document = {"model": model.id, "rates": {key: _described(value) for key, value in sorted(rates.items())}}
    digest = sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    starts = sorted({tier.start for value in rates.values() for tier in getattr(value, "tiers", ())}, reverse=True)
    price_version = f"{_package_version()}+{digest[:12]}"
    return _Price(
        row=row,
        version=price_version,
        digest=digest,
        bands=tuple(_band(rates, above, price_version, digest) for above in (*starts, -1)),
        special=_special(rates),
        is_plain="requests_kcount" not in rates,
    )


def _described(value: Any) -> Any:
    if isinstance(value, Decimal):
        return _text(value)
    return {"base": _text(value.base), "tiers": [[tier.start, _text(tier.price)] for tier in value.tiers]}


def _special(rates: Mapping[str, Any]) -> frozenset[str]:
    """Return the keys of `Usage.other` that this row prices apart and that our own arithmetic does not cover."""
    units = import_module("genai_prices.data_units").unit_data
    priced = {usage_key for usage_key, unit in units.items() if unit.get("price_key", usage_key) in rates}
    return frozenset(key for key, usage_key in OTHER_COUNTS.items() if usage_key in priced) - {"cache_write_1h"}


def _band(rates: Mapping[str, Any], above: int, price_version: str, digest: str) -> _Band:
    applied = {key: _applied(value, above) for key, value in rates.items()}
    texts = {key: _text(rate) for key, rate in sorted(applied.items())}
    per_token = {key: rate.scaleb(_TOKENS_PER_RATE) for key, rate in applied.items() if key in _PLAIN}
    digits = max((_places(rate) for rate in per_token.values()), default=1)
    units = {key: int(rate.scaleb(digits)) for key, rate in per_token.items()}
    listed = {"price_row": digest, "price_source": PRICE_SOURCE, "price_version": price_version, "rates": texts}
    return _Band(
        above=above,
        digits=digits,
        input=units.get("input_mtok"),
        output=units.get("output_mtok"),
        cache_read=units.get("cache_read_mtok"),
        cache_write=units.get("cache_write_mtok"),
        cache_write_1h=units.get("cache_write_1h_mtok"),
        reasoning=units.get("output_reasoning_mtok"),
        rates=texts,
        listed_json=json.dumps(listed, sort_keys=True, separators=(",", ":"))[1:-1],
    )


def _places(rate: Decimal) -> int:
    """Count the digits behind the decimal point, at least one."""
    exponent = rate.as_tuple().exponent
    return max(1, -exponent if isinstance(exponent, int) else 0)


def _applied(value: Any, above: int) -> Decimal:
    if isinstance(value, Decimal):
        return value
    passed = [tier.price for tier in value.tiers if tier.start <= above]
    result: Decimal = passed[-1] if passed else value.base
    return result
