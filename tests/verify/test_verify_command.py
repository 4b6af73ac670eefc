"""`spanledger verify` as scripts use it: exit status, JSON, pinned keys, exports, and what it remembers."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from attacks.attacked_store import AttackedStore, command, make_base, record_calls, settings_of, ship
from sealed_ledgers import edited
from spanledger_exporter.keys.key_file import make_key
from spanledger_exporter.recorder import open_recorder
from spanledger_exporter.verify.verdict import CHECKS, RESIDUALS


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a sealed ledger."""
    return make_base(tmp_path_factory.mktemp("verify") / "base")


@pytest.fixture
def store(base: Path, tmp_path: Path) -> AttackedStore:
    """Copy the ledger."""
    return AttackedStore.copy(base, tmp_path / "copy")


def test_the_json_has_the_documented_shape(base: Path) -> None:
    """The verdict, every check by name with status, counts and failures, and the residuals."""
    status, out = command(base, "verify", "--json")
    document = json.loads(out)
    assert (status, document["verdict"]) == (0, "verified")
    assert tuple(document["checks"]) == CHECKS
    assert all({"status", "counts", "failures"} <= set(check) for check in document["checks"].values())
    assert document["residuals"] == list(RESIDUALS)


def test_the_text_for_people_says_what_cannot_be_shown(base: Path) -> None:
    """Nobody reads the one without the other."""
    _, out = command(base, "verify")
    assert out.startswith("VERIFIED")
    assert all(residual in out for residual in RESIDUALS)


def test_verifying_writes_nothing(store: AttackedStore) -> None:
    """Tables, anchors, keys and spool are the same bytes before and after."""

    def state() -> dict[str, str]:
        places = [store.directory / name for name in ("anchors", "keys", "spool")]
        files = [path for place in places for path in sorted(place.rglob("*")) if path.is_file()]
        found = {str(path): sha256(path.read_bytes()).hexdigest() for path in files}
        tables = store.query("SELECT table, sum(rows) FROM system.parts WHERE active GROUP BY table ORDER BY table")
        return {**found, **{str(table): str(rows) for table, rows in tables}}

    before = state()
    store.verify()
    assert state() == before


def test_nothing_at_all_cannot_be_verified(tmp_path: Path) -> None:
    """No store, no spool, no anchors: exit 3, and no directory is made."""
    status, out = command(tmp_path / "nowhere", "verify", "--json")
    assert (status, json.loads(out)["verdict"]) == (3, "unknown")
    assert not (tmp_path / "nowhere").exists()


def test_a_store_that_cannot_be_read_is_unknown_and_not_a_crash(store: AttackedStore) -> None:
    """A damaged directory may be anything: exit 3 with the engine's words, unless the anchors already tell."""
    shutil.rmtree(store.directory / "store" / "metadata")
    (store.directory / "store" / "metadata").write_text("no directory")
    status, verdict = store.verify()
    assert status in (1, 3)
    assert [failure for check in verdict["checks"].values() for failure in check["failures"]]


def test_what_nobody_could_look_at_is_not_ok(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer leaves every check unknown."""
    monkeypatch.setenv("SPANLEDGER_STORE", "clickhouse://127.0.0.1:1/db")
    status, out = command(base, "verify", "--json")
    verdict = json.loads(out)
    assert (status, verdict["verdict"]) == (3, "unknown")
    assert {check["status"] for check in verdict["checks"].values()} == {"unknown"}
    assert "is the server up" in out


def test_a_pinned_key_is_believed_and_no_other(base: Path) -> None:
    """`--key` takes what `keys show` prints; a stranger's key makes the checkpoints unbelievable."""
    vkey = json.loads(command(base, "keys", "show", "--json")[1])["vkey"]
    stranger = make_key(vkey.partition("+")[0]).verifier_key.vkey
    assert command(base, "verify", "--key", vkey)[0] == 0
    assert command(base, "verify", "--key", stranger)[0] == 1


def test_a_pinned_trust_root_is_followed_or_refused(base: Path) -> None:
    """By digest or as a file; another digest leaves nothing to believe."""
    path = base / "keys" / "trust-root.json"
    assert command(base, "verify", "--trust-root", sha256(path.read_bytes()).hexdigest())[0] == 0
    assert command(base, "verify", "--trust-root", str(path))[0] == 0
    assert command(base, "verify", "--trust-root", "00" * 32)[0] == 3


def test_a_replaced_key_directory_does_not_pass_a_pin(store: AttackedStore) -> None:
    """Whoever exchanges keys and signs all again fails the pin, and chains that quote the old checkpoints tell, too."""
    pin = sha256((store.directory / "keys" / "trust-root.json").read_bytes()).hexdigest()
    for name in ("keys", "anchors/checkpoints"):
        shutil.rmtree(store.directory / name)
    store.sql("TRUNCATE TABLE log", "TRUNCATE TABLE checkpoints", "TRUNCATE TABLE anchors")
    assert command(store.directory, "seal")[0] == 0
    status, verdict = store.verify("--trust-root", pin)
    assert (status, verdict["checks"]["authenticity"]["status"]) == (1, "unknown")


def test_a_log_that_no_longer_extends_what_was_seen_is_a_fork(store: AttackedStore, tmp_path: Path) -> None:
    """`--since-checkpoint` remembers outside the data directory; even a well-signed other history is refused."""
    memory = str(tmp_path / "memory.json")
    assert store.verify("--since-checkpoint", memory)[0] == 0
    seen = json.loads(Path(memory).read_text())
    (origin,) = seen
    seen[origin]["root"] = "A" * 43 + "="
    Path(memory).write_text(json.dumps(seen))
    status, verdict = store.verify("--since-checkpoint", memory)
    assert status == 1
    assert "another log" in verdict["checks"]["integrity"]["failures"][0]["reason"]


def test_a_row_older_than_what_is_remembered_is_read_again(store: AttackedStore, tmp_path: Path) -> None:
    """That it was intact last time says nothing of today: every row is read, and the verdict says so."""
    memory = str(tmp_path / "memory.json")
    notes = store.verify("--since-checkpoint", memory)[1]["checks"]["completeness"]["notes"]
    assert "nothing of this log is remembered" in notes[0]
    rows = store.rows()
    rows[1] = edited(rows[1], env=rows[1][4].replace(b"success", b"failure"))
    store.replace_rows(rows)
    status, verdict = store.verify("--since-checkpoint", memory)
    assert (status, verdict["checks"]["integrity"]["failures"][0]["seq"]) == (1, 1)
    assert "every row was read, older ones too" in verdict["checks"]["completeness"]["notes"][0]


def test_what_was_seen_of_another_log_is_not_held_against_this_one(store: AttackedStore, tmp_path: Path) -> None:
    """An auditor of many ledgers has one memory, whether keys are given by hand, by trust root or not at all."""
    memory = tmp_path / "memory.json"
    memory.write_text(json.dumps({"spanledger/another": {"size": 10**6, "root": "A" * 43 + "="}}))
    vkey = json.loads(command(store.directory, "keys", "show", "--json")[1])["vkey"]
    assert store.verify("--since-checkpoint", str(memory), "--key", vkey)[0] == 0
    assert len(json.loads(memory.read_text())) == 2
    shutil.rmtree(store.directory / "keys")
    assert store.verify("--since-checkpoint", str(memory))[0] == 3


@pytest.mark.parametrize("size", [-1, True, 1.5, "1_0", 2**64, None, []])
def test_a_memory_that_nobody_wrote_accuses_nobody(store: AttackedStore, tmp_path: Path, size: object) -> None:
    """What is no checkpoint is a file to be moved away, not a log that was cut."""
    memory = tmp_path / "memory.json"
    origin = (store.directory / "keys" / "trust-root.json").read_text().partition('"origin":"')[2].partition('"')[0]
    memory.write_text(json.dumps({origin: {"size": size, "root": "A" * 43 + "="}}))
    assert command(store.directory, "verify", "--since-checkpoint", str(memory))[0] == 78


def test_a_file_is_not_held_against_what_is_remembered(base: Path, tmp_path: Path) -> None:
    """It does not hold the log; to leave the option out in silence would promise too much."""
    path = tmp_path / "rows.jsonl"
    assert command(base, "export", "--format", "jsonl", "-o", str(path))[0] == 0
    assert command(base, "verify", "--offline", str(path), "--since-checkpoint", str(tmp_path / "memory"))[0] == 64


def test_a_later_log_is_remembered_in_place_of_the_earlier(store: AttackedStore, tmp_path: Path) -> None:
    """The memory moves on with every verdict that found nothing wrong."""
    memory = tmp_path / "memory.json"
    sizes: list[int] = []
    for word in ("first", "second"):
        with open_recorder(settings_of(store.directory), role="application") as recorder:
            record_calls(recorder, 1, word=word)
        ship(store.settings)
        assert command(store.directory, "seal")[0] == 0
        assert store.verify("--since-checkpoint", str(memory))[0] == 0
        sizes += [item["size"] for item in json.loads(memory.read_text()).values()]
    assert sizes == sorted(set(sizes))


def test_a_memory_that_cannot_be_written_is_said_with_the_verdict(base: Path) -> None:
    """Next time nothing would be held against this one; no traceback takes the verdict's place."""
    status, out = command(base, "verify", "--json", "--since-checkpoint", "/proc/none/memory.json")
    failures = json.loads(out)["checks"]["completeness"]["failures"]
    assert (status, "expected to remember" in failures[0]["reason"]) == (2, True)
    assert command(base, "monitor", "--once", "--memory", "/proc/none/memory.json")[0] == 3


def test_a_file_that_is_not_there_is_not_tampered_with(base: Path, tmp_path: Path) -> None:
    """A wrong path, or a directory in place of the export: cannot verify."""
    assert command(base, "verify", "--offline", str(tmp_path / "nowhere.jsonl"))[0] == 3
    assert command(base, "verify", "--offline", str(tmp_path))[0] == 3


def test_an_export_is_intact_but_unsigned(base: Path, tmp_path: Path) -> None:
    """Exit 2: the rows are linked and untouched, and nothing in the file is signed."""
    path = tmp_path / "rows.jsonl"
    assert command(base, "export", "--format", "jsonl", "-o", str(path))[0] == 0
    status, out = command(base, "verify", "--offline", str(path), "--json")
    assert (status, json.loads(out)["checks"]["integrity"]["status"]) == (2, "ok")


@pytest.mark.parametrize("edit", [(b"success", b"failure"), (b"seq", b"seg"), (b"{", b"")])
def test_a_damaged_export_is_tampered_with(base: Path, tmp_path: Path, edit: tuple[bytes, bytes]) -> None:
    """Changed values, changed names, broken lines."""
    path = tmp_path / "rows.jsonl"
    command(base, "export", "--format", "jsonl", "-o", str(path))
    path.write_bytes(path.read_bytes().replace(*edit, 1))
    assert command(base, "verify", "--offline", str(path))[0] == 1


def test_a_bundle_is_judged_offline_too(base: Path, tmp_path: Path) -> None:
    """The same words as the verifier in the bundle."""
    path = tmp_path / "case.zip"
    command(base, "evidence", "create", "--case", "CASE-1", "-o", str(path))
    pin = sha256((base / "keys" / "trust-root.json").read_bytes()).hexdigest()
    assert command(base, "verify", "--offline", str(path), "--trust-root", pin)[0] == 0


@pytest.mark.parametrize("mode", ["python", "sql"])
def test_a_forged_column_is_found_by_either_mode(store: AttackedStore, mode: str) -> None:
    """Small ledgers are re-derived in Python, large ones by the engine with our expressions."""
    store.sql(
        "ALTER TABLE rows MODIFY COLUMN actor_id String MATERIALIZED 'somebody else'",
        "ALTER TABLE rows MATERIALIZE COLUMN actor_id SETTINGS mutations_sync = 2",
    )
    status, verdict = store.verify("--columns", mode)
    named = [failure for failure in verdict["checks"]["columns"]["failures"] if failure["seq"] is not None]
    assert status == 1
    assert "column actor_id holds 'somebody else'" in named[0]["reason"]
    assert len(named) == len(store.rows())


def test_tables_of_another_version_cannot_be_judged(store: AttackedStore) -> None:
    """A store that a newer spanledger made is unknown to this one, not tampered with."""
    store.sql("INSERT INTO schema_versions (version, description) VALUES (999, 'from the future')")
    status, verdict = store.verify()
    assert (status, verdict["verdict"]) == (3, "unknown")
    assert "version 999" in verdict["checks"]["columns"]["failures"][0]["reason"]
