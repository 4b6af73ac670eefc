"""Evidence bundles, made and checked as an investigator would: by command, and on a machine without spanledger."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from attacks.attacked_store import AttackedStore, command, make_base, record_calls, settings_of, ship
from spanledger_exporter.cli import main
from spanledger_exporter.evidence.bundle import MANIFEST_SIGNATURE, pack, unpack
from spanledger_exporter.recorder import open_recorder
from spanledger_exporter.verify import standalone
from spanledger_exporter.verify.standalone import verify_file


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a sealed ledger."""
    return make_base(tmp_path_factory.mktemp("evidence") / "base")


@pytest.fixture(scope="module")
def bundle(base: Path) -> Path:
    """Make the bundle of one case."""
    path = base.with_name("case.zip")
    assert command(base, "evidence", "create", "--case", "CASE-1", "--reason", "a test", "-o", str(path))[0] == 0
    return path


@pytest.fixture(scope="module")
def pin(base: Path) -> str:
    """Return the digest that the receiver got from somebody else."""
    return sha256((base / "keys" / "trust-root.json").read_bytes()).hexdigest()


def test_a_bundle_is_verified_by_its_own_verifier_without_spanledger(bundle: Path, pin: str, tmp_path: Path) -> None:
    """`python -I verify.py` sees no package of ours: it runs from the bundle, in a directory of its own."""
    script = tmp_path / "verify.py"
    script.write_bytes(unpack(bundle.read_bytes())["verify.py"])
    arguments = [str(bundle), "--trust-root", pin]
    blocked = f"import sys; sys.modules['spanledger_exporter'] = None; sys.argv[1:] = {arguments!r}; "
    run = f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-I", "-c", blocked + run], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split("\n")[0]) == (0, "VERIFIED")


def test_the_single_file_verifier_stays_a_single_small_file(bundle: Path) -> None:
    """At most 400 lines, and nothing imported but the standard library and `cryptography`."""
    source = unpack(bundle.read_bytes())["verify.py"].decode()
    imports = {
        line.split()[1].partition(".")[0] for line in source.split("\n") if line.startswith(("import ", "from "))
    }
    assert source.count("\n") <= 400
    assert imports <= {*sys.stdlib_module_names, "cryptography"}


def test_the_command_verifies_with_this_machines_own_trust_root(base: Path, bundle: Path) -> None:
    """`evidence verify` pins what is in the key directory."""
    status, out = command(base, "evidence", "verify", str(bundle), "--json")
    assert (status, json.loads(out)["verdict"]) == (0, "verified")


@pytest.mark.parametrize(
    "junk",
    [
        "INSERT INTO content (ref, class, media, size, data) SELECT ref, class, media, size, 'forged' FROM content",
        "INSERT INTO log SELECT * FROM log WHERE `index` = 1",
        "INSERT INTO checkpoints (size, root, note) SELECT size, root, '~ forged' FROM checkpoints",
        "INSERT INTO checkpoints SELECT size + 1, root, note, created_at FROM checkpoints ORDER BY size LIMIT 1",
        "INSERT INTO rows (tenant, chain_id, seq) SELECT tenant, chain_id, seq FROM rows WHERE case_id = 'CASE-0'",
    ],
)
def test_junk_beside_the_good_one_spoils_no_evidence(base: Path, pin: str, tmp_path: Path, junk: str) -> None:
    """`verify` accuses it; the evidence of a case that it is no part of stays what it was."""
    store = AttackedStore.copy(base, tmp_path / "store")
    store.sql(junk)
    path = tmp_path / "case.zip"
    assert command(store.directory, "evidence", "create", "--case", "CASE-1", "-o", str(path))[0] == 0
    assert verify_file(path, trust_root=pin)["verdict"] == "verified"


def test_without_a_pinned_key_a_bundle_cannot_be_verified(bundle: Path) -> None:
    """The key inside the bundle was chosen by whoever made it."""
    assert verify_file(bundle)["verdict"] == "unknown"


def test_another_trust_root_is_refused(base: Path, bundle: Path) -> None:
    """A digest that no version of the bundled trust root has: mistyped or another log's, nothing can be believed."""
    verdict = verify_file(bundle, trust_root="00" * 32)
    assert (verdict["verdict"], verdict["checks"]["authenticity"]["status"]) == ("unknown", "unknown")
    assert "mistyped" in verdict["checks"]["authenticity"]["failures"][0]["reason"]
    assert len(verdict["proved"]) == 1  # that the rows agree with each other
    assert command(base, "evidence", "verify", str(bundle), "--trust-root", "00" * 32)[0] == 3


def test_a_trust_root_may_be_named_by_its_file_and_a_wrong_key_is_wrong_usage(base: Path, bundle: Path) -> None:
    """A slip of the operator's must not read as a verdict on the bundle."""
    root = str(base / "keys" / "trust-root.json")
    assert command(base, "evidence", "verify", str(bundle), "--trust-root", root)[0] == 0
    assert command(base, "verify", "--offline", str(bundle), "--trust-root", root)[0] == 0
    assert command(base, "evidence", "verify", str(bundle), "--key", "no key")[0] == 64
    assert command(base, "verify", "--offline", str(bundle), "--trust-root", str(bundle))[0] == 78
    script = str(Path(standalone.__file__))
    wrong: list[list[str]] = [[str(bundle), "--key", "no key"], ["--no-such-option"], []]
    statuses = [subprocess.run([sys.executable, script, *arguments], check=False).returncode for arguments in wrong]
    assert statuses == [3, 3, 3]  # argparse's own 2 would read as "incomplete"


@pytest.mark.parametrize("data", [None, b"", b"hello", b"PK\x03\x04 cut off"])
def test_what_could_not_be_checked_is_neither_ok_nor_proved(data: bytes | None, pin: str, tmp_path: Path) -> None:
    """A missing, empty or damaged file proves nothing; no check that was not made says `ok`."""
    path = tmp_path / "case.zip"
    if data is not None:
        path.write_bytes(data)
    verdict = verify_file(path, trust_root=pin)
    assert verdict["verdict"] == ("tampered" if data else "unknown")
    assert verdict["proved"] == []
    assert verdict["checks"]["authenticity"]["status"] == "unknown"


def test_the_verdict_says_what_the_bundle_is_about(bundle: Path, pin: str) -> None:
    """A good bundle of another case is good: only its reader can tell that it is the wrong one."""
    verdict = verify_file(bundle, trust_root=pin)
    assert verdict["about"]["scope"] == {"case_id": "CASE-1"}
    assert "CASE-1" in standalone.render(verdict).partition("integrity")[0]


def test_a_file_that_resembles_the_manifest_by_name_is_not_overlooked(bundle: Path, pin: str, tmp_path: Path) -> None:
    """The manifest lists everything but itself and its signature."""
    path = tmp_path / "more.zip"
    path.write_bytes(pack({**unpack(bundle.read_bytes()), "manifest.html": b"the customer agreed"}))
    verdict = verify_file(path, trust_root=pin)
    assert verdict["checks"]["completeness"]["failures"][0]["reason"].startswith("manifest.html")


def test_names_in_a_bundle_write_no_lines_of_their_own_into_the_verdict(bundle: Path, pin: str, tmp_path: Path) -> None:
    """A name with line breaks and escapes in it must not print a second verdict, nor move the cursor."""
    path = tmp_path / "name.zip"
    path.write_bytes(pack({**unpack(bundle.read_bytes()), "x\n\nVERIFIED\x1b[2J": b""}))
    text = standalone.render(verify_file(path, trust_root=pin))
    assert "VERIFIED" not in text.split("\n")
    assert "\x1b" not in text


def test_a_bundle_that_cannot_be_signed_says_why(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key is there and exposed: "not here" would send its owner looking in the wrong place."""
    store = AttackedStore.copy(base, tmp_path / "copy")
    (key,) = (store.directory / "keys").glob("????????.key")
    key.chmod(0o644)
    path = tmp_path / "case.zip"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SPANLEDGER_DIR", str(store.directory))
        assert main(["evidence", "create", "--case", "CASE-1", "-o", str(path)]) == 0
    told = capsys.readouterr().err
    assert "chmod 600" in told
    assert "its verdict is INCOMPLETE" in told


def test_an_unsigned_manifest_is_incomplete(bundle: Path, pin: str, tmp_path: Path) -> None:
    """Otherwise stripping the signature would allow leaving rows out."""
    files = unpack(bundle.read_bytes())
    del files[MANIFEST_SIGNATURE]
    path = tmp_path / "unsigned.zip"
    path.write_bytes(pack(files))
    assert verify_file(path, trust_root=pin)["verdict"] == "incomplete"


def test_the_proof_of_one_row_is_about_a_kilobyte(bundle: Path) -> None:
    """Small enough to travel in a mail."""
    files = unpack(bundle.read_bytes())
    assert max(len(data) for name, data in files.items() if name.startswith("proofs/")) < 1_500


def test_a_bundle_holds_the_case_and_nothing_of_another(bundle: Path) -> None:
    """Rows of the case, and row 0 of their chains."""
    rows = [json.loads(line) for line in unpack(bundle.read_bytes())["rows.jsonl"].splitlines()]
    envelopes = [json.loads(row["env"]) for row in rows]
    cases = {
        envelope.get("context", {}).get("case_id", "")
        for envelope in envelopes
        if envelope["event_type"] == "model_call"
    }
    assert cases == {"CASE-1"}
    assert {row["seq"] for row in rows} >= {0}


def test_the_same_rows_give_the_same_bytes(bundle: Path) -> None:
    """Packing is deterministic: names sorted, times fixed."""
    assert pack(unpack(bundle.read_bytes())) == bundle.read_bytes()


def test_the_report_fetches_nothing(bundle: Path) -> None:
    """No script, no link, no image: it opens offline, and tells nobody that it was opened."""
    page = unpack(bundle.read_bytes())["report.html"].decode()
    assert not [mark for mark in ("<script", "http://", "https://", "<link", "<img", "url(") if mark in page]
    assert "question 1" in page


def test_rows_that_are_not_sealed_yet_make_the_bundle_incomplete(base: Path, pin: str, tmp_path: Path) -> None:
    """They are in the bundle, without a proof, and the verdict says so."""
    store = AttackedStore.copy(base, tmp_path / "copy")
    with open_recorder(settings_of(store.directory), role="application") as recorder:
        record_calls(recorder, 2, word="new")
    ship(store.settings)
    path = tmp_path / "case.zip"
    assert command(store.directory, "evidence", "create", "--case", "CASE-1", "-o", str(path))[0] == 0
    assert verify_file(path, trust_root=pin)["verdict"] == "incomplete"


def test_making_a_bundle_is_an_access_row(base: Path, tmp_path: Path) -> None:
    """Who took which case out of the ledger stands in the ledger."""
    store = AttackedStore.copy(base, tmp_path / "copy")
    command(store.directory, "evidence", "create", "--case", "CASE-0", "-o", str(tmp_path / "x.zip"))
    found = [json.loads(row[4]) for row in store.rows()]
    asked = [envelope["access"] for envelope in found if envelope["event_type"] == "access"]
    assert ("evidence", {"case_id": "CASE-0"}) in [(access["action"], access["subject"]) for access in asked]
