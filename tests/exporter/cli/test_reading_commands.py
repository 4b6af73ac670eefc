"""`timeline`, `search`, `show`, `export` and `sql` on a store that holds the story."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from command_line import Run
from ledgers import MONDAY_NS
from spanledger_exporter.cli import EXIT_UNAVAILABLE, EXIT_USAGE
from spanledger_exporter.ledger.row import env_hash, row_hash


def sql(run: Run, query: str) -> Any:
    """Return the objects that a query gives."""
    return run("sql", query, "--format", "json").json()


def test_a_timeline_gives_envelopes_with_their_place_and_state(run: Run) -> None:
    """Every envelope of the case once, causes first."""
    events = run("timeline", "--case", "CASE-1", "--json").json()
    assert all({"chain", "seq", "row_hash", "state", "schema", "event_type"} <= set(event) for event in events)
    assert [event["event_type"] for event in events].count("model_call") == 2
    places = {event["event_id"]: index for index, event in enumerate(events)}
    parents = [f"{event['trace_id']}:{event['parent_span_id']}" for event in events if "parent_span_id" in event]
    assert all(places[parent] == 0 for parent in parents)


def test_a_timeline_of_a_trace_is_the_timeline_of_its_case(run: Run) -> None:
    """`--json` and `--format json` are the same."""
    by_case = run("timeline", "--case", "CASE-3", "--json").json()
    by_trace = run("timeline", "--trace", by_case[0]["trace_id"], "--format", "json").json()
    assert by_trace == by_case


def test_a_call_that_was_never_answered_shows_as_incomplete(run: Run) -> None:
    """It keeps what was sent."""
    (cut_off,) = [e for e in run("timeline", "--case", "CASE-5", "--json").json() if e["outcome"] == "incomplete"]
    assert cut_off["event_type"] == "model_call"
    assert cut_off["input"]
    assert "output" not in cut_off


def test_a_timeline_for_people_shows_versions_tokens_money_and_content(run: Run) -> None:
    """One page that a reviewer can read; a resent conversation is shown once."""
    page = run("timeline", "--case", "CASE-2", "--utc").out
    assert "gpt-5-2026-09-01 · prompt triage 2.0.0 · policy soc 7 · 1,240 tokens in, 210 out · $0.0036" in page
    assert "+Block the address for 24 hours." in page
    assert page.count("You triage security alerts.") == 1
    assert "the same as at 09:00:03" in page
    assert "from 2026-11-02 09:00:03.757 UTC" in page


def test_a_waterfall_has_one_line_per_event(run: Run) -> None:
    """Heading, blank line, bars."""
    page = run("timeline", "--case", "CASE-1", "--waterfall").out
    assert len(page.splitlines()) == 2 + len(run("timeline", "--case", "CASE-1", "--json").json())


def test_a_case_that_nobody_recorded_is_said_and_not_an_error(run: Run) -> None:
    """An empty array for programs, a sentence for people."""
    ran = run("timeline", "--case", "NO-SUCH", "--json")
    assert (ran.status, ran.json()) == (0, [])
    assert "nothing is recorded about NO-SUCH" in ran.err


@pytest.mark.parametrize(
    ("arguments", "cases"),
    [
        (["--outcome", "error"], {"CASE-2"}),
        (["--outcome", "incomplete"], {"CASE-5"}),
        (["--model", "local-7b"], {"CASE-4"}),
        (["--reviewer", "triage-agent"], {"CASE-6"}),
        (["--actor", "maria.keller", "--event-type", "human_review", "--case", "CASE-3"], {"CASE-3"}),
        (["--text", "for 24 HOURS"], {"CASE-2"}),
        (["--until", "2026-11-02T08:00:00.01Z", "--event-type", "retrieval"], {"CASE-1"}),
        (["--text", "no such words anywhere"], set()),
        (
            ["--event-type", "external_action", "--since", "2026-11-02T12:30Z", "--until", "2026-11-02T14:00Z"],
            {"CASE-6"},
        ),
        (["--tenant", "somebody else", "--event-type", "model_call"], set()),
    ],
)
def test_a_search_finds_what_meets_every_criterion(run: Run, arguments: list[str], cases: set[str]) -> None:
    """Each flag narrows the search."""
    assert {event["context"]["case_id"] for event in run("search", *arguments, "--json").json()} == cases


def test_a_search_shows_the_newest_first_and_says_where_it_stopped(run: Run) -> None:
    """Two of many."""
    ran = run("search", "--event-type", "model_call", "--limit", "2", "--json")
    starts = [int(event["time"]["start"]) for event in ran.json()]
    assert starts == sorted(starts, reverse=True)
    assert len(starts) == 2
    assert "--limit shows more" in ran.err


@pytest.mark.parametrize("time", ["soon", "2026-13-01", "5x", ""])
def test_a_time_that_is_none_is_wrong_usage(run: Run, time: str) -> None:
    """An empty one means that nothing was asked for."""
    assert run("search", "--since", time, "--json").status == (EXIT_USAGE if time else 0)


@pytest.mark.parametrize(
    ("option", "word", "known"), [("--event-type", "modelcall", "model_call"), ("--outcome", "failed", "cancelled")]
)
def test_a_word_that_no_row_can_have_is_refused_with_the_known_ones(
    run: Run, option: str, word: str, known: str
) -> None:
    """It found nothing, which reads like an answer."""
    ran = run("search", option, word, "--json")
    assert (ran.status, ran.out) == (EXIT_USAGE, "")
    assert known in ran.err


def test_a_timeline_of_no_case_is_wrong_usage(run: Run) -> None:
    """It was everything without a case."""
    assert run("timeline", "--case", "").status == run("timeline", "--trace", "", "--json").status == EXIT_USAGE


def test_show_prints_one_event_with_its_content_and_place(run: Run) -> None:
    """By event id and by place in the chain."""
    (event,) = run("search", "--case", "CASE-1", "--event-type", "retrieval", "--json").json()
    by_id = run("show", event["event_id"])
    assert "svc-backup failed logins" in by_id.out
    assert event["row_hash"] in by_id.out
    by_place = run("show", f"{event['chain']}:{event['seq']}", "--json").json()
    assert by_place[0]["event_id"] == event["event_id"]
    assert by_place[0]["input"][0]["text"] == "svc-backup failed logins"


def test_a_trace_id_that_is_none_is_refused(run: Run) -> None:
    """An event's id is easily taken for one; to find nothing would read as if nothing had been recorded."""
    ran = run("timeline", "--trace", f"{'a' * 32}:{'b' * 16}")
    assert (ran.status, "32 hex digits" in ran.err) == (EXIT_USAGE, True)


def test_show_ends_with_one_when_there_is_no_such_event(run: Run) -> None:
    """And says how to find one."""
    ran = run("show", "ffff:ffff")
    assert ran.status == 1
    assert "spanledger search" in ran.err


def test_the_export_holds_every_row_as_a_verifier_wants_it(run: Run, tmp_path: Path) -> None:
    """Seven fields; the hashes follow from the other fields."""
    run("export", "--format", "jsonl", "-o", str(tmp_path / "rows.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    for line in lines:
        digest = env_hash(line["env"].encode())
        expected = row_hash(
            chain_id=bytes.fromhex(line["chain"]),
            seq=line["seq"],
            prev_hash=bytes.fromhex(line["prev_hash"]),
            time_ns=int(line["time_ns"]),
            env_hash=digest,
        )
        assert set(line) == {"chain", "seq", "prev_hash", "time_ns", "env", "env_hash", "row_hash"}
        assert (line["env_hash"], line["row_hash"]) == (digest.hex(), expected.hex())
    types = {json.loads(line["env"])["event_type"] for line in lines}
    assert types >= {"chain.open", "chain.close", "heartbeat", "model_call", "access", "human_review"}


def test_csv_and_parquet_hold_the_same_rows(run: Run, tmp_path: Path) -> None:
    """The typed columns stand beside the row."""
    from pyarrow import parquet

    rows = list(csv.DictReader(io.StringIO(run("export", "--format", "csv", "--case", "CASE-1").out)))
    run("export", "--format", "parquet", "--case", "CASE-1", "-o", str(tmp_path / "rows.parquet"))
    table = parquet.read_table(tmp_path / "rows.parquet")
    assert table["row_hash"].to_pylist() == [row["row_hash"] for row in rows]
    assert str(table["cost_usd"].type) == "decimal128(18, 9)"
    assert sha256(rows[0]["env"].encode()).digest() == sha256(table["env"][0].as_py().encode()).digest()


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_every_listing_can_be_csv_or_parquet(run: Run, tmp_path: Path, format_: str) -> None:
    """A search, into a file."""
    target = tmp_path / f"found.{format_}"
    assert run("search", "--case", "CASE-1", "--format", format_, "-o", str(target)).status == 0
    assert target.stat().st_size > 500


def test_sql_gives_objects_with_hashes_in_hex(run: Run) -> None:
    """Qualified names and plain ones are the same tables; decimals are exact numbers."""
    (row,) = sql(
        run, "SELECT row_hash, seq, cost_usd FROM spanledger.rows WHERE event_type = 'chain.open' ORDER BY time LIMIT 1"
    )
    (same,) = sql(run, "SELECT row_hash FROM rows WHERE event_type = 'chain.open' ORDER BY time LIMIT 1")
    assert len(row["row_hash"]) == 64
    assert row["row_hash"] == same["row_hash"]
    assert (row["seq"], row["cost_usd"]) == (0, 0)


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE rows",
        "INSERT INTO rows (tenant) VALUES ('x')",
        "ALTER TABLE rows DELETE WHERE 1",
        "SELECT 1; DROP TABLE rows",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM /* hidden */ url('http://example.com')",
        "SELECT * FROM `file`('/etc/passwd')",
        "SELECT * FROM `fi\\x6ce`('/etc/passwd')",
        "SELECT file('/etc/passwd')",
        "WITH x AS (SELECT * FROM remote('h', 'd', 't')) SELECT * FROM x",
        "EXPLAIN SELECT (SELECT line FROM file('/etc/passwd', 'LineAsString') LIMIT 1)",
        "EXPLAIN PIPELINE header = 1 SELECT * FROM url('http://localhost:1/', 'LineAsString')",
        "EXPLAIN QUERY TREE SELECT file('/etc/passwd')",
        "EXPLAIN TABLE OVERRIDE mysql('host', 'db', 'table', 'user', 'password')",
        "EXPLAIN INSERT INTO rows SELECT * FROM rows",
        "   ",
    ],
)
def test_sql_refuses_what_does_not_only_read_the_ledger(run: Run, query: str) -> None:
    """Before the engine sees it, and with a status that is no verdict."""
    assert run("sql", query).status == EXIT_USAGE


@pytest.mark.parametrize(
    "query",
    [
        "SELECT ';' AS a",
        "SELECT 'drop table' -- ; insert into",
        "WITH 1 AS x SELECT x;",
        "SHOW TABLES",
        "DESCRIBE events",
        "SELECT number FROM numbers(3)",
        "EXPLAIN SELECT 1",
        "EXPLAIN PIPELINE header = 1 SELECT count() FROM events",
        "EXPLAIN AST SELECT 1",
        "EXPLAIN indexes = 1 SELECT * FROM rows WHERE seq = 1",
    ],
)
def test_sql_takes_what_only_looks_like_writing(run: Run, query: str) -> None:
    """Strings and comments are no statements."""
    assert run("sql", query, "--json").status == 0


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT nonsense FROM rows", "nonsense"),
        ("SELECT 1 FROM nonsense", "nonsense"),
        ("SELECT 1 FROM nonsense.rows", "nonsense"),
        ("SELECT count(", "SYNTAX_ERROR"),
        ("SELECT nonsense(seq) FROM rows", "nonsense"),
        ("SELECT seq, count() FROM rows", "NOT_AN_AGGREGATE"),
        ("SELECT seq FROM rows WHERE time > 'yesterday'", "yesterday"),
    ],
)
def test_a_mistake_in_a_query_is_wrong_usage_in_the_engines_words(run: Run, query: str, said: str) -> None:
    """Not an unavailable store: a script that waits and tries again would do so for ever."""
    ran = run("sql", query)
    assert ran.status == EXIT_USAGE
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_query_that_fails_while_it_runs_is_not_called_wrong_usage(run: Run) -> None:
    """It is understood: whatever the engine then meets, a damaged part for example, is not the asker's mistake."""
    ran = run("sql", "SELECT throwIf(seq >= 0, 'met') FROM rows")
    assert ran.status == EXIT_UNAVAILABLE
    assert "met" in ran.err


def test_every_read_leaves_an_access_row(run: Run) -> None:
    """Who, what, why; looking at a case is not part of the case."""
    before = len(run("timeline", "--case", "CASE-4", "--json").json())
    run("timeline", "--case", "CASE-4", "--reason", "complaint 2026-17")
    looked = "event_type = 'access' AND JSONHas(env, 'access', 'reason')"
    (seen,) = sql(run, f"SELECT actor_id, env FROM events WHERE {looked}")
    access = json.loads(seen["env"])["access"]
    assert seen["actor_id"]
    assert access == {
        "action": "timeline",
        "channel": "cli",
        "reason": "complaint 2026-17",
        "subject": {"case_id": "CASE-4"},
    }
    assert len(run("timeline", "--case", "CASE-4", "--json").json()) == before


def test_a_read_that_cannot_be_recorded_is_loud_or_refused(
    run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`open` reads and says so, `closed` shows nothing."""
    blocked = directory / "spool"
    moved = blocked.rename(directory / "spool-away")
    blocked.write_text("not a directory")
    try:
        ran = run("timeline", "--case", "CASE-1", "--json")
        assert (ran.status, bool(ran.json())) == (0, True)
        assert "NOT recorded" in ran.err
        monkeypatch.setenv("SPANLEDGER_ON_FAILURE", "closed")
        ran = run("timeline", "--case", "CASE-1", "--json")
        assert (ran.status, ran.out) == (EXIT_UNAVAILABLE, "")
    finally:
        blocked.unlink()
        moved.rename(blocked)


@contextmanager
def owned(directory: Path) -> Generator[None]:
    """Another process owns the store meanwhile."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "owning\n"
        yield
    finally:
        owner.communicate("done\n", timeout=20)


def test_the_story_begins_when_it_says(run: Run) -> None:
    """Nanoseconds survive the way through the store."""
    first = run("timeline", "--case", "CASE-1", "--json").json()[0]
    assert int(first["time"]["start"]) == MONDAY_NS + 1_000_000


def test_reading_works_while_another_process_owns_the_store(run: Run, directory: Path) -> None:
    """The owner stays; the reader goes round it through the read-only attachment."""
    with owned(directory):
        assert len(run("timeline", "--case", "CASE-1", "--json").json()) == 8


def test_a_reader_that_is_told_to_end_in_a_long_query_leaves_nothing_for_long(run: Run, directory: Path) -> None:
    """It ends within seconds, and what it could not remove the next reader beside the owner does."""
    temporary = directory / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    query = "SELECT sum(sipHash64(a.seq, b.seq, c.seq, d.seq, e.seq, f.seq)) FROM rows a, rows b, rows c, rows d, "
    query += "rows e, rows f, rows g, rows h"
    with owned(directory):
        command = [sys.executable, "-m", "spanledger_exporter", "sql"]
        reader = subprocess.Popen([*command, query], cwd=directory, env=environment)
        while not list(temporary.iterdir()):
            assert reader.poll() is None
        reader.terminate()
        assert reader.wait(60) in {-signal.SIGTERM, 128 + signal.SIGTERM}
        subprocess.run([*command, "SELECT 1"], cwd=directory, env=environment, check=True, capture_output=True)
        assert list(temporary.glob("spanledger-*")) == []


OWNER = """
import sys
from spanledger_exporter.config import load_settings
from spanledger_exporter.store.connection import open_store
with open_store(load_settings(), role="owner", lasting=True):
    print("owning", flush=True)
    sys.stdin.readline()
"""
