"""Every attack against store, spool and bundle is found by every verifier; every control raises no alarm."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from attacks import bundle_attacks, spool_attacks, store_attacks
from attacks.attacked_store import AttackedStore, command, make_base, record_calls, settings_of
from attacks.outcome import OUTCOMES, Outcome, rendered, stored_table
from spanledger_exporter.evidence.bundle import MANIFEST_SIGNATURE, pack, unpack
from spanledger_exporter.keys.key_file import make_key
from spanledger_exporter.recorder import open_recorder
from spanledger_exporter.verify import standalone
from spanledger_exporter.verify.verdict import RESIDUALS


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a ledger of two chains, shipped and sealed twice."""
    return make_base(tmp_path_factory.mktemp("attacks") / "base")


@pytest.fixture(scope="module")
def waiting(base: Path) -> Path:
    """Copy the same ledger with a third chain that waits in the spool."""
    store = AttackedStore.copy(base, base.with_name("waiting"))
    with open_recorder(settings_of(store.directory), role="application") as recorder:
        record_calls(recorder, 6, word="waiting")
    return store.directory


@pytest.fixture(scope="module")
def bundle(base: Path) -> tuple[dict[str, bytes], str]:
    """Make the bundle of one case, and the digest of the trust root that its receiver pins."""
    store = AttackedStore.copy(base, base.with_name("bundled"))
    path = base.with_name("case.zip")
    assert command(store.directory, "evidence", "create", "--case", "CASE-1", "-o", str(path))[0] == 0
    return unpack(path.read_bytes()), sha256((base / "keys" / "trust-root.json").read_bytes()).hexdigest()


def judged(files: dict[str, bytes], pin: str, path: Path) -> str:
    """Return the single-file verifier's word on a bundle."""
    path.write_bytes(pack(files))
    return str(standalone.verify_file(path, trust_root=pin)["verdict"])


@pytest.mark.parametrize("name", store_attacks.ATTACKS)
def test_an_attack_on_the_store_is_found_by_both_verifiers(name: str, base: Path, tmp_path: Path) -> None:
    """The command line hashes exported bytes, `--sql` asks the server; both must say `tampered` and name a reason."""
    store = AttackedStore.copy(base, tmp_path / "copy")
    store_attacks.ATTACKS[name](store)
    status, verdict = store.verify()
    sql_status, sql_verdict = store.verify("--sql")
    OUTCOMES[f"store: {name}"] = Outcome(
        store_attacks.ATTACKS[name].__doc__ or "", cli=verdict["verdict"], sql=sql_verdict["verdict"]
    )
    assert (status, sql_status) == (1, 1)


@pytest.mark.parametrize("name", spool_attacks.ATTACKS)
def test_an_attack_on_waiting_rows_is_found_or_is_the_residual_that_the_verdict_names(
    name: str, waiting: Path, tmp_path: Path
) -> None:
    """Rows that no checkpoint covers can be re-hashed; the verdict is then `incomplete`, and never `verified`."""
    attack = spool_attacks.ATTACKS[name]
    store = AttackedStore.copy(waiting, tmp_path / "copy")
    spool_attacks.attack(store.directory, attack.edit)
    status, verdict = store.verify()
    OUTCOMES[f"spool: {name}"] = Outcome(attack.what, cli=verdict["verdict"])
    assert status == (1 if attack.expected == "tampered" else 2)
    assert verdict["residuals"] == list(RESIDUALS)


def test_a_chain_that_vanished_from_the_spool_is_missed_by_the_registry(waiting: Path, tmp_path: Path) -> None:
    """Registered and neither stored nor spooled: somebody removed it."""
    store = AttackedStore.copy(waiting, tmp_path / "copy")
    spool_attacks.remove_chain(store.directory)
    assert store.verify()[0] == 1


@pytest.mark.parametrize("name", bundle_attacks.ATTACKS)
def test_an_attack_on_a_bundle_is_found_by_the_single_file_verifier(
    name: str, bundle: tuple[dict[str, bytes], str], tmp_path: Path
) -> None:
    """Also with the manifest rewritten, signed by another key, or not signed at all, it is never `verified`."""
    files, pin = dict(bundle[0]), bundle[1]
    bundle_attacks.ATTACKS[name](files)
    words = [judged(files, pin, tmp_path / "plain.zip")]
    words.append(judged(bundle_attacks.with_new_manifest(files, None), pin, tmp_path / "listed.zip"))
    stranger = make_key(json.loads(files["manifest.json"])["origin"])
    words.append(judged(bundle_attacks.with_new_manifest(files, stranger), pin, tmp_path / "signed.zip"))
    OUTCOMES[f"bundle: {name}"] = Outcome(bundle_attacks.ATTACKS[name].__doc__ or "", bundle=max(words))
    assert words == ["tampered"] * 3
    unsigned = bundle_attacks.with_new_manifest(files, None)
    del unsigned[MANIFEST_SIGNATURE]
    assert judged(unsigned, pin, tmp_path / "unsigned.zip") in ("tampered", "incomplete")


def test_the_table_in_the_readme_is_what_this_run_found() -> None:
    """Run `python -m attacks.outcome` from `tests` after a change of the suite."""
    if len(OUTCOMES) < len(store_attacks.ATTACKS) + len(spool_attacks.ATTACKS) + len(bundle_attacks.ATTACKS):
        pytest.skip("only a run of the whole file knows every outcome")
    assert stored_table() == rendered(OUTCOMES)
