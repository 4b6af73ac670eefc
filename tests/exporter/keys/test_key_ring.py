"""The key ring: made at first need, rotated, revoked, handed over to officers; and key files that were left open."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.errors import ConfigurationError, ProofError
from spanledger_exporter.keys.key_file import FileSigner, make_key, parse_private_key, read_key_file, write_key_file
from spanledger_exporter.keys.key_ring import KeyRing, open_key_ring
from spanledger_exporter.ledger.note import COSIGNATURE_V1
from spanledger_exporter.ledger.trust_root import verify_trust_roots
from spanledger_exporter.redact.pseudonym import load_key


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings of an empty data directory."""
    return load_settings({"SPANLEDGER_DIR": str(tmp_path / "data")})


@pytest.fixture
def ring(settings: Settings) -> KeyRing:
    """Return a new ring."""
    return open_key_ring(settings)


def test_the_first_need_makes_a_name_a_key_and_a_trust_root(ring: KeyRing) -> None:
    """The name is random, so that two logs never share an origin by accident."""
    (key_file,) = ring.directory.glob("*.key")
    assert ring.origin.startswith("spanledger/")
    assert len(ring.origin) == len("spanledger/") + 16
    assert (key_file.stat().st_mode & 0o777, ring.directory.stat().st_mode & 0o777) == (0o600, 0o700)
    assert ring.signer().verifier_key == ring.root.current.key


def test_a_second_need_finds_the_same(ring: KeyRing, settings: Settings) -> None:
    """Nothing is made twice."""
    assert open_key_ring(settings).root == ring.root


def test_a_ring_that_died_between_key_and_trust_root_takes_the_key_up(ring: KeyRing, settings: Settings) -> None:
    """Nothing was signed yet; the key is as good as new."""
    key = ring.root.current.key
    ring.trust_root_path.unlink()
    for path in (ring.directory / "trust-root").iterdir():
        path.unlink()
    assert open_key_ring(settings).root.current.key == key


def test_a_key_of_another_purpose_in_the_same_directory_is_no_signing_key(settings: Settings) -> None:
    """An application that served a person made `pseudonym.key` before anybody sealed."""
    secret = load_key(settings.keys_directory)
    assert open_key_ring(settings).signer().verifier_key == open_key_ring(settings).root.current.key
    assert load_key(settings.keys_directory) == secret


def test_an_origin_can_be_chosen_before_the_first_need(settings: Settings) -> None:
    """SPANLEDGER_ORIGIN, for whoever wants `example.com/audit`."""
    assert open_key_ring(replace(settings, origin="example.com/audit")).origin == "example.com/audit"


def test_a_reader_makes_no_keys(settings: Settings) -> None:
    """Verifying an empty directory leaves it empty."""
    with pytest.raises(ConfigurationError, match="`spanledger seal` makes them"):
        open_key_ring(settings, make=False)
    assert not settings.keys_directory.exists()


def test_a_rotation_hands_over_at_a_size_and_the_old_pin_leads_to_the_new_root(ring: KeyRing) -> None:
    """Ranges meet at the checkpoint that both keys signed."""
    pin, old = ring.signed_root.pin, ring.root.current.key
    new = ring.begin_rotation()
    assert ring.begin_rotation() == new
    ring.finish_rotation(40)
    ring.finish_rotation(41)
    assert [(key.key, key.from_size, key.until_size) for key in ring.root.log_keys] == [(old, 0, 40), (new, 40, None)]
    assert verify_trust_roots(ring.trust_root_versions(), pin=pin).root == ring.root
    assert ring.pending_key() is None


def test_a_former_key_can_be_revoked_down_to_the_last_size_that_is_believed(ring: KeyRing) -> None:
    """The current one must be rotated away first; an unknown one is named with those that are known."""
    first = ring.root.current.key.key_id.hex()
    with pytest.raises(ConfigurationError, match="`keys rotate` first"):
        ring.revoke(first, reason="lost", until_size=10)
    ring.begin_rotation()
    ring.finish_rotation(40)
    ring.revoke(first, reason="laptop lost", until_size=10)
    assert (ring.root.log_keys[0].until_size, ring.root.log_keys[0].revoked) == (10, "laptop lost")
    with pytest.raises(ConfigurationError, match=f"expected one of the keys {first}"):
        ring.revoke("00000000", reason="x", until_size=1)


def test_root_keys_go_to_officers_and_then_the_log_key_alone_changes_nothing(ring: KeyRing) -> None:
    """Two of two officers must sign what comes next."""
    officers = [make_key(f"example.com/officer-{number}") for number in range(2)]
    keys = [officer.verifier_key for officer in officers]
    ring.change_root_keys(keys, threshold=2, signers=officers)
    witness = make_key("audit.example/w1", algorithm=COSIGNATURE_V1).verifier_key
    with pytest.raises(ConfigurationError, match="expected 2 root keys to sign the next trust root, got 0"):
        ring.change_witnesses([witness])
    ring.change_witnesses([witness], signers=officers)
    assert (ring.root.version, ring.root.witnesses, ring.root.threshold) == (3, (witness,), 2)


def test_a_rotation_that_the_officers_have_not_signed_is_not_begun(ring: KeyRing) -> None:
    """It was: the checkpoint by both keys was signed, the trust root could not be, and nothing was sealed any more."""
    officers = [make_key(f"example.com/officer-{number}") for number in range(2)]
    ring.change_root_keys([officer.verifier_key for officer in officers], threshold=2, signers=officers)
    with pytest.raises(ConfigurationError, match=r"got 0; not at hand: example.com/officer-0 .* pass .* with --sign"):
        ring.begin_rotation()
    assert ring.pending_key() is None
    ring.lend(officers)
    new = ring.begin_rotation()
    ring.finish_rotation(7)
    assert (ring.root.current.key, ring.root.version) == (new, 3)
    assert ring.revoke(ring.root.log_keys[0].key.key_id.hex(), reason="lost", until_size=7).root.version == 4


def test_a_signing_key_is_no_witness_and_a_witness_key_no_root_key(ring: KeyRing) -> None:
    """A witness under the log's kind of key could sign checkpoints in the eyes of a careless verifier."""
    witness = make_key("audit.example/w1", algorithm=COSIGNATURE_V1)
    with pytest.raises(ConfigurationError, match="expected a witness key"):
        ring.change_witnesses([make_key("audit.example/w2").verifier_key])
    with pytest.raises(ConfigurationError, match="expected a root key that signs notes"):
        ring.change_root_keys([witness.verifier_key], threshold=1, signers=[witness])
    with pytest.raises(ConfigurationError, match="expected a threshold from 1 to 1"):
        ring.change_root_keys([make_key("a").verifier_key] * 1, threshold=2, signers=[])
    assert ring.root.version == 1


def test_a_revocation_says_why_and_down_to_where(ring: KeyRing) -> None:
    """An empty reason or a negative size is a slip."""
    first = ring.root.current.key.key_id.hex()
    ring.begin_rotation()
    ring.finish_rotation(40)
    with pytest.raises(ConfigurationError, match="expected a reason"):
        ring.revoke(first, reason=" ", until_size=1)
    with pytest.raises(ConfigurationError, match="0 or more, got -3"):
        ring.revoke(first, reason="lost", until_size=-3)


def test_a_damaged_trust_root_is_named_with_what_to_do(ring: KeyRing) -> None:
    """Half a file: the directory has to come back from its backup."""
    (path,) = (ring.directory / "trust-root").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ConfigurationError, match=r"trust-root, got: .* restore the directory"):
        _ = ring.root


@pytest.mark.parametrize("noise", [b"", b"noise", b"\xff\xfe", b"a+00000000+AQ=="])
def test_a_damaged_note_of_a_rotation_is_named_with_what_to_do(ring: KeyRing, noise: bytes) -> None:
    """Sealing stops with one clear line until it is restored."""
    (ring.directory / "rotation").write_bytes(noise)
    with pytest.raises(ConfigurationError, match=r"expected the key of a rotation under way.*backup"):
        ring.pending_key()


def test_a_trust_root_that_cannot_be_read_is_named(ring: KeyRing) -> None:
    """A directory in its place, for example: no traceback, and no verdict either."""
    (ring.directory / "trust-root" / "00002.json").mkdir()
    with pytest.raises(ConfigurationError, match="expected readable trust roots"):
        ring.trust_root_versions()


def test_a_missing_private_key_is_named(ring: KeyRing) -> None:
    """The message says where it should be and what to do."""
    (key_file,) = ring.directory.glob("*.key")
    key_file.unlink()
    with pytest.raises(ConfigurationError, match="restore it from its backup"):
        KeyRing(load_settings({"SPANLEDGER_DIR": str(ring.directory.parent)})).signer()


def test_a_directory_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    """A file stands where the directory should be."""
    (tmp_path / "data").write_text("")
    with pytest.raises(ConfigurationError, match="expected to write to"):
        open_key_ring(load_settings({"SPANLEDGER_DIR": str(tmp_path / "data")}))


def test_a_key_file_round_trips_and_is_never_overwritten(tmp_path: Path) -> None:
    """Name, type and seed."""
    path, signer = tmp_path / "a.key", make_key("audit.example/w1", algorithm=COSIGNATURE_V1)
    write_key_file(path, signer)
    assert read_key_file(path).verifier_key == signer.verifier_key
    with pytest.raises(ConfigurationError, match="never overwritten"):
        write_key_file(path, signer)
    with pytest.raises(ConfigurationError, match="expected to write the key file"):
        write_key_file(path / "below a file", signer)


def test_a_disk_that_is_full_leaves_no_half_written_key(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It left an empty key file, which the next need took up, could not read, and would never overwrite."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ConfigurationError, match="No space left"):
            open_key_ring(settings)
    assert list(settings.keys_directory.glob("*.key")) == []
    assert list(settings.keys_directory.glob(".*.part")) == []
    assert open_key_ring(settings).root.version == 1


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """It must be taken for known."""
    path = tmp_path / "a.key"
    write_key_file(path, make_key("name"))
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="`chmod 600`"):
        read_key_file(path)


def test_other_files_are_no_keys(tmp_path: Path) -> None:
    """Absent, binary, cut, or with another key id."""
    good = FileSigner(b"\1" * 32, name="name").format()
    with pytest.raises(ConfigurationError, match="expected a readable key file"):
        read_key_file(tmp_path / "absent")
    path = tmp_path / "a.key"
    path.write_text("nonsense")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="expected a private key"):
        read_key_file(path)
    key_id = good.split("+")[3]
    for text in ("nonsense", good[:-20], good.replace(key_id, "00000000")):
        with pytest.raises(ProofError):
            parse_private_key(text)
