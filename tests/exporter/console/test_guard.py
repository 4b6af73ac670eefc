"""Who may see what, and what a browser may be made to do."""

from __future__ import annotations

import io
import json
import re
import zipfile
from hashlib import sha256
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient

from served_console import TOKENS, Answer, Served, command
from spanledger_exporter.config import load_settings
from spanledger_exporter.console.app import make_app
from spanledger_exporter.console.forms import FORM_LIFETIME_S, LIFETIME_S, Sessions
from spanledger_exporter.console.guard import MAX_BODY_BYTES
from spanledger_exporter.console.options import ConsoleOptions, Person, read_people
from spanledger_exporter.errors import ConfigurationError

FORM = {"Content_Type": "application/x-www-form-urlencoded"}


def form_token(page: Answer) -> str:
    """Return the token of the page's form."""
    found = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert found
    return found[1]


def sign_in(console: Served, name: str) -> str:
    """Sign in, and return the Cookie header."""
    token = form_token(console.ask("/sign-in"))
    data = urlencode({"form_token": token, "token": TOKENS[name]}).encode()
    answer = console.ask("/sign-in", data=data, **FORM)
    assert answer.status == 303
    cookie = SimpleCookie(answer.headers["set-cookie"])["spanledger_session"]
    assert cookie["httponly"]
    assert cookie["samesite"].lower() == "strict"
    return f"spanledger_session={cookie.value}"


def test_every_answer_forbids_scripts_frames_caches_and_anything_from_elsewhere(console: Served) -> None:
    """Pages, files and errors alike."""
    for path in ("/", "/static/console.css", "/no-such-page", "/api/queue"):
        headers = {name.lower(): value for name, value in console.ask(path).headers.items()}
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_a_name_that_is_not_ours_is_refused(console: Served) -> None:
    """DNS rebinding: a page of somebody else whose name resolves to this machine."""
    assert console.ask("/", Host="evil.example").status == 421
    assert console.ask("/", Host=f"localhost:{console.port}").status == 200


@pytest.mark.parametrize("more", ["/sign-in?", "@evil.example", " ", "x", ":80"])
def test_what_stands_behind_a_hosts_port_is_no_way_round_the_guard(guarded: Served, more: str) -> None:
    """An address that is put together from the Host header would then have the path of a page that is open to all."""
    answer = guarded.ask("/case/CASE-1", Host=f"127.0.0.1:{guarded.port}{more}")
    assert answer.status in {303, 400, 421}
    assert "triage-agent" not in answer.text


@pytest.mark.parametrize("path", ["/sign-in", "/verdict", "/api/reviews"])
def test_a_body_without_end_is_not_read_to_its_end(story: Path, path: str) -> None:
    """Whoever sends it, before and behind the sign-in page."""
    settings = load_settings({"SPANLEDGER_DIR": str(story)}, working_directory=story)
    options = ConsoleOptions(people={sha256(b"token").hexdigest(): Person("maria")})
    client = TestClient(make_app(settings, options), base_url="http://127.0.0.1")
    kind = "application/json" if path.startswith("/api/") else FORM["Content_Type"]
    headers = {"Content-Type": kind, "Authorization": "Bearer token"}
    assert client.post(path, content=b"a" * (MAX_BODY_BYTES + 1), headers=headers).status_code == 413
    assert client.post(path, content=b"a" * 100, headers=headers).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "null"},
    ],
)
def test_a_form_of_another_site_changes_nothing(console: Served, headers: dict[str, str]) -> None:
    """Whatever it carries."""
    token = form_token(console.ask("/verdict"))
    answer = console.ask("/verdict", data=urlencode({"form_token": token}).encode(), **FORM, **headers)
    assert answer.status == 403


@pytest.mark.parametrize("token", ["", "1.abc", "x", "9999999999.000.00", "1.\u00e9"])
def test_a_form_without_our_token_changes_nothing(console: Served, token: str) -> None:
    """It was not made by the page that it claims to be."""
    assert console.ask("/verdict", data=urlencode({"form_token": token}).encode(), **FORM).status == 400


def test_strangers_see_the_sign_in_page_and_nothing_else(guarded: Served) -> None:
    """Pages redirect, the API says 401."""
    for path in ("/", "/case/CASE-1", "/access", "/event?id=x", "/case/CASE-1/rows.csv"):
        answer = guarded.ask(path)
        assert (answer.status, answer.headers["location"].split("?")[0]) == (303, "/sign-in")
    assert guarded.ask("/api/queue").status == 401
    assert guarded.ask("/api/queue", Authorization="Bearer wrong").status == 401


def test_a_wrong_token_opens_no_session(guarded: Served) -> None:
    """And is answered without a hint."""
    data = urlencode({"form_token": form_token(guarded.ask("/sign-in")), "token": "guess"}).encode()
    answer = guarded.ask("/sign-in", data=data, **FORM)
    assert answer.status == 403
    assert "set-cookie" not in {name.lower() for name in answer.headers}


def test_signing_in_leads_only_to_our_own_pages(guarded: Served) -> None:
    """`next` is a path of ours, or the front page."""
    for place, expected in (
        ("/queue", "/queue"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil", "/"),
    ):
        data = urlencode({"form_token": form_token(guarded.ask("/sign-in")), "token": TOKENS["maria"]}).encode()
        answer = guarded.ask(f"/sign-in?{urlencode({'next': place})}", data=data, **FORM)
        assert answer.headers["location"] == expected


def test_signing_out_ends_the_session(guarded: Served) -> None:
    """The cookie is worth nothing afterwards."""
    cookie = sign_in(guarded, "maria")
    page = guarded.ask("/queue", Cookie=cookie)
    assert page.status == 200
    data = urlencode({"form_token": form_token(page)}).encode()
    assert guarded.ask("/sign-out", data=data, Cookie=cookie, **FORM).status == 303
    assert guarded.ask("/queue", Cookie=cookie).status == 303


def test_a_person_of_one_tenant_sees_nothing_of_another(guarded: Served) -> None:
    """Search, case, trace, event by id and by place, export, queue and API: CASE-1 belongs to somebody else."""
    everything, own = f"Bearer {TOKENS['maria']}", f"Bearer {TOKENS['otto']}"
    (event, *_rest) = json.loads(guarded.ask("/api/cases/CASE-1", Authorization=everything).body)
    places = (
        "/case/CASE-1",
        f"/trace/{event['trace_id']}",
        f"/event?id={event['event_id']}",
        f"/event?id={event['chain']}:{event['seq']}",
        "/?case=CASE-1",
        "/?text=brute-force&case=CASE-1",
        "/api/cases/CASE-1",
        "/api/events?case=CASE-1",
        "/case/CASE-1/rows.csv",
    )
    for place in places:
        assert "triage-agent" in guarded.ask(place, Authorization=everything).text, place
        assert "triage-agent" not in guarded.ask(place, Authorization=own).text, place
        assert "brute-force attempt" not in guarded.ask(place, Authorization=own).text, place
    assert guarded.ask("/case/CASE-1/evidence.zip", Authorization=own).status == 400
    assert guarded.ask("/case//rows.csv", Authorization=own).status == 400, "no case is not every case"
    assert {item["tenant"] for item in json.loads(guarded.ask("/api/queue", Authorization=own).body)} == {"other"}
    assert "CASE-4" in guarded.ask("/case/CASE-4", Authorization=own).text


def test_a_bundle_of_a_case_that_two_tenants_have_holds_the_persons_own_rows_only(guarded: Served) -> None:
    """CASE-4 is in both; beside its own rows a bundle has row 0 of their chain, which says whose chain it is."""

    def tenants(name: str) -> set[str]:
        answer = guarded.ask("/case/CASE-4/evidence.zip", Authorization=f"Bearer {TOKENS[name]}")
        assert answer.status == 200, answer.text[-600:]
        rows = zipfile.ZipFile(io.BytesIO(answer.body)).read("rows.jsonl").splitlines()
        return {json.loads(json.loads(row)["env"])["tenant"] for row in rows}

    assert (tenants("maria"), tenants("otto")) == ({"default", "other"}, {"other"})


def test_cases_of_one_name_can_be_seen_apart(guarded: Served) -> None:
    """Whoever sees every tenant is told that there are two, and may look at one; whoever sees one sees that one."""
    everything, own = f"Bearer {TOKENS['maria']}", f"Bearer {TOKENS['otto']}"
    both = guarded.ask("/case/CASE-4", Authorization=everything).text
    assert "2 tenants have events here" in both
    assert 'href="/case/CASE-4?tenant=other"' in both
    one = guarded.ask("/case/CASE-4?tenant=other", Authorization=everything).text
    assert "tenants have events here" not in one
    assert "/case/CASE-4/rows.csv?tenant=other" in one
    for place in ("/api/cases/CASE-4?", "/api/events?case=CASE-4&", "/api/queue?"):
        for asked, who, seen in (("other", everything, {"other"}), ("default", own, {"other"})):
            found = json.loads(guarded.ask(f"{place}tenant={asked}", Authorization=who).body)
            assert {event["tenant"] for event in found} == seen
    assert 'class="hint">other</span>' in guarded.ask("/queue", Authorization=everything).text
    query = "SELECT DISTINCT tenant FROM events WHERE event_type = 'access' AND actor_id = 'maria'"
    rows = json.loads(command(guarded.directory, "sql", query, "--json").stdout)
    assert {"tenant": "other"} in rows, "its own access log shows that somebody looked"


def test_a_bundle_leaves_one_access_row_by_who_asked_and_why(guarded: Served) -> None:
    """And none by whoever runs the console."""
    why = "request of the regulator"
    place = f"/case/CASE-4/evidence.zip?{urlencode({'reason': why})}"
    assert guarded.ask(place, Authorization=f"Bearer {TOKENS['otto']}").status == 200
    query = "SELECT actor_id FROM events WHERE event_type = 'access' AND JSONExtractString(env, 'access', 'reason') = "
    (row,) = json.loads(command(guarded.directory, "sql", f"{query}'{why}'", "--json").stdout)
    assert row == {"actor_id": "otto"}


def test_signing_in_and_out_and_the_verdict_stand_in_the_access_log(guarded: Served) -> None:
    """They are things that a person does."""
    cookie = sign_in(guarded, "maria")
    page = guarded.ask("/verdict?reason=month+end", Cookie=cookie)
    guarded.ask("/sign-out", data=urlencode({"form_token": form_token(page)}).encode(), Cookie=cookie, **FORM)
    query = "SELECT JSONExtractString(env, 'access', 'action') AS did FROM events WHERE event_type = 'access'"
    rows = json.loads(command(guarded.directory, "sql", f"{query} AND actor_id = 'maria'", "--json").stdout)
    assert {"sign in", "sign out", "verdict"} <= {row["did"] for row in rows}


def test_a_failure_of_ours_is_answered_with_the_same_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the framework's own answer, which forbids nothing; the server's log has the traceback."""

    def fail(*_: object) -> Person:
        raise ZeroDivisionError

    monkeypatch.setattr(ConsoleOptions, "person_with_token", fail)
    app = make_app(load_settings({"SPANLEDGER_DIR": str(tmp_path)}, working_directory=tmp_path), ConsoleOptions())
    client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    token = re.search(r'name="form_token" value="([^"]+)"', client.get("/sign-in").text)
    assert token
    answer = client.post("/sign-in", data={"form_token": token[1], "token": "x"})
    assert answer.status_code == 500
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "a mistake of this console" in answer.text


def test_the_proxys_header_is_believed_only_from_the_proxy(story: Path) -> None:
    """Elsewhere it is a claim like any other."""
    from starlette.requests import Request

    from spanledger_exporter.console.guard import Guard

    options = ConsoleOptions(user_header="X-Forwarded-User", tenant_header="X-Tenant", proxy_addresses=("10.0.0.1",))
    guard = Guard(lambda *_: None, options=options, sessions=Sessions())  # type: ignore[arg-type]

    def person(peer: str, *headers: tuple[bytes, bytes]) -> Person | None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": list(headers), "client": (peer, 1)}
        return guard._person(Request(scope))

    user, tenant = (b"x-forwarded-user", b"maria"), (b"x-tenant", b"other")
    assert person("10.0.0.1", user, tenant) == Person("maria", "other")
    assert person("10.0.0.2", user, tenant) is None
    assert person("10.0.0.1", user) is None, "without a tenant the proxy did not say what she may see"
    assert person("10.0.0.1", tenant) is None
    assert person("10.0.0.1", (b"x-forwarded-user", b"otto"), user, tenant) is None, "the first may be the asker's own"


def test_a_console_for_strangers_is_not_started() -> None:
    """Beyond loopback somebody must say who is asking."""
    with pytest.raises(ConfigurationError, match="--people FILE or --user-header"):
        ConsoleOptions(host="0.0.0.0").check()  # noqa: S104
    ConsoleOptions(host="0.0.0.0", user_header="X-User").check()  # noqa: S104
    with pytest.raises(ConfigurationError, match="got both"):
        ConsoleOptions(user_header="X-User", people={"a" * 64: Person("maria")}).check()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "maria",
        "maria short",
        "maria " + "\u00e9" * 64,
        "maria " + "a" * 64 + " other more",
        "# nobody",
        "maria " + "a" * 64 + "\notto " + "A" * 64,
        "maria " + "a" * 64 + "\nmaria " + "a" * 64 + " other",
    ],
)
def test_a_people_file_that_names_nobody_properly_is_refused(tmp_path: Path, line: str) -> None:
    """One line that says which line and why."""
    (tmp_path / "people").write_text(line + "\n")
    with pytest.raises(ConfigurationError, match="expected"):
        read_people(tmp_path / "people")


def test_sessions_and_forms_grow_old() -> None:
    """A session ends after a working day, a form soon after."""
    now = [1000.0]
    sessions = Sessions(clock=lambda: now[0])
    maria = Person("maria")
    session, token = sessions.begin(maria), sessions.form_token(maria)
    now[0] += 60
    assert sessions.person(session) == maria
    assert sessions.form_age_s(maria, token) == 60
    assert sessions.form_age_s(Person("otto"), token) is None
    now[0] += LIFETIME_S + FORM_LIFETIME_S
    assert sessions.person(session) is None
    assert sessions.form_age_s(maria, token) is None
