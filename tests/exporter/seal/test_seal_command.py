"""`spanledger seal`, `keys` and `anchor` as an operator runs them, and `--follow`."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealing import Bench
from spanledger_exporter.cli import main
from spanledger_exporter.config import load_settings
from spanledger_exporter.keys.key_file import make_key, write_key_file
from spanledger_exporter.keys.key_ring import KeyRing, open_key_ring
from spanledger_exporter.ledger.note import parse_vkey
from spanledger_exporter.seal.follow import follow
from spanledger_exporter.seal.sealer import SealReport
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the data directory that the commands use."""
    monkeypatch.setenv("SPANLEDGER_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def open_bench(store: Store) -> Bench:
    """Return a bench on the commands' own store, with three rows."""
    ensure_schema(store)
    bench = Bench(store, load_settings())
    bench.ledger.open_chain().append({"event_type": "model_call"})
    bench.ledger.open_chain()
    bench.ship()
    return bench


@pytest.fixture
def shipped(directory: Path) -> Path:
    """Return the data directory with three rows in the store."""
    with open_store(load_settings(), role="owner") as store:
        open_bench(store)
    return directory


def test_seal_prints_what_it_did_and_warns_of_the_weakest_anchor(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Data on stdout, talk on stderr."""
    assert main(["seal"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[0] == "sealed 3 rows in 2 segments"
    assert "falls with it" in told.err
    assert main(["seal", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["new"], report["size"], report["breaks"]) == (False, 5, [])


def test_seal_of_rows_that_do_not_prove_exits_with_1_and_names_the_place(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rest is sealed all the same."""
    with open_store(load_settings(), role="owner") as store:
        store.command("ALTER TABLE rows UPDATE env = '{}' WHERE seq = 1 SETTINGS mutations_sync = 2")
    assert main(["seal"]) == 1
    told = capsys.readouterr()
    assert "sealed 2 rows" in told.out
    assert "from row 1: expected env of row 1 to hash to env_hash" in told.err


def test_seal_of_a_rolled_back_store_exits_with_1_and_signs_nothing(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The anchor remembers."""
    assert main(["seal"]) == 0
    with open_store(load_settings(), role="owner") as store:
        for table in ("log", "checkpoints", "anchors"):
            store.command(f"TRUNCATE TABLE {table}")
    assert main(["seal"]) == 1
    assert "this store is an older copy" in capsys.readouterr().err


def test_seal_without_the_keys_of_its_log_makes_no_new_ones(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lost or taken: a second log in one store helps nobody. Where the store was emptied too, the anchor tells."""
    assert main(["seal"]) == 0
    shutil.rmtree(shipped / "keys")
    assert main(["seal"]) == 1
    assert "restore the directory from its backup" in capsys.readouterr().err
    with open_store(load_settings(), role="owner") as store:
        for table in ("log", "checkpoints", "anchors"):
            store.command(f"TRUNCATE TABLE {table}")
    assert [main(["seal"]), main(["keys", "show"]), main(["keys", "rotate"])] == [1, 1, 1]
    assert not (shipped / "keys").exists()


def test_seal_with_an_anchor_out_of_reach_exits_with_2(
    shipped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The checkpoint is there and anchored elsewhere; the failure is reported and tried again."""
    monkeypatch.setenv("SPANLEDGER_ANCHORS", "directory,rfc3161:http://127.0.0.1:9/tsr")
    assert main(["seal"]) == 2
    assert "anchor rfc3161 failed" in capsys.readouterr().err
    assert main(["anchor", "publish", "--json"]) == 2
    assert [anchor["status"] for anchor in json.loads(capsys.readouterr().out)] == ["anchored", "behind"]
    monkeypatch.setenv("SPANLEDGER_ANCHORS", "directory")
    assert main(["anchor"]) == 0


def test_an_unknown_anchor_is_one_clear_line(
    shipped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Configuration errors exit with 78."""
    monkeypatch.setenv("SPANLEDGER_ANCHORS", "carrier-pigeon:coop")
    assert main(["seal"]) == 78
    assert "expected directory, s3, rfc3161 or witness" in capsys.readouterr().err


def test_a_restore_is_logged_with_its_reason(shipped: Path) -> None:
    """What came back from a backup is known to have."""
    assert main(["seal", "--restore", "disk of Friday"]) == 0
    with open_store(load_settings(), role="reader") as store:
        assert store.query("SELECT count() FROM log WHERE entry LIKE '%disk of Friday%'") == [(1,)]


def test_keys_show_gives_name_vkey_and_pin(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In C2SP form, before and after a rotation."""
    assert main(["keys", "show", "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert parse_vkey(before["vkey"]).name == before["name"]
    assert main(["keys", "rotate", "--json"]) == 0
    after = json.loads(capsys.readouterr().out)
    assert (after["name"], after["vkey"] == before["vkey"]) == (before["name"], False)
    assert main(["keys", "revoke", before["key_id"], "--reason", "laptop lost", "--json"]) == 0
    (old, _) = json.loads(capsys.readouterr().out)["keys"]
    assert (old["revoked"], old["until_size"]) == ("laptop lost", after["from_size"])
    assert main(["keys", "show"]) == 0
    assert "revoked: laptop lost" in capsys.readouterr().out


def test_keys_new_makes_officers_keys_and_trust_hands_over_to_them(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The private halves are files of their own."""
    assert main(["keys", "new"]) == 0
    assert main(["keys", "new"]) == 78
    capsys.readouterr()
    handed: list[str] = []
    for number in range(2):
        path = str(tmp_path / f"officer-{number}.key")
        assert main(["keys", "new", "--out", path, "--name", f"example.com/officer-{number}", "--json"]) == 0
        handed += ["--root-key", json.loads(capsys.readouterr().out)["vkey"], "--sign", path]
    assert main(["keys", "trust", *handed, "--threshold", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trust_root"]["threshold"] == 2
    assert main(["keys", "new", "--out", str(tmp_path / "x.key")]) == 78
    assert main(["keys", "new", "--out", str(tmp_path / "x.key"), "--name", "with space"]) == 78
    assert [main(["keys", "trust", "--threshold", "2"]), main(["keys", "trust", "--root-key", "garbage"])] == [64, 78]


def test_officers_sign_a_rotation_and_sealing_goes_on_without_them(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused before anything is done, and finished with --sign; a cut-off one does not stop the sealer."""
    path = str(tmp_path / "officer.key")
    assert main(["keys", "new"]) == 0
    assert main(["keys", "new", "--out", path, "--name", "example.com/officer", "--json"]) == 0
    vkey = json.loads(capsys.readouterr().out.splitlines()[-1])["vkey"]
    assert main(["keys", "trust", "--root-key", vkey, "--sign", path]) == 0
    assert main(["keys", "rotate"]) == 78
    assert "--sign" in capsys.readouterr().err
    assert not (shipped / "keys" / "rotation").exists()
    new = make_key(load_ring().origin)  # as a rotation that died before its trust root left it
    write_key_file(shipped / "keys" / f"{new.verifier_key.key_id.hex()}.key", new)
    (shipped / "keys" / "rotation").write_text(new.verifier_key.vkey)
    assert main(["seal"]) == 0
    assert "`spanledger keys rotate --sign FILE` finishes it" in capsys.readouterr().err
    assert main(["keys", "rotate", "--sign", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["vkey"] == new.verifier_key.vkey
    assert main(["verify"]) == 0


def load_ring() -> KeyRing:
    """Return the key ring that the commands use."""
    return open_key_ring(load_settings(), make=False)


def test_follow_seals_what_comes_and_beats_when_nothing_does(directory: Path) -> None:
    """Until it is told to stop; the last round leaves nothing behind."""
    with open_store(load_settings(), role="owner") as store:
        bench = open_bench(store)
        rounds = Rounds(bench)
        options = {"settings": bench.settings, "keys": bench.keys, "anchors": bench.anchors}
        follow(store, **options, interval_s=0, heartbeat_s=0, tell=rounds.told.append, stop=rounds)  # type: ignore[arg-type]
        kinds = [entry["type"] for entry in bench.entries()]
        assert [report.rows for report in rounds.told] == [3, 0, 1]
        assert kinds.count("heartbeat") == 1
        assert bench.examine() == 4


class Rounds(threading.Event):
    """Stands for the wait between rounds: nothing happens after the first, a chain opens after the second."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.told: list[SealReport] = []
        self._steps: Iterator[bool] = self._play(bench)

    def wait(self, timeout: float | None = None) -> bool:
        return next(self._steps)

    def _play(self, bench: Bench) -> Iterator[bool]:
        yield False
        bench.ledger.open_chain()
        bench.ship()
        yield False
        yield True


def test_follow_survives_a_store_that_fails(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is told, and tried again in the next round."""
    with open_store(load_settings(), role="owner") as store:
        bench = open_bench(store)
        store.command("RENAME TABLE log TO elsewhere")
        stop = threading.Event()
        stop.set()
        options = {"settings": bench.settings, "keys": bench.keys, "anchors": bench.anchors}
        assert follow(store, **options, interval_s=0, heartbeat_s=9, tell=print, stop=stop) == 0  # type: ignore[arg-type]
    assert "not sealed" in caplog.text
