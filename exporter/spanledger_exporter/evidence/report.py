r"""The page for people in a bundle: what happened, in order, with texts and places; opens offline, prints well.

The page is not evidence. It says so, and names the hash of every row, so that a reader can find it in the verdict.

Rules
- One event is one article: the row that was written before a request left is folded into the one that completes it, and
  one that nothing completed says so. What came over OTLP for the same span is named there too, with what only it says.
- A text stands there once; where it was sent again, the page says so and leads to it. Nothing is left out in silence.
- Where several tenants stand in one bundle, the head names them and each article says whose it is.
- What would move, hide or turn other text around is shown as what it is (`\u202e`); the bytes lie under `content/`.
- Every article says whether the bundle proves its rows, and the head how many it does not. What does not fit its own
  hash is marked ALTERED: nobody should read it for what was recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from html import escape
from importlib.resources import files
from typing import Any

from spanledger_exporter.ledger.content import content_ref
from spanledger_exporter.ledger.row import row_hashes
from spanledger_exporter.read.event import Event, fold, in_causal_order, moment
from spanledger_exporter.read.figures import format_duration, format_visible
from spanledger_exporter.verify.source import ContentRow, Place, ReceiptRow, RowTuple
from spanledger_exporter.verify.standalone import NOT_PROVED

MAX_TEXT = 4_000
"""Characters shown of one text; the whole of it lies under `content/` in the bundle."""

ALTERED = "<p class=error>ALTERED: these bytes do not fit their reference, so they are not what was recorded</p>"

KINDS = {"chain.open": "recording began", "chain.close": "recording ended"}

TERMS = {
    "Row": "one thing that was written down, when it happened; its hash (64 digits) changes with every letter of it",
    "Chain": "the rows of one running program; each names the hash of the one before, so none can be taken out",
    "Content": "a text or document; its reference is made from its very bytes",
    "Checkpoint": "a signed statement about every row up to then; it cannot be signed again over other rows unnoticed",
    "Anchor": "a place outside the database that was given a checkpoint to keep",
    "UTC": "coordinated universal time: every time on this page, by the clock of the machine that recorded it",
    "Incomplete": "it began, and its end was never recorded: the program was stopped, or it was still running",
}
"""What the words on the page mean, for somebody who is not an engineer."""


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What stands at the head of the page; `unsigned` says why the manifest is not signed, empty when it is."""

    scope: Mapping[str, Any]
    created_at: str
    origin: str
    pin: str
    checkpoints: Sequence[str]
    proved: Mapping[Place, int] = field(default_factory=dict[Place, int])
    receipts: Sequence[ReceiptRow] = ()
    unsigned: str = ""


def render_report(rows: Sequence[RowTuple], contents: Mapping[bytes, ContentRow], facts: ReportFacts) -> str:
    """Return the page as HTML, without anything that a browser would have to fetch."""
    read = [Event.from_row(row[0].hex(), row[1], row[6].hex(), row[3], row[4]) for row in rows]
    events = in_causal_order(fold(read))
    tenants = sorted({row[7] for row in rows})
    altered = {(row[0].hex(), row[1], row[6].hex()) for row in rows if not _holds(row)}
    page = _Page(contents, facts, altered=altered, is_shared=len(tenants) > 1)
    style = files("spanledger_exporter.evidence").joinpath("report.css").read_text(encoding="utf-8")
    articles = (page.event(event) for event in events)
    body = "".join([*_head(rows, events, facts, tenants), "<main>", *articles, "</main>", *_foot(facts)])
    title = f"Evidence: {scope_words(facts.scope)}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_safe(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{style}</style></head><body>{body}</body></html>\n'
    )


def _head(
    rows: Sequence[RowTuple], events: Sequence[Event], facts: ReportFacts, tenants: Sequence[str]
) -> Iterator[str]:
    yield f"<header><h1>Evidence: {_safe(scope_words(facts.scope))}</h1><dl>"
    yield _pair("What happened", _summary(events))
    if len(tenants) > 1:
        yield _pair("Tenants", f"{len(tenants)} IN ONE BUNDLE: {', '.join(tenants)}")
    yield _pair("Log", facts.origin or "not sealed yet")
    yield _pair("Made", f"{datetime.fromisoformat(facts.created_at):%Y-%m-%d %H:%M:%S} UTC")
    writers = len({row[0] for row in rows})
    yield _pair("Rows", f"{len(rows)}, by {writers} writer{'' if writers == 1 else 's'}, in {len(events)} events")
    if events:
        first, last = min(event.start_ns for event in events), max(event.end_ns for event in events)
        yield _pair("From, to", f"{_time(first)} — {_time(last)}")
    yield _pair("Trust root", facts.pin or "none in this bundle")
    yield from _reach(rows, facts)
    yield "</dl><p class=lead>This page is for reading, and proves nothing by itself. The proof is in the bundle: "
    yield "<code>python verify.py bundle.zip --trust-root SHA256</code> with a digest, and a copy of verify.py, that "
    yield "you got from somebody you trust.</p></header>"


def _reach(rows: Sequence[RowTuple], facts: ReportFacts) -> Iterator[str]:
    """Say how far the proofs in the bundle reach, whatever its verdict will be."""
    proved = sum((row[0], row[1]) in facts.proved for row in rows)
    without = len(rows) - proved
    missing = f"; {without} HAVE NONE, they were not sealed when the bundle was made" if without else ""
    yield _pair("Proofs", f"for {proved} of {len(rows)} rows{missing}")
    anchors = sorted({f"{row.kind} {row.target}" for row in facts.receipts})
    yield _pair("Anchors that gave a receipt", ", ".join(anchors) or "NONE: nothing outside vouches for these rows")
    if facts.unsigned:
        yield _pair("Signature", f"NONE, so rows may have been left out: {facts.unsigned}")


def _summary(events: Sequence[Event]) -> str:
    """Count what happened, and what it cost as far as prices are known."""
    counts = Counter(event.event_type for event in events if event.event_type not in KINDS)
    told = ", ".join(f"{count} × {(kind or 'unreadable').replace('_', ' ')}" for kind, count in counts.most_common())
    costs = [event.text("cost", "usd") for event in events if event.event_type == "model_call"]
    known = [amount for text in costs if (amount := _amount(text)) is not None]
    if known:
        told += f", for {sum(known, Decimal()):f} USD"
    if len(known) < len(costs):
        told += f" ({len(costs) - len(known)} of {len(costs)} model calls at an unknown price)"
    return told or "nothing but the recording itself"


def _amount(text: str) -> Decimal | None:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def scope_words(scope: Mapping[str, Any]) -> str:
    """Return a scope, as the manifest states it, for people."""
    names = {"case_id": "case", "trace_id": "trace", "tenant": "tenant", "since_ns": "since", "until_ns": "until"}
    shown = [f"{names[name]} {_time(int(value)) if name.endswith('_ns') else value}" for name, value in scope.items()]
    return ", ".join(shown) or "the whole ledger"


class _Page:
    """The articles of one page; remembers which texts it has shown."""

    def __init__(
        self,
        contents: Mapping[bytes, ContentRow],
        facts: ReportFacts,
        *,
        altered: AbstractSet[tuple[str, int, str]],
        is_shared: bool,
    ) -> None:
        self._contents = contents
        self._facts = facts
        self._altered = altered
        self._is_shared = is_shared
        self._shown: set[str] = set()

    def event(self, event: Event) -> str:
        """Return the article of one event."""
        kind = event.event_type or "unreadable"
        word = KINDS.get(kind, kind.replace("_", " "))
        name = (event.text("name") or event.text("operation")).removeprefix(f"{kind} ")
        tenant = [_pair("Tenant", event.text("tenant"))] if self._is_shared else []
        lines = [
            f'<article class="{escape(kind.partition(".")[0])}"><h2><time>{_time(event.start_ns)}</time> ',
            f"<b>{_safe(word)}</b> {_safe(name if name != kind else '')}",
            f' <span class="outcome {escape(event.outcome)}">{escape(event.outcome)}</span></h2><dl>',
            *tenant,
            *(_pair(label, value) for label, value in _facts(event)),
            "</dl>",
            *self._parts(event),
            *(part for row in event.received for part in self._parts(row, besides=event.references())),
            *self._places(event),
            "</article>",
        ]
        return "".join(lines)

    def _places(self, event: Event) -> Iterator[str]:
        if event.is_intent:
            yield "<p class=gone>It was written down before the request was sent; no end of it was recorded.</p>"
        elif event.intent is not None:
            yield self._place(event.intent, " (written before the request was sent)")
        yield self._place(event, "")
        for row in event.received:
            yield self._place(row, " (the same span, as it came over OTLP)")

    def _place(self, event: Event, what: str) -> str:
        if (event.chain, event.seq, event.row_hash) in self._altered:
            what += " · ALTERED: this row does not fit its hash, so it is not what was recorded"
        size = self._facts.proved.get((bytes.fromhex(event.chain), event.seq))
        held = any(row.size == size for row in self._facts.receipts)
        proof = "no proof: not sealed yet" if size is None else f"its proof leads to the checkpoint of size {size}"
        proof += "" if size is None or held else ", which no anchor took yet"
        return f"<p class=place>chain {event.chain} row {event.seq}{what} · {event.row_hash} · {proof}</p>"

    def _parts(self, event: Event, *, besides: Collection[str] = ()) -> Iterator[str]:
        """Yield the texts of a row but those under the references `besides`, which another row of the event has."""
        for direction in ("input", "output"):
            items = event.at(direction)
            for item in items if isinstance(items, list) else ():
                if isinstance(item, Mapping) and item.get("ref") not in besides:
                    label = " ".join(str(item[key]) for key in ("role", "type", "name") if key in item)
                    yield self._part(f"{direction}: {label.replace('_', ' ')}", item, direction)
        message = event.text("error", "message_ref")
        if message and message not in besides:
            yield self._part("error message", {"ref": message}, "output")
        rest = event.text("attributes_ref", "ref") or event.text("attributes_ref")
        if rest and rest not in besides:
            yield f"<p class=place>everything else that was recorded of it: content {escape(rest)}</p>"

    def _part(self, label: str, item: Mapping[str, Any], direction: str) -> str:
        ref = str(item.get("ref", ""))
        is_hex = len(ref) == 64 and not set(ref) - set("0123456789abcdef")
        content = self._contents.get(bytes.fromhex(ref)) if is_hex else None
        is_withheld = item.get("class") == "withheld"  # perhaps recorded elsewhere: that text stands there, not here
        if ref in self._shown and not is_withheld:
            return (
                f'<section class="{direction}"><h3>{_safe(label)}</h3>'
                f'<p class=gone>the same as <a href="#c{ref}">shown above</a> (content {ref[:12]}…)</p></section>'
            )
        mark = ""
        if content is not None and not is_withheld:
            self._shown.add(ref)
            mark = f' id="c{ref}"'
        return (
            f'<section class="{direction}"{mark}><h3>{_safe(label)}</h3>{_shown(item, content)}'
            f"<p class=place>content {escape(ref)}</p></section>"
        )


def _facts(event: Event) -> Iterator[tuple[str, str]]:
    who = [event.text("actor", key) for key in ("type", "id", "role")]
    named = (
        ("Who", " ".join(filter(None, who))),
        ("Case", event.text("context", "case_id")),
        ("About", event.text("parent_event_id")),
        ("Model", " ".join(filter(None, (event.text("snapshot", "provider"), event.model)))),
        ("Took", format_duration(event.duration_ms)),
        ("Cost", f"{event.text('cost', 'usd')} USD" if event.text("cost", "usd") else ""),
        ("Confidence", "" if event.text("decision", "confidence") else event.text("confidence")),
        ("Error", event.text("error", "type")),
    )
    yield from ((label, value) for label, value in named if value)
    yield from _versions(event)
    if event.at("usage"):
        given, answered = (event.text("usage", name) or "?" for name in ("input_tokens", "output_tokens"))
        yield "Tokens", f"{given} in, {answered} out"
    for name in ("decision", "review", "action", "escalation", "access", "loss"):
        yield from _body(event.at(name))
    yield from _body({name: event.at("chain", name) for name in ("role", "host", "content", "durability")})


def _versions(event: Event) -> Iterator[tuple[str, str]]:
    """Yield what was in force: prompt, policy, retrieval index, data set, workflow."""
    for part in ("prompt", "policy", "retrieval", "dataset", "workflow"):
        held = event.at("snapshot", part)
        values = held if isinstance(held, Mapping) else {"name": held} if held else {}
        shown = " ".join(str(values[key]) for key in ("name", "index", "id", "version", "hash") if values.get(key))
        if shown:
            yield part.capitalize(), shown


def _body(body: Any) -> Iterator[tuple[str, str]]:
    """Yield the members of a structured body; lists and nested members in one line each."""
    for key, value in body.items() if isinstance(body, Mapping) else ():
        text = _flat(value)
        if text:
            yield key.replace("_", " ").capitalize(), text


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {_flat(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "; ".join(map(_flat, value))
    return "" if value is None else {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _shown(item: Mapping[str, Any], content: ContentRow | None) -> str:
    media = str(item.get("media") or (content.media if content is not None else ""))
    if item.get("class") == "withheld":
        return "<p class=gone>withheld: only its reference was recorded</p>"
    if content is None:
        return "<p class=gone>not in the store</p>"
    if content.key_id:
        return "<p class=gone>encrypted for the auditor</p>"
    if not media.startswith(("text/", "application/json")):
        return f"<p class=gone>{content.size:,} bytes of {escape(media)}: see the file under content/</p>"
    warning = "" if content_ref(content.media, content.data) == content.ref else ALTERED
    text = content.data.decode("utf-8", "replace")
    cut = f"\n… {len(text) - MAX_TEXT:,} more characters under content/" if len(text) > MAX_TEXT else ""
    if not text:
        return f"{warning}<p class=gone>empty</p>"
    return f"{warning}<pre>{_safe(text[:MAX_TEXT])}{cut}</pre>"


def _foot(facts: ReportFacts) -> Iterator[str]:
    yield "<footer><h2>What the bundle does not prove</h2><ul>"
    yield from (f"<li>{escape(line)}</li>" for line in NOT_PROVED)
    yield "</ul><h2>Words on this page</h2><dl class=terms>"
    yield from (_pair(term, meaning) for term, meaning in TERMS.items())
    yield "</dl><h2>Checkpoints</h2>"
    yield from (f"<pre>{escape(note)}</pre>" for note in facts.checkpoints)
    yield "</footer>"


def _time(time_ns: int) -> str:
    return moment(time_ns).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def _safe(text: str) -> str:
    return escape(format_visible(text))


def _holds(row: RowTuple) -> bool:
    chain, seq, prev_hash, time_ns, env, digest, link, _ = row
    return (digest, link) == row_hashes(chain, seq, prev_hash, time_ns, env)


def _pair(label: str, value: str) -> str:
    return f"<div><dt>{_safe(label)}</dt><dd>{_safe(value)}</dd></div>"
