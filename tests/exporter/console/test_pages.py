"""What the pages show, and what they leave behind."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest

from ledgers import Ledger
from served_console import Answer, Served, command, event_of, serving
from spanledger_exporter.config import load_settings
from spanledger_exporter.store.connection import open_store
from spanledger_exporter.store.schema import ensure_schema
from spanledger_exporter.store.views import ensure_views

FORM = {"Content_Type": "application/x-www-form-urlencoded"}
JSON = {"Content_Type": "application/json"}


def sql(console: Served, query: str) -> list[dict[str, object]]:
    """Ask the store beside the console."""
    found: list[dict[str, object]] = json.loads(command(console.directory, "sql", query, "--json").stdout)
    return found


def wait_until(holds: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Return once it holds: where another process is shipping, a review is stored a moment after its answer."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "expected it to hold by now"
        time.sleep(0.2)


def test_a_case_shows_the_whole_conversation_once_with_versions_and_money(console: Served) -> None:
    """What the model saw, what it said, what people made of it."""
    page = console.ask("/case/CASE-2").text
    for words in (
        "You triage security alerts.",
        "instructions to the model",
        "<dt>arguments · ip</dt><dd>10.0.0.7</dd>",
        "What the words on this page mean",
        "policy soc 7",
        "saw 1 event · took 1 min 35 s",
        "prompt triage 2.0.0",
        "1,240 tokens in, 210 out · $0.0036",
        "index runbooks 2026-10-30",
        "whois server closed the connection",
        "Block the address for 24 hours.",
        "anchored",
    ):
        assert words in page
    assert page.count("Alert CASE-2: 40 failed logins") == 2, "once in full, once folded away"


def test_a_call_that_was_cut_off_and_a_self_review_are_marked(console: Served) -> None:
    """The two things that a reader must not miss."""
    assert "outcome incomplete" in console.ask("/case/CASE-5").text
    assert "four eyes were not at work" in console.ask("/case/CASE-6").text


def test_whatever_was_recorded_is_text_and_never_markup(console: Served) -> None:
    """A prompt may hold anything."""
    evil = "<script>alert(1)</script>"
    event = event_of(console, "CASE-1", "model_call")
    body = {"event_id": event["event_id"], "action": "reject", "reasoning": evil, "reviewer": evil}
    assert console.ask("/api/reviews", data=json.dumps(body).encode(), **JSON).status == 201
    page = console.ask("/case/CASE-1").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page


def test_every_step_of_a_sealed_rows_proof_holds(console: Served) -> None:
    """From the envelope's bytes to the anchor."""
    event = event_of(console, "CASE-2", "retrieval")
    page = console.ask(f"/event?id={event['event_id']}").text
    assert page.count("<strong>Holds</strong>") == 6
    assert "c2sp.org/tlog-proof@v1" in page


def test_a_span_that_was_received_too_names_both_of_its_rows(tmp_path: Path) -> None:
    """On its page, and in what `show` prints for people."""
    ledger, ids = Ledger(), {"trace_id": "ab" * 16, "span_id": "cd" * 8}
    span = {"event_type": "model_call", "event_id": f"{ids['trace_id']}:{ids['span_id']}", **ids}
    own = ledger.open_chain().append({**span, "capture": {"tier": "captured"}})
    received = ledger.open_chain(role="collector").append({**span, "capture": {"tier": "ingested"}})
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path)}, working_directory=tmp_path)
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        ensure_views(store)
        ledger.write(store)
    shown = command(tmp_path, "show", span["event_id"]).stdout
    assert f"row hash {own.row_hash.hex()}" in shown
    assert f"received chain {received.chain_id.hex()} · seq 1 · row hash {received.row_hash.hex()}" in shown
    with serving(tmp_path) as console:
        page = console.ask(f"/event?id={span['event_id']}").text
    assert f"at 1 of chain <code>{received.chain_id.hex()}</code>" in page


def test_a_row_that_is_not_sealed_says_what_it_waits_for(console: Served) -> None:
    """The newest access row."""
    event = json.loads(console.ask("/api/events?type=access").body)[0]
    page = console.ask(f"/event?id={event['chain']}:{event['seq']}").text
    assert "<strong>Not yet</strong>" in page
    assert "spanledger seal" in page


@pytest.mark.parametrize(
    "unknown", ["event_type=access", "limit=5", "cas=CASE-1", "type=modelcall", "outcome=failed", "page=0", "as_of=x"]
)
def test_a_search_for_something_else_than_it_knows_is_refused(console: Served, unknown: str) -> None:
    """A filter that is left out in silence would find everything, and a tool would believe it."""
    refused = console.ask(f"/api/events?{unknown}")
    assert (refused.status, unknown.partition("=")[0] in refused.text) == (400, True)


def test_the_access_log_repeats_nothing_on_its_second_page(console: Served) -> None:
    """Looking at the first page is an access itself, and pushed the last line of it onto the second."""
    for _ in range(30):
        console.ask("/queue")
    assert command(console.directory, "ship").returncode == 0
    lines = re.compile(r'href="(/event\?id=[^"]+)"')
    older = re.compile(r'href="(/access\?page=2[^"]*)"')
    # A console beside the store's owner sees each table as it was up to two seconds ago.
    wait_until(lambda: bool(older.search(console.ask("/access").text)))
    first = console.ask("/access").text
    next_page = older.search(first)
    assert next_page
    console.ask("/queue")
    assert command(console.directory, "ship").returncode == 0
    second = lines.findall(console.ask(html.unescape(next_page[1])).text)
    assert second
    assert not set(second) & set(lines.findall(first))


@pytest.mark.parametrize("page", ["/", "/queue", "/access"])
def test_a_page_behind_the_last_one_says_so_and_leads_back(console: Served, page: str) -> None:
    """Somebody reviewed what stood there meanwhile: it said that nothing waits, though a page before it was full."""
    shown = console.ask(f"{page}?page=900").text
    assert "the pages before this one show" in shown
    assert f'href="{page}?page=899' in shown
    assert not re.search("Nothing waits|Nobody looked|nothing was recorded", shown)


def test_a_review_from_the_queue_is_recorded_with_its_difference(console: Served) -> None:
    """The form shows the draft; what the person made of it stands in the ledger, with the time it took."""
    queue = console.ask("/queue").text
    assert "CASE-4" in queue
    event = event_of(console, "CASE-4", "model_call")
    form = console.ask(f"/review?event={event['event_id']}")
    token = re.search(r'name="form_token" value="([^"]+)"', form.text)
    assert token
    assert "CASE-4 is a brute-force attempt." in form.text
    draft = "CASE-4 is a brute-force attempt.\nBlock the address.\nNo further action."
    assert "Reviewed already" in form.text, "the first reviewer handed it on"
    filled = {
        "form_token": token[1],
        "reviews": "1",
        "action": "edit",
        "draft": draft.replace("\n", "\r\n"),
        "final": draft.replace("No further action", "Tell the owner"),
        "reasoning": "the owner must know",
        "role": "lead",
    }
    answer = console.ask(f"/review?event={event['event_id']}", data=urlencode(filled).encode(), **FORM)
    assert (answer.status, answer.headers["location"]) == (303, "/case/CASE-4")
    (row,) = sql(console, "SELECT * FROM reviews WHERE case_id = 'CASE-4' AND action = 'edit' AND tenant = 'default'")
    assert row["diff"] == "-No further action.\n+Tell the owner."
    assert (row["subject_event_id"], row["reasoning"], row["author"]) == (
        event["event_id"],
        "the owner must know",
        "triage-agent",
    )
    assert "Tell the owner." in console.ask("/case/CASE-4").text


def test_of_two_who_review_the_same_at_once_the_second_hears_of_the_first(console: Served) -> None:
    """And records the second review beside the first only when sending it again."""
    place = f"/review?event={event_of(console, 'CASE-5', 'decision')['event_id']}"
    forms = [console.ask(place).text for _ in range(2)]

    def send(page: str, reasoning: str) -> Answer:
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
        filled = fields | {"action": "approve", "reasoning": reasoning}
        return console.ask(place, data=urlencode(filled).encode(), **FORM)

    with ThreadPoolExecutor() as both:
        answers = list(both.map(send, forms, ("first", "second")))
    assert sorted(answer.status for answer in answers) == [303, 409]
    refused = next(answer.text for answer in answers if answer.status == 409)
    assert "Somebody reviewed this while you had the form open" in refused
    assert "Reviewed already" in refused

    def recorded() -> set[object]:
        asked = "SELECT reasoning FROM reviews WHERE case_id = 'CASE-5'"  # other tests review this case, too
        return {row["reasoning"] for row in sql(console, asked)} & {"first", "second", "after all"}

    wait_until(lambda: len(recorded()) == 1)
    assert send(refused, "after all").status == 303
    wait_until(lambda: "after all" in recorded() and len(recorded()) == 2)


def test_a_draft_of_megabytes_can_be_reviewed(console: Served) -> None:
    """The form carries it both ways."""
    place = f"/review?event={event_of(console, 'CASE-3', 'decision')['event_id']}"
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', console.ask(place).text))
    filled = fields | {"action": "approve", "reasoning": "long", "draft": "word " * 300_000}
    assert console.ask(place, data=urlencode(filled).encode(), **FORM).status == 303


def test_a_review_that_makes_no_sense_is_shown_again_with_what_was_typed(console: Served) -> None:
    """Nothing is recorded."""
    event = event_of(console, "CASE-3", "model_call")
    token = re.search(r'name="form_token" value="([^"]+)"', console.ask(f"/review?event={event['event_id']}").text)
    assert token
    filled = {"form_token": token[1], "action": "shrug", "reasoning": "typed with care"}
    answer = console.ask(f"/review?event={event['event_id']}", data=urlencode(filled).encode(), **FORM)
    assert answer.status == 400
    assert "typed with care" in answer.text


def test_a_review_tool_in_any_language_records_over_http(console: Served) -> None:
    """JSON in, the row's place out."""
    event = event_of(console, "CASE-3", "model_call")
    body = {"event_id": event["event_id"], "action": "approve", "reasoning": "seen", "seconds_spent": 4.5}
    answer = console.ask("/api/reviews", data=json.dumps(body).encode(), **JSON)
    recorded = json.loads(answer.body)
    assert (answer.status, recorded["event_type"]) == (201, "human_review")
    decision = {"name": "close", "result": "closed", "event_id": event["event_id"], "confidence": 1}
    assert console.ask("/api/decisions", data=json.dumps(decision).encode(), **JSON).status == 201
    (row,) = sql(console, f"SELECT seconds_spent FROM reviews WHERE event_id = '{recorded['event_id']}'")
    assert row["seconds_spent"] == 4.5


def test_a_body_that_makes_no_sense_is_answered_with_a_sentence(console: Served) -> None:
    """Wrong type, wrong JSON, missing field, wrong field, unknown field, unknown event."""
    event = event_of(console, "CASE-3", "model_call")
    for body, status in (
        (b"{", 400),
        (b"[]", 400),
        (b"{}", 400),
        (json.dumps({"event_id": event["event_id"], "action": "edit"}).encode(), 400),
        (json.dumps({"event_id": event["event_id"], "action": "approve", "seconds_spent": "long"}).encode(), 400),
        (json.dumps({"event_id": "no:such", "action": "approve"}).encode(), 404),
        (json.dumps({"event_id": event["event_id"], "action": "approve", "seen_event_ids": ["no:such"]}).encode(), 404),
        (json.dumps({"event_id": event["event_id"], "action": "approve", "reasonning": "misspelled"}).encode(), 400),
    ):
        answer = console.ask("/api/reviews", data=body, **JSON)
        assert (answer.status, "expected" in json.loads(answer.body)["error"]) == (status, True)
    assert console.ask("/api/reviews", data=b"action=approve", **FORM).status == 400
    decision = json.dumps({"name": "close", "result": "closed", "rational": "misspelled"}).encode()
    assert console.ask("/api/decisions", data=decision, **JSON).status == 400


def test_the_rows_of_a_case_can_be_downloaded(console: Served) -> None:
    """CSV for a spreadsheet."""
    answer = console.ask("/case/CASE-1/rows.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["case_id"] for row in rows} == {"CASE-1"}
    assert 'filename="CASE-1.csv"' in answer.headers["content-disposition"]


def test_the_evidence_of_a_case_can_be_downloaded(console: Served) -> None:
    """A bundle that brings its own verifier."""
    answer = console.ask("/case/CASE-2/evidence.zip")
    assert answer.status == 200, answer.text[-600:]
    names = zipfile.ZipFile(io.BytesIO(answer.body)).namelist()
    assert any(name.endswith("verify.py") for name in names)


def test_the_verdict_is_explained_in_plain_words(console: Served) -> None:
    """After somebody asked for one."""
    token = re.search(r'name="form_token" value="([^"]+)"', console.ask("/verdict").text)
    assert token
    answer = console.ask("/verdict", data=urlencode({"form_token": token[1]}).encode(), **FORM)
    assert answer.status == 303
    page = console.ask("/verdict").text
    assert re.search(r"<h2>(Verified|Incomplete)</h2>", page)
    assert "What this cannot show" in page


def test_every_page_leaves_an_access_row_and_the_log_shows_it(console: Served) -> None:
    """Who, what, of which case, why, through the console."""
    console.ask("/case/CASE-6?reason=complaint+2026-17")
    console.ask("/case/CASE-6/rows.csv")
    looked = "event_type = 'access' AND JSONExtractString(env, 'access', 'reason') = 'complaint 2026-17'"
    assert sql(console, f"SELECT count() AS n FROM events WHERE {looked}") == [{"n": 1}]  # ships what waits, too
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:  # the console looks for new rows every second; asking for pages would add some
        console.ask("/static/mark.svg")
    assert "complaint 2026-17" in console.ask("/access").text
    accesses = json.loads(console.ask("/api/events?type=access").body)
    (seen,) = [event for event in accesses if event["access"].get("reason") == "complaint 2026-17"]
    assert (seen["access"]["action"], seen["access"]["channel"]) == ("timeline", "console")
    assert seen["access"]["subject"] == {"case_id": "CASE-6"}
    assert "export" in {event["access"]["action"] for event in accesses}


def test_a_reason_given_once_goes_along_from_page_to_page(console: Served) -> None:
    """From the search to the case, its rows and its events: each of these accesses says why."""
    why = "reason=audit+of+case+3"
    assert f'href="/case/CASE-3?{why}"' in console.ask(f"/?case=CASE-3&{why}").text
    page = console.ask(f"/case/CASE-3?{why}").text
    followed = set(re.findall(rf'href="(/[^"]*{re.escape(why)})"', page.replace("&amp;", "&")))
    assert {place.partition("?")[0] for place in followed} >= {
        "/event",
        "/review",
        "/case/CASE-3/rows.csv",
        "/case/CASE-3/evidence.zip",
    }
    console.ask(f"/case/CASE-3/rows.csv?{why}")
    for place in ("queue", "access"):
        console.ask(f"/{place}?{why}")
    for place in ("events?case=CASE-3&", "queue?", "cases/CASE-3?"):
        assert console.ask(f"/api/{place}{why}").status == 200
    found = sql(
        console,
        "SELECT JSONExtractString(env, 'access', 'action') AS action, count() AS n FROM events "
        "WHERE event_type = 'access' AND JSONExtractString(env, 'access', 'reason') = 'audit of case 3' "
        "GROUP BY action",
    )
    counted = {str(row["action"]): row["n"] for row in found}
    assert counted == {"search": 2, "timeline": 2, "export": 1, "review queue": 2, "access log": 1}


def test_a_mistake_is_a_page_with_a_sentence(console: Served) -> None:
    """A time that is none, an event that is none, a case that nobody recorded."""
    assert (console.ask("/?since=soon").status, console.ask("/event?id=no").status) == (400, 404)
    assert "expected a time such as" in console.ask("/?since=soon").text
    assert console.ask("/case/").status == 400, "no case is not every row without a case"
    assert "Nothing is recorded about this." in console.ask("/case/NO-SUCH").text
