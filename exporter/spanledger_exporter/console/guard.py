"""What the browser may do, and who is asking.

1. Host: only names under which the console is served; a page of somebody else that resolves to us is refused.
2. Origin: a request that changes something must come from our own pages (`Sec-Fetch-Site`, `Origin`), and a form must
   carry the token that its page was given (see `forms.py`).
3. Who: the proxy's header, a signed-in session, a bearer token, or, on an open loopback console, whoever runs it.
   Nobody is asked to sign in: for a review that was filled in, its own handler asks, and keeps what was written.
4. How much: a body of more than `MAX_BODY_BYTES` is 413, however it arrives; the rest of it is not read.
5. Every answer, that to a failure of ours too: nothing from elsewhere, no script, no frame, no cache, no referrer.
"""

from __future__ import annotations

import re
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spanledger_exporter.console.forms import Sessions
from spanledger_exporter.console.options import ConsoleOptions, Person
from spanledger_exporter.errors import UsageError

COOKIE: Final = "spanledger_session"
MAX_BODY_BYTES: Final = 16 << 20
_PORT: Final = re.compile(r":[0-9]*\Z")
_CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_FREE: Final = ("/sign-in", "/static/")
REVIEW: Final = "/review"

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # `no-referrer` makes browsers send `Origin: null` with our own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Guard:
    """Stands around the whole application; puts the `Person` into `request.state.person`."""

    def __init__(self, app: ASGIApp, *, options: ConsoleOptions, sessions: Sessions) -> None:
        self.app, self.options, self.sessions = app, options, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        refusal = self._refusal(request)
        if refusal is None:
            person = self._person(request)
            # The path that is routed by, and not `request.url`, which is read from a text with the Host header in it.
            if person is None and not self._asks_by_itself(request, scope["path"]):
                refusal = self._ask_who(request)
            scope.setdefault("state", {})["person"] = person
        await (refusal or self.app)(scope, _limited(receive), _with_headers(send))

    def _asks_by_itself(self, request: Request, path: str) -> bool:
        """Say whether a page is for people who are not known yet, or asks who they are: a filled-in review does."""
        keeps_review = path == REVIEW and request.method == "POST" and not self.options.user_header
        return path.startswith(_FREE) or keeps_review

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "").lower()
        name = _PORT.sub("", host)
        if name not in self.options.hosts():
            return PlainTextResponse(
                f"expected this console to be asked as one of {', '.join(sorted(self.options.hosts()))}, got {host!r}: "
                "start it with --name if this is its name",
                status_code=421,
            )
        if request.method in _CHANGING and not _is_from_here(request.headers, host):
            return PlainTextResponse("expected a request from the console's own pages", status_code=403)
        return None

    def _person(self, request: Request) -> Person | None:
        options = self.options
        if options.user_header:
            return self._person_of_proxy(request)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return options.person_with_token(token.strip())
        if options.is_open:
            return options.operator
        return self.sessions.person(session_cookie(request.headers))

    def _person_of_proxy(self, request: Request) -> Person | None:
        peer = request.client.host if request.client else ""
        name = _only(request.headers, self.options.user_header)
        if peer not in self.options.proxy_addresses or not name:
            return None
        if not self.options.tenant_header:
            return Person(name)
        tenant = _only(request.headers, self.options.tenant_header)
        return Person(name, tenant) if tenant else None

    def _ask_who(self, request: Request) -> Response:
        if request.scope["path"].startswith("/api/"):
            return JSONResponse({"error": "expected a bearer token of a person known here"}, status_code=401)
        if self.options.user_header:
            return PlainTextResponse("expected the proxy to say who is asking", status_code=401)
        place = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(place, safe='')}", status_code=303)


class TooLargeError(UsageError):
    """A request's body is larger than anything that the console takes."""


def _limited(receive: Receive) -> Receive:
    """Return `receive` that raises TooLargeError instead of handing out more than `MAX_BODY_BYTES`."""
    left = MAX_BODY_BYTES

    async def receive_within_limit() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise TooLargeError(f"expected a body of at most {MAX_BODY_BYTES:,} bytes, got more")
        return message

    return receive_within_limit


def session_cookie(headers: Headers) -> str:
    """Return the session id that the browser sent, or an empty text."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _only(headers: Headers, name: str) -> str:
    """Return the header's value; empty when it came twice: a proxy that adds its own leaves the asker's first."""
    values = headers.getlist(name)
    return values[0].strip() if len(values) == 1 else ""


def _is_from_here(headers: Headers, host: str) -> bool:
    """Say whether a changing request comes from our own pages, or from no browser at all."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == host


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
