"""The HTTP door for review tools in any language: JSON in, JSON out, a bearer token in front.

    POST /api/reviews     {"event_id": "…", "action": "edit", "final": "…", "reasoning": "…", "seconds_spent": 95}
    POST /api/decisions   {"name": "close case", "result": "closed", "event_id": "…", "rationale": "…"}
    GET  /api/queue       what waits for a review
    GET  /api/events      the search page's parameters
    GET  /api/cases/ID    a case in causal order

Rules
- The reviewer is whoever the token belongs to; `reviewer` in the body is taken only on an open loopback console.
- `?tenant=…` narrows what somebody sees who sees every tenant; somebody of one tenant sees that one, whatever it says.
- `?reason=…` says why somebody looks; it stands in the access row.
- A list is a page of 200; a `Link: <…>; rel="next"` header says that there is more, and where. Its
  `as_of` leaves out of a search what was stored since the first page: nothing comes twice, nothing is passed over.
- A body that makes no sense is 400 with a sentence, an unknown event 404; nothing is recorded then. An unknown
  member is refused too: left out in silence, a misspelled `reasoning` would be missing from the record for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from spanledger_exporter.console.pages import (
    BESIDE_CRITERIA,
    CRITERIA,
    Console,
    as_of,
    case_of,
    criteria_of,
    page_number,
    person_of,
    why,
)
from spanledger_exporter.errors import UsageError
from spanledger_exporter.read.contents import load_contents
from spanledger_exporter.read.encoding import format_json
from spanledger_exporter.read.event import Event
from spanledger_exporter.read.finding import find_case, find_event, search_page
from spanledger_exporter.read.judging import (
    Decision,
    Judgement,
    complete_review,
    content_policy,
    decision_row,
    make_review,
    review_row,
)
from spanledger_exporter.read.queue import waiting
from spanledger_exporter.read.unshipped import Unshipped

API_PAGE_SIZE: Final = 200
_REVIEW_FIELDS: Final = {
    "action": str,
    "role": str,
    "author": str,
    "draft": str,
    "final": str,
    "reasoning": str,
    "seconds_spent": (int, float),
    "seen_event_ids": list,
}
_DECISION_FIELDS: Final = {
    "name": str,
    "result": str,
    "condition": str,
    "branches_skipped": list,
    "is_default": bool,
    "confidence": (int, float),
    "rationale": str,
    "policy": str,
    "policy_version": str,
}


class NotFoundError(UsageError):
    """The event that a request names is not there."""


class Api:
    """The handlers of `/api`."""

    def __init__(self, console: Console) -> None:
        self.console, self.ledger = console, console.ledger

    async def reviews(self, request: Request) -> Response:
        """Record a review."""
        body, person = await _body(request), person_of(request)
        facts = _facts(body, _REVIEW_FIELDS, required=("action",), besides={"event_id", "reviewer"})
        reviewer = person.name
        if self.console.options.is_open and isinstance(body.get("reviewer"), str):
            reviewer = body["reviewer"]

        def record() -> dict[str, Any]:
            unshipped = self.ledger.unshipped(person)
            subject = self._subject(request, body, "review", unshipped)
            for seen in facts.get("seen_event_ids", ()):
                self._event(request, seen, unshipped)
            review = make_review(reviewer=reviewer, **facts)
            contents = load_contents(self.ledger.store, [subject], tenant=person.tenant, unshipped=unshipped)
            review = complete_review(review, subject, contents)
            return self._record(review_row(review, subject, content_policy(self.ledger.settings)))

        return answer(await asyncio.to_thread(record), status=201)

    async def decisions(self, request: Request) -> Response:
        """Record a decision."""
        body, person = await _body(request), person_of(request)
        decision = Decision(**_facts(body, _DECISION_FIELDS, required=("name", "result"), besides={"event_id"}))

        def record() -> dict[str, Any]:
            unshipped = self.ledger.unshipped(person)
            subject = self._subject(request, body, "decision", unshipped) if body.get("event_id") else None
            policy = content_policy(self.ledger.settings)
            judgement = decision_row(decision, subject, policy, person=person.name)
            if person.tenant and subject is None:
                judgement = Judgement({**judgement.envelope, "tenant": person.tenant}, judgement.contents)
            return self._record(judgement)

        return answer(await asyncio.to_thread(record), status=201)

    async def queue(self, request: Request) -> Response:
        """List what waits for a review, page by page."""
        person, page = person_of(request), page_number(request)

        def find() -> list[dict[str, Any]]:
            self.ledger.saw(person, "review queue", {}, reason=why(request))
            offset = (page - 1) * API_PAGE_SIZE
            return waiting(self.ledger.store, tenant=person.tenant, limit=API_PAGE_SIZE + 1, offset=offset)

        return _paged(request, await asyncio.to_thread(find), page)

    async def events(self, request: Request) -> Response:
        """Search, page by page."""
        person, page = person_of(request), page_number(request)
        known = CRITERIA | BESIDE_CRITERIA
        if unknown := sorted(request.query_params.keys() - known):  # left out in silence it would find everything
            raise UsageError(f"expected parameters out of {', '.join(sorted(known))}, got {', '.join(unknown)}")
        asked = {key: value for key, value in request.query_params.items() if value and key in CRITERIA}
        criteria = criteria_of(asked, tenant=person.tenant, page=page, limit=API_PAGE_SIZE)

        def find() -> tuple[list[dict[str, Any]], int]:
            self.ledger.saw(person, "search", asked, reason=why(request))
            found, as_of_us = search_page(self.ledger.store, criteria, as_of_us=as_of(request))
            return [event.as_record() for event in found], as_of_us

        found, as_of_us = await asyncio.to_thread(find)
        return _paged(request, found, page, as_of=as_of_us)

    async def case(self, request: Request) -> Response:
        """Return a case in causal order."""
        person, case_id = person_of(request), case_of(request)

        def find() -> list[dict[str, Any]]:
            self.ledger.saw(person, "timeline", {"case_id": case_id}, reason=why(request))
            unshipped = self.ledger.unshipped(person)
            found = find_case(self.ledger.store, case_id, tenant=person.tenant, unshipped=unshipped)
            return [event.as_record() for event in found]

        return answer(await asyncio.to_thread(find))

    def _subject(self, request: Request, body: Mapping[str, Any], action: str, unshipped: Unshipped) -> Event:
        wanted = body.get("event_id")
        if not isinstance(wanted, str) or not wanted:
            raise UsageError("expected event_id, the id of the event that this is about")
        self.ledger.saw(person_of(request), action, {"event_id": wanted}, reason=why(request))
        return self._event(request, wanted, unshipped)

    def _event(self, request: Request, wanted: str, unshipped: Unshipped) -> Event:
        found = find_event(self.ledger.store, wanted, tenant=person_of(request).tenant, unshipped=unshipped)
        if len(found) != 1:
            raise NotFoundError(f"expected one event with the id {wanted}, got {len(found)}")
        return found[0]

    def _record(self, judgement: Judgement) -> dict[str, Any]:
        row = self.ledger.record(judgement)
        place = {"chain": row.chain_id.hex(), "seq": row.seq, "row_hash": row.row_hash.hex()}
        return {"event_id": f"{place['chain']}:{row.seq}", "event_type": judgement.envelope["event_type"], **place}


def answer(value: Any, *, status: int = 200) -> Response:
    """Return JSON."""
    return Response(format_json(value), status_code=status, media_type="application/json")


def _paged(request: Request, found: list[dict[str, Any]], page: int, **kept: int) -> Response:
    """Return one page; a `Link` header names the next one where there is more."""
    response = answer(found[:API_PAGE_SIZE])
    if len(found) > API_PAGE_SIZE:
        following = request.url.include_query_params(page=page + 1, **kept)
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return response


async def _body(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise UsageError("expected a body of type application/json")
    try:
        value = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise UsageError(f"expected a JSON object, got: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"expected a JSON object, got {type(value).__name__}")
    return value


def _facts(
    body: Mapping[str, Any], fields: Mapping[str, Any], *, required: tuple[str, ...], besides: Collection[str]
) -> dict[str, Any]:
    if unknown := sorted(body.keys() - fields.keys() - set(besides)):
        raise UsageError(f"expected members out of {', '.join(sorted({*fields, *besides}))}, got {', '.join(unknown)}")
    for name in required:
        if not body.get(name):
            raise UsageError(f"expected {name} in the body")
    facts = {name: body[name] for name in fields if body.get(name) is not None}
    for name, value in facts.items():
        if not isinstance(value, fields[name]) or (isinstance(value, bool) and fields[name] is not bool):
            raise UsageError(f"expected another type for {name}, got {type(value).__name__}")
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise UsageError(f"expected texts in {name}")
    return facts
