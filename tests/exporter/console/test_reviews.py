"""The review form on its way: sent twice, sent late, sent by somebody else, with whatever a text may hold."""

from __future__ import annotations

import html
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

from served_console import TOKENS, Answer, Served, event_of

ACTING = {"Content_Type": "application/json"}
_HIDDEN = re.compile(r'type="hidden" name="(\w+)" value="([^"]*)"')
_TEXTS = re.compile(r'<textarea name="(\w+)"[^>]*>\n?([^<]*)</textarea>')


def fields(page: Answer) -> dict[str, str]:
    """Return what a browser would send of a page's form, line ends as browsers send them."""
    texts = {
        name: html.unescape(text).replace("\r", "").replace("\n", "\r\n") for name, text in _TEXTS.findall(page.text)
    }
    return dict(_HIDDEN.findall(page.text)) | texts


def send(console: Served, place: str, filled: dict[str, str], **headers: str) -> Answer:
    """Send a form."""
    data = urlencode(filled).encode()
    return console.ask(place, data=data, Content_Type="application/x-www-form-urlencoded", **headers)


def sign_in(console: Served, name: str, place: str, kept: str = "") -> Answer:
    """Send the sign-in page's form on the way to `place`."""
    page = console.ask("/sign-in")
    filled = fields(page) | {"token": TOKENS[name]} | ({"kept": kept} if kept else {})
    return send(console, f"/sign-in?{urlencode({'next': place})}", filled)


def cookie(answer: Answer) -> str:
    """Return the session cookie that an answer sets."""
    return answer.headers["set-cookie"].split(";")[0]


def reviews(console: Served, case: str, reasoning: str, *, as_whom: str = "") -> list[dict[str, Any]]:
    """Return the case's reviews, those with this reasoning."""
    token = f"Bearer {TOKENS[as_whom]}" if as_whom else "none"
    found: list[dict[str, Any]] = json.loads(console.ask(f"/api/cases/{case}", Authorization=token).body)
    rows = [event for event in found if event["event_type"] == "human_review"]
    pages = [console.ask(f"/event?id={row['event_id']}", Authorization=token).text for row in rows]
    return [row for row, page in zip(rows, pages, strict=True) if reasoning in page]


def test_an_impatient_finger_records_one_review(console: Served) -> None:
    """The same form with the same words, sent three times at once; other words are another review."""
    place = f"/review?event={event_of(console, 'CASE-1', 'decision')['event_id']}"
    filled = fields(console.ask(place)) | {"action": "approve", "reasoning": "impatient"}
    with ThreadPoolExecutor() as fingers:
        answers = list(fingers.map(lambda _: send(console, place, filled), range(3)))
    assert [(answer.status, answer.headers.get("location")) for answer in answers] == [(303, "/case/CASE-1")] * 3
    assert len(reviews(console, "CASE-1", "impatient")) == 1
    assert send(console, place, filled | {"reasoning": "changed my mind"}).status == 409


def test_the_time_spent_counts_from_the_first_opening(console: Served) -> None:
    """A form that comes back with a complaint is the same form."""
    place = f"/review?event={event_of(console, 'CASE-2', 'decision')['event_id']}"
    first = fields(console.ask(place))
    complained = send(console, place, first | {"action": "shrug", "reasoning": "x"})
    assert (complained.status, fields(complained)["form_token"]) == (400, first["form_token"])


def test_a_review_whose_session_has_ended_comes_back_as_it_was_written(guarded: Served) -> None:
    """Behind the sign-in page, filled in; sending it records it."""
    event = event_of_person(guarded, "CASE-5", "model_call")
    place = f"/review?event={event}"
    written = {"action": "edit", "final": 'Mine <b>"&\r\n\r\nש', "reasoning": "kept words"}
    filled = fields(guarded.ask(place, Cookie=cookie(sign_in(guarded, "maria", "/")))) | written
    ended = send(guarded, place, filled)
    assert (ended.status, "what you wrote is kept" in ended.text) == (401, True)
    again = sign_in(guarded, "maria", place, kept=fields(ended)["kept"].replace("\r\n", "\n"))
    came_back = fields(again)
    assert {name: came_back[name] for name in ("final", "reasoning", "form_token", "draft")} == {
        name: filled[name] for name in ("final", "reasoning", "form_token", "draft")
    }
    assert reviews(guarded, "CASE-5", "kept words", as_whom="maria") == []
    assert send(guarded, place, came_back | {"action": "edit"}, Cookie=cookie(again)).status == 303
    (row,) = reviews(guarded, "CASE-5", "kept words", as_whom="maria")
    assert row["review"]["reviewer"] == {"id": "maria"}


def test_what_was_kept_shows_nobody_anything_of_another_tenant(guarded: Served) -> None:
    """Otto sees `other` only: he is led to the address, which says so."""
    place = f"/review?event={event_of_person(guarded, 'CASE-5', 'model_call')}"
    kept = json.dumps({"action": "edit", "final": "x", "draft": "x", "reviews": "0"})
    answer = sign_in(guarded, "otto", place, kept=kept)
    assert (answer.status, answer.headers["location"]) == (303, place)
    assert guarded.ask(place, Cookie=cookie(answer)).status == 400
    assert sign_in(guarded, "maria", place, kept="[1]").status == 303


def test_a_form_of_somebody_else_records_nothing_and_keeps_the_words(guarded: Served) -> None:
    """Maria's form, sent after Otto signed in beside her in the same browser."""
    place = f"/review?event={event_of_person(guarded, 'CASE-4', 'decision', tenant='other')}"
    filled = fields(guarded.ask(place, Cookie=cookie(sign_in(guarded, "maria", "/"))))
    otto = cookie(sign_in(guarded, "otto", "/"))
    answer = send(guarded, place, filled | {"action": "approve", "reasoning": "whose words"}, Cookie=otto)
    assert (answer.status, "whose words" in answer.text) == (409, True)
    assert "Record as otto" in answer.text
    assert fields(answer)["form_token"] != filled["form_token"]
    assert reviews(guarded, "CASE-4", "whose words", as_whom="otto") == []


def event_of_person(console: Served, case: str, event_type: str, tenant: str = "default") -> str:
    """Return the id of the newest event of a kind in a case, as maria sees it."""
    asked = f"/api/events?case={case}&type={event_type}&tenant={tenant}"
    found = json.loads(console.ask(asked, Authorization=f"Bearer {TOKENS['maria']}").body)
    return str(found[0]["event_id"])


def test_line_ends_survive_the_browser_and_directions_are_spelled_out(console: Served) -> None:
    """An approved draft keeps its digest; a text that would read backwards shows why."""
    draft = "\nfirst\r\nsecond \u202egnp.exe\r\n"
    about = event_of(console, "CASE-1", "agent_run")["event_id"]
    body = {"event_id": about, "action": "edit", "final": draft, "draft": draft, "reasoning": "ends"}
    recorded = json.loads(console.ask("/api/reviews", data=json.dumps(body).encode(), **ACTING).body)
    place = f"/review?event={recorded['event_id']}"
    page = console.ask(place)
    assert "second \\u202egnp.exe" in page.text
    filled = fields(page) | {"action": "approve", "reasoning": "as it is"}
    assert send(console, place, filled).status == 303
    (first,), (second,) = (reviews(console, "CASE-1", word) for word in (">ends<", "as it is"))
    assert second["review"]["final"] == second["review"]["draft"] == first["review"]["final"]
    filled = fields(console.ask(place)) | {"action": "edit", "reasoning": "one line", "final": "\r\nfirst\r\n2nd\r\n"}
    assert send(console, place, filled).status == 303
    diff = next(part for part in reviews(console, "CASE-1", "one line")[0]["output"] if part["type"] == "diff")
    page = console.ask(f"/event?id={reviews(console, 'CASE-1', 'one line')[0]['event_id']}")
    assert diff["bytes"] < 80
    assert ">2nd" in page.text
