"""The review form: what was seen and said, what a person makes of it, and what becomes of the form on its way.

Rules
- What somebody wrote is never thrown away: where nothing can be recorded yet (another review came first, the session
  ended, the form is old or somebody else's), the form comes back as it was filled in, and says why.
- A form that is sent twice (an impatient finger) is recorded once: the same form with the same words.
- The time spent counts from when the form was first opened, however often it came back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from spanledger_exporter.console.guard import MAX_BODY_BYTES
from spanledger_exporter.console.options import Person
from spanledger_exporter.console.pages import Console, person_of, tenant_asked, why
from spanledger_exporter.console.rendering import link
from spanledger_exporter.errors import UsageError
from spanledger_exporter.read.contents import ReadableContent, load_contents
from spanledger_exporter.read.event import Event
from spanledger_exporter.read.finding import find_event, find_named, find_reviews
from spanledger_exporter.read.judging import complete_review, content_policy, draft_of, make_review, review_row
from spanledger_semconv.review import HumanReview

Form = Mapping[str, str]

MEANWHILE: Final = (
    "Somebody reviewed this while you had the form open: see below. Nothing of yours is recorded yet. "
    "Send it again to record it beside the other."
)
STALE: Final = (
    "This form was opened by somebody else, or too long ago. Nothing is recorded yet. "
    "What was written is still here: read it through, and send it again."
)
MAX_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Subject:
    """What a review is about: the event, its contents, the draft that it put out, and the reviews that there are."""

    event: Event
    contents: Mapping[str, ReadableContent]
    draft: str
    reviews: Sequence[Event]


class Reviews:
    """The form and its way."""

    def __init__(self, console: Console) -> None:
        self._console, self._ledger = console, console.ledger
        self._judging = asyncio.Lock()
        self._recorded: dict[str, None] = {}

    async def show(self, request: Request) -> Response:
        """Show the form."""
        subject = await asyncio.to_thread(self._subject, request)
        return self._form(request, subject)

    async def show_again(self, request: Request, filled: Form, problem: str) -> Response:
        """Show the form as somebody filled it in before: its token counts when it is theirs."""
        subject = await asyncio.to_thread(self._subject, request)
        return self._form(request, subject, filled=filled, problem=problem)

    async def send(self, request: Request) -> Response:
        """Record what was filled in, or say why not and show the form again."""
        subject, form = await asyncio.to_thread(self._subject, request), await read_form(request)
        spent_s = self._age_s(request, form)
        if spent_s is None:
            return self._form(request, subject, filled=form, problem=STALE, status=409)
        try:
            review = _review_of(form, subject.draft, reviewer=person_of(request).name, spent_s=spent_s)
        except UsageError as error:
            return self._form(request, subject, filled=form, problem=str(error), status=400)
        review = complete_review(review, subject.event, subject.contents)
        judgement = review_row(review, subject.event, content_policy(self._ledger.settings))
        sent = sha256(orjson.dumps([subject.event.event_id, *sorted(form.items())])).hexdigest()
        async with self._judging:  # of two who send at once, the second hears of the first
            if sent in self._recorded:
                return self._done(request, subject)
            reviews = await asyncio.to_thread(self._reviews, person_of(request), subject.event.event_id)
            if form.get("reviews", "0") != str(len(reviews)):
                subject = replace(subject, reviews=reviews)
                return self._form(request, subject, filled=form, problem=MEANWHILE, status=409)
            row = await asyncio.to_thread(self._ledger.append, judgement)
            self._remember(sent)
        await asyncio.to_thread(self._ledger.make_visible, row)
        return self._done(request, subject)

    def _remember(self, sent: str) -> None:
        while len(self._recorded) >= MAX_REMEMBERED:
            del self._recorded[next(iter(self._recorded))]
        self._recorded[sent] = None

    def _done(self, request: Request, subject: _Subject) -> Response:
        case_id = subject.event.text("context", "case_id")
        seen = {"reason": why(request), "tenant": tenant_asked(request)}
        return RedirectResponse(link(f"/case/{case_id}" if case_id else "/queue", **seen), status_code=303)

    def _age_s(self, request: Request, form: Form) -> float | None:
        return self._console.sessions.form_age_s(request.state.person, form.get("form_token", ""))

    def _subject(self, request: Request) -> _Subject:
        """Return what a review is about; the access is recorded."""
        person, wanted = person_of(request), request.query_params.get("event", "")
        self._ledger.saw(person, "review", {"event_id": wanted}, reason=why(request))
        unshipped, store = self._ledger.unshipped(person), self._ledger.store
        found = find_named(store, wanted, tenant=person.tenant, unshipped=unshipped)
        if len(found) != 1:
            raise UsageError(f"expected one event with the id {wanted}, got {len(found)}")
        (event,) = found
        about = event.text("parent_event_id") if event.event_type == "human_review" else ""
        others = find_event(store, about, tenant=person.tenant, unshipped=unshipped) if about else []
        contents = load_contents(store, [*found, *others], tenant=person.tenant, unshipped=unshipped)
        draft = draft_of(event, contents) or next(filter(None, (draft_of(e, contents) for e in others)), "")
        reviews = find_reviews(store, event.event_id, tenant=person.tenant, unshipped=unshipped)
        return _Subject(event, contents, draft, reviews)

    def _reviews(self, person: Person, event_id: str) -> list[Event]:
        unshipped = self._ledger.unshipped(person)
        return find_reviews(self._ledger.store, event_id, tenant=person.tenant, unshipped=unshipped)

    def _form(
        self,
        request: Request,
        subject: _Subject,
        *,
        filled: Form = MappingProxyType({}),
        problem: str = "",
        status: int = 200,
    ) -> Response:
        own_token = filled.get("form_token", "") if self._age_s(request, filled) is not None else ""
        return self._console.pages.render(
            request,
            "review.html",
            status=status,
            event=subject.event,
            contents=subject.contents,
            reviews=subject.reviews,
            draft=_lines(filled["draft"]) if "draft" in filled else subject.draft,
            filled=filled,
            problem=problem,
            opened=own_token,
            tenant=tenant_asked(request),
        )


async def read_form(request: Request) -> dict[str, str]:
    """Return the texts of a form; a draft in it may be large."""
    sent = await request.form(max_part_size=MAX_BODY_BYTES)
    return {key: str(value) for key, value in sent.items()}


def _review_of(form: Form, stored: str, *, reviewer: str, spent_s: float) -> HumanReview:
    action, draft, final = form.get("action", ""), _lines(form.get("draft", "")), _lines(form.get("final", ""))
    if draft == _lines(stored):  # as it was put out, with the line ends that no browser sends back
        draft = stored
        final = final.replace("\n", "\r\n") if "\r\n" in stored else final
    return make_review(
        reviewer=reviewer,
        action=action,
        role=form.get("role") or None,
        draft=draft or None,
        final=final if action == "edit" else None,
        reasoning=form.get("reasoning") or None,
        seconds_spent=round(spent_s, 1),
    )


def _lines(text: str) -> str:
    """Return a text as it comes out of a browser's text field, with line ends of one character."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
