"""A timeline for the terminal: what ran when, inside what, for how long, with versions, tokens, money and content.

    CASE-1 · 10 events · 2 model calls · 1 tool call · 1 review · $0.0053 · 3.76 s · from 2026-11-02 08:00:00.001 UTC

    08:00:00.001  invoke_agent triage            3.46 s  ████████████████████
    08:00:00.036    chat gpt-5                   900 ms  ·█████
                      gpt-5-2026-09-01 · prompt triage 2.0.0 · 820 tokens in, 64 out · $0.0017 · success · anchored
                      user      Alert CASE-1: 40 failed logins …

A content that was shown once is not shown again, because a conversation is resent with every turn: one line says so,
with the beginning of its reference and when it was shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Final

from spanledger_exporter.read.contents import ReadableContent
from spanledger_exporter.read.event import Event, depths, moment
from spanledger_exporter.read.facts import facts
from spanledger_exporter.read.figures import format_clock, format_duration, format_money, format_time, format_visible

BAR: Final = 24
NAME: Final = 40
LINES_PER_CONTENT: Final = 4

Style = Callable[[str, str], str]
"""Takes text and a style's name (`bold`, `dim`, `red`, `green`, `yellow`); returns the text to print."""

TROUBLE = {"error": "red", "incomplete": "yellow", "cancelled": "yellow", "escalated": "yellow"}


def plain(text: str, _style: str) -> str:
    """Return `text` as it is."""
    return text


@dataclass(frozen=True, slots=True)
class WaterfallOptions:
    """How to render: `contents` is None for no content; `full` shows contents whole."""

    contents: Mapping[str, ReadableContent] | None = None
    full: bool = False
    utc: bool = False
    facts: bool = True
    style: Style = plain


def format_waterfall(title: str, events: Sequence[Event], options: WaterfallOptions) -> str:
    """Return the timeline of `events`, which stand in causal order."""
    if not events:
        return f"{format_visible(title)}: nothing found\n"
    deep = depths(events)
    first, last = min(e.start_ns for e in events), max(e.end_ns for e in events)
    lines = [options.style(f"{format_visible(title)} · {summary(events, utc=options.utc)}", "bold"), ""]
    shown: dict[str, str] = {}
    days = _days(events, utc=options.utc)
    before = days[0] if len(set(days)) == 1 else ""
    for event, day in zip(events, days, strict=True):
        if day != before:  # a case of several days: the time of day alone would mislead
            lines.append(options.style(day, "bold"))
        before = day
        indent = "  " * min(deep[event.event_id], 8)
        lines.append(_bar_line(event, indent, first=first, last=last, options=options))
        if options.facts:
            margin = " " * 16 + indent
            lines.append(options.style(margin + format_visible(" · ".join(facts(event))), "dim"))
            lines += [margin + line for line in _content_lines(event, options, shown)]
    return "\n".join(lines) + "\n"


def _days(events: Sequence[Event], *, utc: bool) -> list[str]:
    """Return the day of each event, with its distance from UTC where clocks were set in between."""
    times = [format_time(event.start, utc=utc) for event in events]
    zones = [time.rpartition(" ")[2] for time in times]
    return [
        f"{time[:10]} {zone}" if len(set(zones)) > 1 else time[:10] for time, zone in zip(times, zones, strict=True)
    ]


def summary(events: Sequence[Event], *, utc: bool) -> str:
    """Return counts, cost, span of time and start in one line."""
    kinds = {"model_call": "model call", "tool_call": "tool call", "human_review": "review"}
    parts = [_count(len(events), "event")]
    parts += [_count(sum(e.event_type == kind for e in events), word) for kind, word in kinds.items()]
    cost, unknown = total_cost(events)
    parts.append(format_money(cost) + (f" (+ {_count(unknown, 'call')} without a known price)" if unknown else ""))
    first, last = min(e.start_ns for e in events), max(e.end_ns for e in events)
    parts += [format_duration((last - first) / 1e6), f"from {format_time(moment(first), utc=utc)}"]
    return " · ".join(part for part in parts if part and not part.startswith("0 "))


def total_cost(events: Iterable[Event]) -> tuple[Decimal | None, int]:
    """Return the known cost of all calls, None when none is known, and how many calls have no known price."""
    calls = [event for event in events if event.event_type in {"model_call", "embedding"}]
    known = [cost for event in calls if (cost := event.cost_usd) is not None]
    return (sum(known, Decimal(0)) if known else None), len(calls) - len(known)


def _bar_line(event: Event, indent: str, *, first: int, last: int, options: WaterfallOptions) -> str:
    name = (indent + format_visible(event.text("name") or event.event_type))[:NAME].ljust(NAME)
    colour = TROUBLE.get(event.outcome, "")
    span = max(last - first, 1)
    left = min(BAR - 1, BAR * (event.start_ns - first) // span)
    width = max(1, min(BAR - left, round(BAR * (event.end_ns - event.start_ns) / span)))
    bar = "·" * left + "█" * width + "·" * (BAR - left - width)
    duration = format_duration(event.duration_ms) if event.duration_ms is not None else event.outcome
    clock = format_clock(event.start, utc=options.utc)
    return f"{clock}  {options.style(name, colour or 'bold')} {duration:>11}  {options.style(bar, colour or 'green')}"


def _content_lines(event: Event, options: WaterfallOptions, shown: dict[str, str]) -> list[str]:
    """Return the texts of an event; `shown` says at which time each text was shown already."""
    if options.contents is None:
        return []
    lines: list[str] = []
    clock = format_clock(event.start, utc=options.utc)
    for label, again in groupby(_labels(event, options.contents), key=lambda item: (item[0], item[1] in shown)):
        references = [reference for _, reference in again]
        if label[1]:
            lines += _labelled(label[0], _as_before(references, shown), options)
            continue
        for reference in references:
            text = _as_before([reference], shown) if reference in shown else options.contents[reference].text
            shown.setdefault(reference, clock)
            lines += _labelled(label[0], text, options)
    message = options.contents.get(event.text("error", "message_ref"))
    return lines + (_labelled("error", message.text, options) if message else [])


def _labels(event: Event, contents: Mapping[str, ReadableContent]) -> list[tuple[str, str]]:
    """Return label and reference of each part of an event whose content is known."""
    found: list[tuple[str, str]] = []
    for item in event.items():
        label = str(item.get("type") if item.get("type") not in {"text", None} else item.get("role", "text"))
        if str(item.get("ref", "")) in contents:
            found.append((label, str(item["ref"])))
    return found


def _as_before(references: Sequence[str], shown: Mapping[str, str]) -> str:
    """Say that texts were shown, where, and under which references: nobody should think that they were missing."""
    first = references[0]
    if len(references) == 1:
        return f"the same as at {shown[first]} ({first[:8]}…)"
    return f"{len(references)} texts, the same as above since {shown[first]} ({first[:8]}… to {references[-1][:8]}…)"


def _labelled(label: str, text: str, options: WaterfallOptions) -> list[str]:
    lines = format_visible("\n".join(text.splitlines())).split("\n")
    kept = lines if options.full else lines[:LINES_PER_CONTENT]
    if len(kept) < len(lines):
        kept = [*kept, f"… {len(lines) - len(kept)} more lines (--full)"]
    width = 10_000_000 if options.full else 160
    label = f"{format_visible(label)[:18]:<18} "
    return [
        (options.style(label, "dim") if index == 0 else " " * len(label))
        + (line if len(line) <= width else line[:width] + "…")
        for index, line in enumerate(kept)
    ]


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
