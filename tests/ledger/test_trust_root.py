"""Trust roots: who may change them, which key speaks for which size, and what a pin proves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger_exporter.errors import ProofError
from spanledger_exporter.keys.key_file import FileSigner
from spanledger_exporter.ledger.checkpoint import Checkpoint, sign_checkpoint
from spanledger_exporter.ledger.note import COSIGNATURE_V1
from spanledger_exporter.ledger.trust_root import (
    LogKey,
    SignedTrustRoot,
    TrustRoot,
    open_trusted_checkpoint,
    parse_trust_root,
    sign_trust_root,
    verify_trust_roots,
    with_signatures,
)

ORIGIN = "spanledger/test"
OLD, NEW = FileSigner(b"\1" * 32, name=ORIGIN), FileSigner(b"\2" * 32, name=ORIGIN)
OFFICERS = [FileSigner(bytes([10 + n]) * 32, name=f"officer-{n}") for n in range(3)]
WITNESS = FileSigner(b"\7" * 32, name="witness", algorithm=COSIGNATURE_V1)
NOW = "2026-11-21T10:00:00Z"

ONE = TrustRoot(1, ORIGIN, NOW, 1, (OLD.verifier_key,), (LogKey(OLD.verifier_key, NOW),))
BY_OFFICERS = replace(
    ONE, threshold=2, root_keys=tuple(o.verifier_key for o in OFFICERS), witnesses=(WITNESS.verifier_key,)
)
ROTATED = replace(
    ONE,
    version=2,
    root_keys=(NEW.verifier_key,),
    log_keys=(LogKey(OLD.verifier_key, NOW, 0, 812), LogKey(NEW.verifier_key, NOW, 812)),
)


def data(signed: SignedTrustRoot) -> bytes:
    """Return the file's bytes."""
    return signed.data


@pytest.mark.parametrize(
    "root",
    [
        ONE,
        BY_OFFICERS,
        ROTATED,
        replace(
            ROTATED, log_keys=(LogKey(OLD.verifier_key, NOW, 0, 800, "laptop lost"), LogKey(NEW.verifier_key, NOW, 812))
        ),
    ],
)
def test_a_trust_root_survives_its_file(root: TrustRoot) -> None:
    """Text out, text in, and the pin is the file's SHA-256."""
    signed = sign_trust_root(root, [OLD, *OFFICERS])
    assert parse_trust_root(signed.data) == signed
    assert len(signed.pin) == 64


def test_version_1_needs_the_threshold_of_its_own_root_keys() -> None:
    """Two of three officers suffice, one does not, and one twice is one."""
    assert verify_trust_roots([data(sign_trust_root(BY_OFFICERS, OFFICERS[:2]))]).root == BY_OFFICERS
    lone = sign_trust_root(BY_OFFICERS, [OFFICERS[0], OFFICERS[0]])
    with pytest.raises(ProofError, match="signed by 2 root keys of version 1, got 1"):
        verify_trust_roots([lone.data])


def test_a_second_officer_can_add_a_signature_later() -> None:
    """Signatures are collected one by one."""
    first = sign_trust_root(BY_OFFICERS, OFFICERS[:1])
    second = sign_trust_root(BY_OFFICERS, OFFICERS[1:2])
    both = with_signatures(BY_OFFICERS, [*first.signatures, *second.signatures])
    assert verify_trust_roots([both.data]).root == BY_OFFICERS


def test_the_next_version_is_signed_by_the_old_root_keys_and_the_new() -> None:
    """Whoever pinned version 1 arrives at version 2; a version signed by only one side does not count."""
    first, second = sign_trust_root(ONE, [OLD]), sign_trust_root(ROTATED, [OLD, NEW])
    assert verify_trust_roots([first.data, second.data], pin=first.pin).root == ROTATED
    assert verify_trust_roots([first.data, second.data], pin=second.pin.upper()).root == ROTATED
    for signers, authority in (([NEW], 1), ([OLD], 2)):
        with pytest.raises(ProofError, match=f"root keys of version {authority}, got 0"):
            verify_trust_roots([first.data, sign_trust_root(ROTATED, signers).data])


def test_an_unknown_pin_a_skipped_version_and_another_log_are_refused() -> None:
    """Nothing is trusted that the pin does not lead to."""
    first = sign_trust_root(ONE, [OLD])
    with pytest.raises(ProofError, match="expected a trust root with SHA-256"):
        verify_trust_roots([first.data], pin="00" * 32)
    with pytest.raises(ProofError, match="at least one"):
        verify_trust_roots([])
    with pytest.raises(ProofError, match="expected trust root version 2, got 3"):
        verify_trust_roots([first.data, sign_trust_root(replace(ROTATED, version=3), [OLD, NEW]).data])
    stranger = FileSigner(b"\1" * 32, name="other")
    other = replace(ONE, version=2, origin="other", log_keys=(LogKey(stranger.verifier_key, NOW),))
    with pytest.raises(ProofError, match="expected a trust root of log"):
        verify_trust_roots([first.data, sign_trust_root(other, [OLD]).data])


def test_a_changed_trust_root_is_refused() -> None:
    """A signature over other bytes condemns it."""
    signed = sign_trust_root(ONE, [OLD])
    forged = with_signatures(replace(ONE, created_at="2020-01-01T00:00:00Z"), signed.signatures)
    with pytest.raises(ProofError, match="signature"):
        verify_trust_roots([forged.data])


@pytest.mark.parametrize(
    ("size", "signers", "is_good"),
    [(1, [OLD], True), (812, [OLD, NEW], True), (812, [NEW], True), (813, [OLD], False), (811, [NEW], False)],
)
def test_a_key_speaks_only_for_its_range_of_sizes(size: int, signers: list[FileSigner], *, is_good: bool) -> None:
    """At the size of the rotation both do."""
    note = sign_checkpoint(Checkpoint(ORIGIN, size, b"\0" * 32), signers)
    if is_good:
        assert open_trusted_checkpoint(note, ROTATED).checkpoint.size == size
    else:
        with pytest.raises(ProofError, match="by a key good for that size"):
            open_trusted_checkpoint(note, ROTATED)


def test_the_current_key_is_the_one_without_an_end() -> None:
    """It signs from now on."""
    assert ROTATED.current.key == NEW.verifier_key
    assert ROTATED.keys_for(812) == (OLD.verifier_key, NEW.verifier_key)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(ONE, threshold=0),
        replace(ONE, threshold=2),
        replace(ONE, version=0),
        replace(ONE, log_keys=(LogKey(OLD.verifier_key, NOW, 0, 5),)),
        replace(ONE, log_keys=(LogKey(OFFICERS[0].verifier_key, NOW),)),
        replace(ONE, root_keys=(WITNESS.verifier_key,)),
        replace(ONE, version=-1),
    ],
)
def test_a_trust_root_that_makes_no_sense_is_refused(wrong: TrustRoot) -> None:
    """Thresholds nobody can meet, a log without a key, keys of other kinds."""
    with pytest.raises(ProofError):
        parse_trust_root(with_signatures(wrong, ()).data)


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"null", b'{"signatures":[],"signed":{"schema":"x/9"}}'])
def test_other_files_are_refused(text: bytes) -> None:
    """And nothing raw leaks."""
    with pytest.raises(ProofError):
        parse_trust_root(text)


def test_a_field_of_another_type_is_refused() -> None:
    """A number where text belongs."""
    signed = sign_trust_root(ONE, [OLD])
    with pytest.raises(ProofError, match="expected text"):
        parse_trust_root(signed.data.replace(f'"created_at":"{NOW}"'.encode(), b'"created_at":5'))


def test_a_reformatted_file_is_refused() -> None:
    """Its SHA-256 is another one, whatever it says."""
    signed = sign_trust_root(ONE, [OLD])
    with pytest.raises(ProofError, match="edited or reformatted"):
        parse_trust_root(signed.data.replace(b",", b", "))


@given(st.integers(0, 10_000), st.binary(max_size=3), st.integers(0, 3))
def test_no_damaged_trust_root_is_accepted_and_no_raw_exception_leaves(place: int, splice: bytes, removed: int) -> None:
    """Every splice is refused, unless it gives the same bytes."""
    good = sign_trust_root(ONE, [OLD]).data
    start = place % len(good)
    damaged = good[:start] + splice + good[start + removed :]
    if damaged == good:
        return
    with pytest.raises(ProofError):
        verify_trust_roots([damaged])
