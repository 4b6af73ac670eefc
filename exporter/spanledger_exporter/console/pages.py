"""The pages: search, case and trace, one event with its proof, verdict, review queue, access log, downloads.

Rules
- A page about events records the access first; what it then shows is limited to the person's tenant.
- Whatever blocks runs in a thread.
- A failure is a page that says what was expected and what to do, never a traceback.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from spanledger_exporter.console.forms import Sessions
from spanledger_exporter.console.ledger import ConsoleLedger
from spanledger_exporter.console.options import ConsoleOptions, Person
from spanledger_exporter.console.rendering import Pages
from spanledger_exporter.errors import UsageError
from spanledger_exporter.read.at_once import at_once
from spanledger_exporter.read.contents import load_contents
from spanledger_exporter.read.criteria import Criteria
from spanledger_exporter.read.event import Event, depths
from spanledger_exporter.read.exporting import export_rows
from spanledger_exporter.read.finding import find_case, find_named, find_trace, search_page
from spanledger_exporter.read.newest import newest_stored_us
from spanledger_exporter.read.proof import RowProof, prove_row, prove_spooled
from spanledger_exporter.read.queue import waiting
from spanledger_exporter.read.unshipped import Unshipped
from spanledger_exporter.read.waterfall import summary, total_cost
from spanledger_exporter.read.when import parse_span
from spanledger_exporter.store.connection import Store

PAGE_SIZE: Final = 25
MAX_PAGE: Final = 999_999
MAX_EVENTS_SHOWN: Final = 2_000


class Console:
    """The handlers, with what they need."""

    def __init__(self, ledger: ConsoleLedger, options: ConsoleOptions, sessions: Sessions) -> None:
        self.ledger, self.options, self.sessions = ledger, options, sessions
        self.pages = Pages(sessions)
        self.verdict: dict[str, Any] | None = None
        self.verdict_at_s = 0.0

    async def search(self, request: Request) -> Response:
        """Show the newest events that meet the criteria."""
        given = {key: value.strip() for key, value in request.query_params.items() if key not in BESIDE_CRITERIA}
        asked = {key: value for key, value in given.items() if value}
        person, page = person_of(request), page_number(request)
        criteria = criteria_of(asked, tenant=person.tenant, page=page)

        def find() -> tuple[list[Event], int]:
            self.ledger.saw(person, "search", asked, reason=why(request))
            return search_page(self.ledger.store, criteria, as_of_us=as_of(request))

        events, as_of_us = await asyncio.to_thread(find)
        is_full = len(events) > PAGE_SIZE
        return self.pages.render(
            request,
            "search.html",
            events=events[:PAGE_SIZE],
            asked=asked,
            page=page,
            has_more=is_full,
            as_of=as_of_us,
            tenant=person.tenant,
            with_tenants=len({event.text("tenant") for event in events}) > 1,
        )

    async def case(self, request: Request) -> Response:
        """Show a case from beginning to end."""
        case_id = case_of(request)
        return await self._timeline(request, {"case_id": case_id}, title=f"Case {case_id}")

    async def trace(self, request: Request) -> Response:
        """Show a trace from beginning to end."""
        trace_id = request.path_params["trace_id"]
        return await self._timeline(request, {"trace_id": trace_id}, title=f"Trace {trace_id}")

    async def _timeline(self, request: Request, subject: dict[str, str], *, title: str) -> Response:
        person = person_of(request)
        reason = why(request)

        def find() -> tuple[list[Event], Mapping[str, Any], str]:
            self.ledger.saw(person, "timeline", dict(subject), reason=reason)
            unshipped, store, tenant = self.ledger.unshipped(person), self.ledger.store, person.tenant
            if "case_id" in subject:
                events = find_case(store, subject["case_id"], tenant=tenant, unshipped=unshipped)
            else:
                events = find_trace(store, subject["trace_id"], tenant=tenant, unshipped=unshipped)
            contents = load_contents(store, events[:MAX_EVENTS_SHOWN], tenant=tenant, unshipped=unshipped)
            return events, contents, unshipped.warning

        events, contents, warning = await asyncio.to_thread(find)
        shown = events[:MAX_EVENTS_SHOWN]
        return self.pages.render(
            request,
            "timeline.html",
            status=200 if events else 404,
            title=title,
            subject=subject,
            events=shown,
            left_out=len(events) - len(shown),
            warning=warning,
            contents=contents,
            first_seen=_first_seen(shown),
            tenants=sorted({event.text("tenant") for event in shown}),
            tenant=person.tenant,
            depths=depths(shown),
            bars=_bars(shown),
            summary=summary(events, utc=True) if events else "",
            cost=total_cost(events),
        )

    async def event(self, request: Request) -> Response:
        """Show one event whole, with the proof of its row."""
        person, wanted = person_of(request), request.query_params.get("id", "")

        def find() -> tuple[list[Event], Mapping[str, Any], list[Any]]:
            self.ledger.saw(person, "show", {"event_id": wanted}, reason=why(request))
            unshipped, store = self.ledger.unshipped(person), self.ledger.store
            events = find_named(store, wanted, tenant=person.tenant, unshipped=unshipped)
            proofs, contents = at_once(
                store,
                lambda one: [self._proof(one, event, unshipped) for event in events],
                lambda other: load_contents(other, events, tenant=person.tenant, unshipped=unshipped),
            )
            return events, contents, proofs

        events, contents, proofs = await asyncio.to_thread(find)
        return self.pages.render(
            request,
            "event.html",
            status=200 if events else 404,
            wanted=wanted,
            events=events,
            contents=contents,
            proofs=proofs,
        )

    def _proof(self, store: Store, event: Event, unshipped: Unshipped) -> RowProof:
        if event.state == "recorded":
            return prove_spooled(unshipped.rows[event.chain, event.seq, event.row_hash])
        return prove_row(store, self.ledger.settings, chain=event.chain, seq=event.seq, row_hash_hex=event.row_hash)

    async def verdict_page(self, request: Request) -> Response:
        """Show the newest verdict; a POST makes a new one."""
        await asyncio.to_thread(self.ledger.saw, person_of(request), "verdict", {}, reason=why(request))
        if request.method == "POST":
            await self.expect_own_form(request)
            self.verdict = await asyncio.to_thread(self.ledger.verify)
            self.verdict_at_s = time.time()
            return RedirectResponse("/verdict", status_code=303)
        age_s = time.time() - self.verdict_at_s if self.verdict else None
        is_limited = bool(person_of(request).tenant)
        return self.pages.render(request, "verdict.html", verdict=self.verdict, age_s=age_s, is_limited=is_limited)

    async def queue(self, request: Request) -> Response:
        """Show what waits for a review."""
        person, page = person_of(request), page_number(request)

        def find() -> list[dict[str, Any]]:
            self.ledger.saw(person, "review queue", {}, reason=why(request))
            offset = (page - 1) * PAGE_SIZE
            return waiting(self.ledger.store, tenant=person.tenant, limit=PAGE_SIZE + 1, offset=offset)

        items = await asyncio.to_thread(find)
        has_more = len(items) > PAGE_SIZE
        with_tenants = len({item["tenant"] for item in items}) > 1
        return self.pages.render(
            request,
            "queue.html",
            items=items[:PAGE_SIZE],
            page=page,
            has_more=has_more,
            tenant=person.tenant,
            with_tenants=with_tenants,
        )

    async def access_log(self, request: Request) -> Response:
        """Show who looked at what."""
        person, page = person_of(request), page_number(request)

        def find() -> tuple[list[Event], int]:
            self.ledger.saw(person, "access log", {}, reason=why(request))
            offset, as_of_us = (page - 1) * PAGE_SIZE, as_of(request)
            if as_of_us is None:
                as_of_us = newest_stored_us(self.ledger.store)
            found = self.ledger.access_log(tenant=person.tenant, limit=PAGE_SIZE + 1, offset=offset, as_of_us=as_of_us)
            return found, as_of_us

        events, as_of_us = await asyncio.to_thread(find)
        return self.pages.render(
            request,
            "access.html",
            events=events[:PAGE_SIZE],
            page=page,
            has_more=len(events) > PAGE_SIZE,
            as_of=as_of_us,
            tenant=person.tenant,
        )

    async def download_rows(self, request: Request) -> Response:
        """Hand out the rows of a case as CSV."""
        person, case_id = person_of(request), case_of(request)

        def make() -> bytes:
            self.ledger.saw(person, "export", {"case_id": case_id, "format": "csv"}, reason=why(request))
            out = io.BytesIO()
            export_rows(self.ledger.store, Criteria(case_id=case_id, tenant=person.tenant), "csv", out)
            return out.getvalue()

        return _file(await asyncio.to_thread(make), f"{case_id}.csv", "text/csv; charset=utf-8")

    async def download_bundle(self, request: Request) -> Response:
        """Hand out an evidence bundle of a case."""
        person, case_id = person_of(request), case_of(request)

        def make() -> bytes:
            self.ledger.saw(person, "evidence bundle", {"case_id": case_id}, reason=why(request))
            return self.ledger.bundle(case_id, tenant=person.tenant)

        return _file(await asyncio.to_thread(make), f"evidence-{case_id}.zip", "application/zip")

    async def expect_own_form(self, request: Request) -> None:
        """Raise UsageError when the form is not one of ours."""
        form = await request.form()
        self.expect_token(request, str(form.get("form_token", "")))

    def expect_token(self, request: Request, token: str) -> float:
        """Return how old the form is, in seconds. Raises UsageError when it is not one of ours."""
        age_s = self.sessions.form_age_s(request.state.person, token)
        if age_s is None:
            raise UsageError("expected a form of this console, got another or an old one: open the page again")
        return age_s


def person_of(request: Request) -> Person:
    """Return who asks; the guard lets nobody else through.

    Somebody who sees every tenant may look at one, `?tenant=…`: that tenant's access log then shows it.
    """
    person: Person = request.state.person
    return person if person.tenant else Person(person.name, tenant_asked(request))


def tenant_asked(request: Request) -> str:
    """Return the tenant that the address names; empty for none."""
    return request.query_params.get("tenant", "").strip()


def case_of(request: Request) -> str:
    """Return the case that the address names. Raises UsageError for none: that would be everything without a case."""
    case_id: str = request.path_params["case_id"]
    if not case_id:
        raise UsageError("expected a case in the address, got none: /case/CASE-1")
    return case_id


def why(request: Request) -> str:
    """Return the reason that the person gave for looking; it stands in the access row."""
    return request.query_params.get("reason", "").strip()


CRITERIA: Final = frozenset({"since", "until", "type", "model", "actor", "reviewer", "case", "outcome", "text"})
"""What a search may be asked for, in an address."""

BESIDE_CRITERIA: Final = frozenset({"page", "as_of", "reason", "tenant"})
"""What an address says beside it: which part of the answer, why, and of whom."""


def criteria_of(asked: Mapping[str, str], *, tenant: str, page: int = 1, limit: int = PAGE_SIZE) -> Criteria:
    """Return the criteria of a search form; one event more than a page tells whether there is another page."""
    since_ns, until_ns = parse_span(asked.get("since"), asked.get("until"), now_ns=time.time_ns(), zone=UTC)
    return Criteria(
        since_ns=since_ns,
        until_ns=until_ns,
        event_type=asked.get("type", ""),
        model=asked.get("model", ""),
        actor=asked.get("actor", ""),
        reviewer=asked.get("reviewer", ""),
        case_id=asked.get("case", ""),
        outcome=asked.get("outcome", ""),
        text=asked.get("text", ""),
        tenant=tenant,
        with_housekeeping="type" in asked,
        limit=limit + 1,
        offset=(page - 1) * limit,
    )


def _first_seen(events: list[Event]) -> dict[str, str]:
    """Return, for each content reference, the event that shows it: a conversation is resent with every turn."""
    seen: dict[str, str] = {}
    for event in events:
        for item in event.items():
            seen.setdefault(str(item.get("ref")), event.event_id)
    return seen


def _bars(events: list[Event]) -> dict[str, tuple[int, int]]:
    """Return each event's place on the time axis of its trace, as percent from the left and percent wide."""
    spans: dict[str, tuple[int, int]] = {}
    for event in (e for e in events if e.text("span_id")):
        first, last = spans.get(event.text("trace_id"), (event.start_ns, event.end_ns))
        spans[event.text("trace_id")] = (min(first, event.start_ns), max(last, event.end_ns))
    bars: dict[str, tuple[int, int]] = {}
    for event in events:
        if event.text("trace_id") not in spans or not event.text("span_id"):
            continue
        first, last = spans[event.text("trace_id")]
        whole = max(last - first, 1)
        left = round(100 * (event.start_ns - first) / whole)
        bars[event.event_id] = (min(left, 98), max(2, round(100 * (event.end_ns - event.start_ns) / whole)))
    return bars


def as_of(request: Request) -> int | None:
    """Return as of when the store is asked (Unix microseconds), which links hand on; None for the first page."""
    return _asked_number(request, "as_of", range(10**17))


def page_number(request: Request) -> int:
    """Return the page that is asked for, from 1."""
    page = _asked_number(request, "page", range(1, MAX_PAGE + 1))
    return 1 if page is None else page


def _asked_number(request: Request, name: str, allowed: range) -> int | None:
    """Return a number that the address names. Raises UsageError for another: a tool would read one page twice."""
    text = request.query_params.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 18 and int(text) in allowed):
        raise UsageError(f"expected {name} as a number from {allowed.start} to {allowed.stop - 1}, got {text!r}")
    return int(text)


def _file(data: bytes, name: str, media: str) -> Response:
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    return Response(data, media_type=media, headers={"Content-Disposition": f'attachment; filename="{safe}"'})
