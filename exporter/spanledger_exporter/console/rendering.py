"""Templates and what they call; the words stand in `words.py`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from spanledger_exporter.console.forms import Sessions
from spanledger_exporter.console.words import GLOSSARY, STATES, fields, format_kind, heading, part_label
from spanledger_exporter.read.facts import facts
from spanledger_exporter.read.figures import format_duration, format_money, format_visible


def make_environment() -> Environment:
    """Return the template environment: everything is escaped, an unknown name is an error."""
    environment = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = environment.filters  # typed by its first values; ours are other functions
    filters |= {
        "time": format_moment,
        "iso": lambda moment: _aware(moment).isoformat(),
        "duration": format_duration,
        "money": format_money,
        "kind": format_kind,
        "facts": facts,
        "heading": heading,
        "label": part_label,
        "fields": fields,
        "link": link,
        "difference": difference,
    }
    names: dict[str, Any] = environment.globals
    names |= {"STATES": STATES, "GLOSSARY": GLOSSARY}
    return environment


def _shown(value: Any) -> Any:
    """Return what a page shows of a value: what hides other text or turns it around is spelled out as its code.

    Text that comes back from a form must stay as it is: its templates say `| e`.
    """
    return format_visible(value.replace("\r\n", "\n")) if type(value) is str else value


class Pages:
    """Renders templates with what every page needs."""

    def __init__(self, sessions: Sessions) -> None:
        self._environment = make_environment()
        self._sessions = sessions

    def render(self, request: Request, name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page."""
        person = request.state.person
        page = self._environment.get_template(name).render(
            person=person,
            path=request.url.path,
            reason=request.query_params.get("reason", "").strip(),
            form_token=self._sessions.form_token(person),
            can_sign_out=bool(request.cookies),
            **values,
        )
        return HTMLResponse(page, status_code=status)


def format_moment(moment: datetime) -> str:
    """Return a time in UTC, the zone said in the page's heading row."""
    aware = _aware(moment)
    return f"{aware:%Y-%m-%d %H:%M:%S}.{aware.microsecond // 1000:03}"


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def link(place: str, **query: Any) -> str:
    """Return a path with a query; empty values are left out."""
    kept = {key: value for key, value in query.items() if value not in (None, "")}
    return quote(place) + (f"?{urlencode(kept)}" if kept else "")


def difference(text: str) -> list[tuple[str, str]]:
    """Return the lines of a difference with what each is: `added`, `removed` or `same`."""
    kinds: Mapping[str, str] = {"+": "added", "-": "removed"}
    return [(kinds.get(line[:1], "same"), line[1:] if line[:1] in kinds else line) for line in text.splitlines()]
