"""The page for people in a bundle: what happened, in order, with texts and places; opens offline, prints well.

The page is not evidence. It says so, and names the hash of every row, so that a reader can find it in the verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import Any

from spanledger_exporter.verify.envelopes import parse_envelope
from spanledger_exporter.verify.source import ContentRow, RowTuple
from spanledger_exporter.verify.standalone import NOT_PROVED

MAX_TEXT = 4_000
"""Characters shown of one text; the whole of it lies under `content/` in the bundle."""


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What stands at the head of the page."""

    scope: Mapping[str, Any]
    created_at: str
    origin: str
    pin: str
    checkpoints: Sequence[str]


def render_report(rows: Sequence[RowTuple], contents: Mapping[bytes, ContentRow], facts: ReportFacts) -> str:
    """Return the page as HTML, without anything that a browser would have to fetch."""
    parsed = [(row, parse_envelope(row[4]) or {}) for row in rows]
    ordered = sorted(parsed, key=lambda pair: (_start_ns(pair[0], pair[1]), pair[0][1]))
    style = files("spanledger_exporter.evidence").joinpath("report.css").read_text(encoding="utf-8")
    body = "".join(
        [
            *_head(ordered, facts),
            "<main>",
            *(_event(row, envelope, contents) for row, envelope in ordered),
            "</main>",
            *_foot(facts),
        ]
    )
    title = f"Evidence: {_scope(facts.scope)}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{style}</style></head><body>{body}</body></html>\n'
    )


def _head(ordered: Sequence[tuple[RowTuple, Mapping[str, Any]]], facts: ReportFacts) -> Iterator[str]:
    yield f"<header><h1>Evidence: {escape(_scope(facts.scope))}</h1><dl>"
    yield _pair("Log", facts.origin or "not sealed yet")
    yield _pair("Made", facts.created_at)
    writers = len({row[0] for row, _ in ordered})
    yield _pair("Rows", f"{len(ordered)}, by {writers} writer{'' if writers == 1 else 's'}")
    if ordered:
        first, last = (_start_ns(*ordered[index]) for index in (0, -1))
        yield _pair("From, to", f"{_time(first)} — {_time(last)}")
    yield _pair("Trust root", facts.pin or "none in this bundle")
    yield "</dl><p class=lead>This page is for reading. The proof is in the bundle: <code>python verify.py bundle.zip"
    yield " --trust-root SHA256</code> with a digest that you got from somebody you trust.</p></header>"


def _scope(scope: Mapping[str, Any]) -> str:
    names = {"case_id": "case", "trace_id": "trace", "tenant": "tenant", "since_ns": "since", "until_ns": "until"}
    shown = [f"{names[name]} {_time(int(value)) if name.endswith('_ns') else value}" for name, value in scope.items()]
    return ", ".join(shown) or "the whole ledger"


def _event(row: RowTuple, envelope: Mapping[str, Any], contents: Mapping[bytes, ContentRow]) -> str:
    kind = str(envelope.get("event_type", "unreadable"))
    outcome = str(envelope.get("outcome", ""))
    name = str(envelope.get("name", "") or envelope.get("operation", ""))
    if str(envelope.get("event_id", "")).endswith(":begin"):
        name += " (about to begin)"
    lines = [
        f'<article class="{escape(kind.partition(".")[0])}"><h2><time>{_time(_start_ns(row, envelope))}</time> ',
        f"<b>{escape(kind.replace('_', ' '))}</b> {escape(name)}",
        f' <span class="outcome {escape(outcome)}">{escape(outcome)}</span></h2><dl>',
        *(_pair(label, value) for label, value in _facts(envelope)),
        "</dl>",
        *_parts(envelope, contents),
        f"<p class=place>chain {row[0].hex()} row {row[1]} · {row[6].hex()}</p></article>",
    ]
    return "".join(lines)


def _facts(envelope: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    actor = _object(envelope, "actor")
    if actor:
        yield "Who", " ".join(str(actor[key]) for key in ("type", "id", "role") if key in actor)
    snapshot = _object(envelope, "snapshot")
    model = snapshot.get("model") or snapshot.get("model_requested")
    if model:
        yield "Model", " ".join(str(part) for part in (snapshot.get("provider"), model) if part)
    prompt = _object(snapshot, "prompt")
    if prompt:
        yield "Prompt", " ".join(str(prompt[key]) for key in ("name", "version", "hash") if key in prompt)
    usage = _object(envelope, "usage")
    if usage:
        yield "Tokens", f"{usage.get('input_tokens', '?')} in, {usage.get('output_tokens', '?')} out"
    cost = _object(envelope, "cost")
    if "usd" in cost:
        yield "Cost", f"{cost['usd']} USD"
    error = _object(envelope, "error")
    if error:
        yield "Error", str(error.get("type", ""))
    for name in ("decision", "review", "action", "access"):
        yield from _body(_object(envelope, name))
    chain = _object(envelope, "chain")
    yield from _body({name: chain[name] for name in ("role", "host", "content", "durability") if name in chain})


def _body(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in body.items():
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            yield key.replace("_", " ").capitalize(), str(value)


def _parts(envelope: Mapping[str, Any], contents: Mapping[bytes, ContentRow]) -> Iterator[str]:
    for direction in ("input", "output"):
        items = envelope.get(direction)
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict):
                yield _part(direction, item, contents)


def _part(direction: str, item: Mapping[str, Any], contents: Mapping[bytes, ContentRow]) -> str:
    ref = str(item.get("ref", ""))
    label = " ".join(str(item[key]) for key in ("role", "type", "name") if key in item)
    content = contents.get(bytes.fromhex(ref)) if len(ref) == 64 and not set(ref) - set("0123456789abcdef") else None
    return (
        f'<section class="{direction}"><h3>{direction}: {escape(label)}</h3>{_shown(item, content)}'
        f"<p class=place>content {escape(ref)}</p></section>"
    )


def _shown(item: Mapping[str, Any], content: ContentRow | None) -> str:
    media = str(item.get("media", ""))
    if item.get("class") == "withheld":
        return "<p class=gone>withheld: only its reference was recorded</p>"
    if content is None:
        return "<p class=gone>not in the store</p>"
    if content.key_id:
        return "<p class=gone>encrypted for the auditor</p>"
    if not media.startswith(("text/", "application/json")):
        return f"<p class=gone>{content.size:,} bytes of {escape(media)}: see the file under content/</p>"
    text = content.data.decode("utf-8", "replace")
    cut = f"\n… {len(text) - MAX_TEXT:,} more characters under content/" if len(text) > MAX_TEXT else ""
    return f"<pre>{escape(text[:MAX_TEXT])}{cut}</pre>"


def _foot(facts: ReportFacts) -> Iterator[str]:
    yield "<footer><h2>What the bundle does not prove</h2><ul>"
    yield from (f"<li>{escape(line)}</li>" for line in NOT_PROVED)
    yield "</ul><h2>Checkpoints</h2>"
    yield from (f"<pre>{escape(note)}</pre>" for note in facts.checkpoints)
    yield "</footer>"


def _start_ns(row: RowTuple, envelope: Mapping[str, Any]) -> int:
    start = _object(envelope, "time").get("start")
    return int(start) if isinstance(start, str) and start.isdecimal() else row[3]


def _time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


def _object(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def _pair(label: str, value: str) -> str:
    return f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>"
