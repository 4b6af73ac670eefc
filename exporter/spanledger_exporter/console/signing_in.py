"""Signing in and out: a token opens a session, and a review that was under way is taken along.

Rules
- Signing in leads to a path of ours, or to the front page.
- A review form that arrives when its session has ended comes back behind the sign-in page, filled in: the browser
  carries it, nothing of a stranger is kept here.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from spanledger_exporter.console.guard import COOKIE, REVIEW, session_cookie
from spanledger_exporter.console.options import Person
from spanledger_exporter.console.pages import Console, person_of
from spanledger_exporter.console.reviews import Form, Reviews, read_form
from spanledger_exporter.errors import UsageError

NOBODY: Final = "This token belongs to nobody known here."
ENDED: Final = "Your session has ended. Nothing is recorded yet, and what you wrote is kept: sign in to send it."
KEPT: Final = "Your session had ended. Nothing is recorded yet: read through what you wrote, and send it again."


class SigningIn:
    """The handlers of `/sign-in` and `/sign-out`."""

    def __init__(self, console: Console, reviews: Reviews) -> None:
        self._console, self._reviews = console, reviews

    async def sign_in(self, request: Request) -> Response:
        """Ask for a token, and begin a session for whose it is."""
        if request.method == "GET":
            return self._page(request)
        form = await read_form(request)
        self._console.expect_token(request, form.get("form_token", ""))
        person = self._console.options.person_with_token(form.get("token", "").strip())
        if person is None:
            return self._page(request, kept=form.get("kept", ""), problem=NOBODY, status=403)
        await asyncio.to_thread(self._console.ledger.saw, person, "sign in", {})
        answer = await self._what_was_asked(request, person, form.get("kept", ""))
        is_secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
        session = self._console.sessions.begin(person)
        answer.set_cookie(COOKIE, session, httponly=True, samesite="strict", secure=is_secure, path="/")
        return answer

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        await self._console.expect_own_form(request)
        await asyncio.to_thread(self._console.ledger.saw, person_of(request), "sign out", {})
        self._console.sessions.end(session_cookie(request.headers))
        answer = RedirectResponse("/sign-in", status_code=303)
        answer.delete_cookie(COOKIE, path="/")
        return answer

    async def review(self, request: Request) -> Response:
        """Take a filled-in review; of somebody whose session has ended, keep what was written and ask who it is."""
        if request.state.person is not None:
            return await self._reviews.send(request)
        kept = orjson.dumps(await read_form(request)).decode()
        return self._page(request, place=_address(request), kept=kept, problem=ENDED, status=401)

    async def _what_was_asked(self, request: Request, person: Person, kept: str) -> Response:
        place = request.query_params.get("next", "/")
        is_local = place.startswith("/") and not place.startswith(("//", "/\\"))
        if kept and urlsplit(place).path == REVIEW:
            try:
                return await self._reviews.show_again(_at(request, place, person), _form_of(kept), KEPT)
            except UsageError:
                pass  # they may not see that event, or it is no form: the address will say so
        return RedirectResponse(place if is_local else "/", status_code=303)

    def _page(
        self, request: Request, *, place: str = "", kept: str = "", problem: str = "", status: int = 200
    ) -> Response:
        place = place or request.query_params.get("next", "/")
        shown = {"next": place, "kept": kept, "problem": problem}
        return self._console.pages.render(request, "sign_in.html", status=status, **shown)


def _address(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _at(request: Request, place: str, person: Person) -> Request:
    """Return the request as if it were one for another page of ours, by `person`."""
    asked: dict[str, Any] = {"path": REVIEW, "query_string": urlsplit(place).query.encode()}
    return Request({**request.scope, **asked, "state": {"person": person}})


def _form_of(kept: str) -> Form:
    """Return the form that a browser carried. Raises UsageError."""
    try:
        form = orjson.loads(kept)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"expected the form that was kept, got: {error}") from error
    if not isinstance(form, dict) or not all(isinstance(value, str) for value in form.values()):
        raise UsageError("expected the form that was kept, got something else")
    return form
