"""The ASGI application: routes, guard, and answers to what goes wrong."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from spanledger_exporter.config import Settings
from spanledger_exporter.console.api import Api, NotFoundError, answer
from spanledger_exporter.console.forms import Sessions
from spanledger_exporter.console.guard import REVIEW, Guard, TooLargeError
from spanledger_exporter.console.ledger import ConsoleLedger
from spanledger_exporter.console.options import ConsoleOptions
from spanledger_exporter.console.pages import Console
from spanledger_exporter.console.reviews import Reviews
from spanledger_exporter.console.signing_in import SigningIn
from spanledger_exporter.errors import SpanledgerError, UsageError

STATIC = Path(__file__).with_name("static")

_STATUS = {NotFoundError: 404, TooLargeError: 413, UsageError: 400, SpanledgerError: 503}
"""What an error becomes: the first kind that it is."""


def make_app(settings: Settings, options: ConsoleOptions) -> ASGIApp:
    """Return the console as an ASGI application. Raises ConfigurationError when strangers could use it."""
    options.check()
    ledger, sessions = ConsoleLedger(settings), Sessions()
    console = Console(ledger, options, sessions)
    api, reviews = Api(console), Reviews(console)
    door = SigningIn(console, reviews)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        ledger.start()
        yield
        ledger.close()

    async def failed(request: Request, error: Exception) -> Response:
        status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
        return say(request, str(error), status)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        said = {404: "there is no such page", 405: f"this page takes no {request.method}"}
        return say(request, said.get(error.status_code, error.detail), error.status_code)

    async def broken(request: Request, _error: Exception) -> Response:
        return say(request, "a mistake of this console's: its own output says which, and nothing was recorded", 500)

    def say(request: Request, problem: str, status: int) -> Response:
        if request.url.path.startswith("/api/"):
            return answer({"error": problem}, status=status)
        return console.pages.render(request, "problem.html", status=status, problem=problem)

    app = Starlette(
        routes=[
            Route("/", console.search),
            Route("/case/{case_id:path}/rows.csv", console.download_rows),
            Route("/case/{case_id:path}/evidence.zip", console.download_bundle),
            Route("/case/{case_id:path}", console.case),
            Route("/trace/{trace_id}", console.trace),
            Route("/event", console.event),
            Route("/verdict", console.verdict_page, methods=["GET", "POST"]),
            Route("/queue", console.queue),
            Route(REVIEW, reviews.show),
            Route(REVIEW, door.review, methods=["POST"]),
            Route("/access", console.access_log),
            Route("/sign-in", door.sign_in, methods=["GET", "POST"]),
            Route("/sign-out", door.sign_out, methods=["POST"]),
            Route("/api/reviews", api.reviews, methods=["POST"]),
            Route("/api/decisions", api.decisions, methods=["POST"]),
            Route("/api/queue", api.queue),
            Route("/api/events", api.events),
            Route("/api/cases/{case_id:path}", api.case),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers={SpanledgerError: failed, HTTPException: refused, Exception: broken},
        lifespan=lifespan,
    )
    # Around everything: as Starlette's middleware it would not see the answer to a failure of ours.
    return Guard(app, options=options, sessions=sessions)
