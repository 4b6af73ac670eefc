"""Signed notes, vkeys, checkpoints, cosignatures and tlog-proofs: published vectors, round trips, and hostile bytes."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger import checkpoint, cosignature, merkle, note, tlog_proof

ORIGIN = "spanledger/7c1f2a90b3d4e5f6"

C2SP_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


class Ed25519Signer:
    """A key made from a number, so that tests read the same each time."""

    def __init__(self, number: int, *, name: str = ORIGIN, algorithm: int = note.ED25519) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        self.verifier_key = note.VerifierKey(name, algorithm, self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


class P256Signer:
    """What a key service without Ed25519 offers."""

    def __init__(self) -> None:
        self._key: EllipticCurvePrivateKey = generate_private_key(SECP256R1())
        der = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.verifier_key = note.VerifierKey(ORIGIN, note.ECDSA_P256, der)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message, ECDSA(SHA256()))


LOG = Ed25519Signer(1)
NEXT_LOG = Ed25519Signer(2)
WITNESS = Ed25519Signer(3, name="witness.example/w1", algorithm=note.COSIGNATURE_V1)
LEAVES = [b"one", b"two", b"three"]
CHECKPOINT = checkpoint.Checkpoint(ORIGIN, 3, merkle.root_of_leaves(LEAVES))


@pytest.mark.parametrize(("vkey", "text"), [(C2SP_VKEY, C2SP_NOTE), (GO_VKEY, GO_NOTE)])
def test_the_published_notes_verify_under_their_published_keys(vkey: str, text: str) -> None:
    """The example of c2sp.org/signed-note, and the one of Go's note package."""
    key = note.parse_vkey(vkey)
    assert note.verify_note(note.parse_note(text.encode()), [key]) == (key,)
    assert note.format_vkey(key) == vkey
    assert note.format_note(note.parse_note(text)) == text


@pytest.mark.parametrize("signer", [LOG, P256Signer()], ids=["ed25519", "p256"])
def test_what_was_signed_verifies_and_a_changed_text_does_not(signer: note.Signer) -> None:
    """Both signature types, through text and back."""
    key = note.parse_vkey(signer.verifier_key.vkey)
    signed = note.parse_note(note.format_note(note.sign_note("hello\n", [signer])))
    assert note.verify_note(signed, [key]) == (key,)
    with pytest.raises(ProofError, match="the text or the signature was changed"):
        note.verify_note(replace(signed, text="hullo\n"), [key])


def test_signatures_of_strangers_are_ignored_but_one_of_a_friend_is_needed() -> None:
    """A note with only unknown signatures is refused and the message lists the known keys."""
    signed = note.sign_note("hello\n", [LOG, NEXT_LOG])
    assert note.verify_note(signed, [NEXT_LOG.verifier_key]) == (NEXT_LOG.verifier_key,)
    with pytest.raises(ProofError, match=r"got none; known keys: witness\.example/w1"):
        note.verify_note(signed, [WITNESS.verifier_key])


def test_one_bad_signature_of_a_known_key_condemns_the_note() -> None:
    """Even beside a good one: somebody meddled with it."""
    signed = note.sign_note("hello\n", [LOG, NEXT_LOG])
    bad = replace(signed.signatures[1], signature=bytes(64))
    with pytest.raises(ProofError):
        note.verify_note(
            replace(signed, signatures=(signed.signatures[0], bad)), [LOG.verifier_key, NEXT_LOG.verifier_key]
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no signatures\n", "expected a note"),
        ("no final newline\n\n— a AAAAAAA=", "expected a note"),
        ("text\n\nnot a signature\n", "expected a signature line"),
        ("text\n\n— name\n", "expected a signature line"),
        ("text\n\n— na+me AAAAAAA=\n", "without white space"),
        ("text\n\n— name AAAA\n", "expected a key id and a signature"),
        ("text\n\n— name ???=\n", "expected base64"),
        ("text\n\n— name AAAAAAB=\n", "expected canonical base64"),
        ("tab\t\n\n— name AAAAAAA=\n", "no control characters"),
        (b"\xff\n\n", "in UTF-8"),
        ("text\n\n" + "— name AAAAAAA=\n" * 65, "at most 64 signatures"),
        ("x" * 1_000_001, "at most 1000000 bytes"),
    ],
)
def test_a_malformed_note_is_refused_with_its_reason(text: str | bytes, message: str) -> None:
    """One row per rule of the format."""
    with pytest.raises(ProofError, match=message):
        note.parse_note(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("only+two", "expected a vkey"),
        ("name+00000000+", "expected a key type"),
        ("name+00000000+AQ==", "of 32 bytes"),
        ("name+00000000+CQ==", "expected key type 1, 2 or 4, got 9"),
        ("name+00000000+AgAA", "expected a P-256 key"),
        (C2SP_VKEY.replace("530d903a", "530d903b"), "expected key id 530d903a"),
        ("na me+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", "without white space"),
    ],
)
def test_a_malformed_vkey_is_refused_with_its_reason(text: str, message: str) -> None:
    """A wrong key id is most likely a typing mistake, and caught here."""
    with pytest.raises(ProofError, match=message):
        note.parse_vkey(text)


def test_an_ed25519_key_in_der_is_no_p256_key() -> None:
    """The type byte and the key must agree; a kind of key that nobody here knows is refused alike."""
    unknown = bytes.fromhex("300a300406022a0303020000")
    with pytest.raises(ProofError, match="expected a P-256 key"):
        note.parse_vkey(note.VerifierKey("name", note.ECDSA_P256, unknown).vkey)
    der = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ProofError, match="expected a P-256 key"):
        note.parse_vkey(note.VerifierKey("name", note.ECDSA_P256, der).vkey)


def test_a_text_without_a_final_newline_is_not_signed() -> None:
    """It could not be told from its neighbour."""
    with pytest.raises(ProofError, match="ends in a newline"):
        note.sign_note("hello", [LOG])


def test_a_checkpoint_survives_signing_formatting_and_opening() -> None:
    """Both keys on one note, as during a rotation."""
    text = note.format_note(checkpoint.sign_checkpoint(CHECKPOINT, [LOG, NEXT_LOG]))
    opened = checkpoint.open_checkpoint(text, [NEXT_LOG.verifier_key], origin=ORIGIN)
    assert opened.checkpoint == CHECKPOINT
    assert opened.signed_by == (NEXT_LOG.verifier_key,)


def test_a_checkpoint_of_another_log_is_refused() -> None:
    """The origin is part of what is asked for, and of the key's name."""
    text = note.format_note(checkpoint.sign_checkpoint(CHECKPOINT, [LOG]))
    with pytest.raises(ProofError, match="expected a checkpoint of log 'other'"):
        checkpoint.open_checkpoint(text, [LOG.verifier_key], origin="other")
    stranger = Ed25519Signer(1, name="stranger")
    with pytest.raises(ProofError, match="expected a key named after the origin"):
        checkpoint.sign_checkpoint(CHECKPOINT, [stranger])
    foreign = note.sign_note(checkpoint.format_checkpoint(CHECKPOINT), [stranger])
    with pytest.raises(ProofError, match="expected the log's key to be named"):
        checkpoint.open_checkpoint(foreign, [stranger.verifier_key])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("origin\n3\n", "expected three lines"),
        ("", "expected three lines"),
        ("origin\n3\nAAAA\nextension\n", "expected three lines"),
        ("\n3\nAAAA\n", "expected an origin"),
        ("origin\n03\nAAAA\n", "without leading zeroes"),
        ("origin\n9223372036854775808\nAAAA\n", "without leading zeroes"),
        ("origin\n٣\nAAAA\n", "without leading zeroes"),
        ("origin\n3\nAAAA\n", "a root of 32 bytes"),
        (f"origin\n0\n{'A' * 43}=\n", "the empty tree"),
    ],
)
def test_a_malformed_checkpoint_is_refused_with_its_reason(text: str, message: str) -> None:
    """Extension lines included: no monitor could audit them."""
    with pytest.raises(ProofError, match=message):
        checkpoint.parse_checkpoint(text)


@given(
    st.text(min_size=1).filter(lambda text: "\n" not in text),
    st.integers(1, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
)
def test_parsing_a_checkpoint_undoes_formatting_it(origin: str, size: int, root: bytes) -> None:
    """Round trip."""
    value = checkpoint.Checkpoint(origin, size, root)
    assert checkpoint.parse_checkpoint(checkpoint.format_checkpoint(value)) == value


def test_a_witness_cosigns_a_checkpoint_with_the_time_it_saw_it() -> None:
    """The cosignature stands beside the log's signature, and carries its own time."""
    signed = checkpoint.sign_checkpoint(CHECKPOINT, [LOG])
    line = cosignature.cosign(signed.text, WITNESS, timestamp_s=1_679_315_147)
    both = note.parse_note(note.format_note(replace(signed, signatures=(*signed.signatures, line))))
    opened = checkpoint.open_checkpoint(both, [LOG.verifier_key], witnesses=[WITNESS.verifier_key])
    assert opened.witnesses == (WITNESS.verifier_key,)
    assert cosignature.cosignature_time_s(both.signatures[1]) == 1_679_315_147


def test_a_cosignature_whose_time_was_changed_is_refused() -> None:
    """The time is inside what was signed."""
    signed = checkpoint.sign_checkpoint(CHECKPOINT, [LOG])
    line = cosignature.cosign(signed.text, WITNESS, timestamp_s=1_679_315_147)
    later = replace(line, signature=(1_679_315_148).to_bytes(8) + line.signature[8:])
    short = replace(line, signature=line.signature[8:])
    for forged in (later, short):
        with pytest.raises(ProofError):
            note.verify_note(replace(signed, signatures=(forged,)), [WITNESS.verifier_key])


def test_a_log_does_not_sign_as_a_witness_nor_a_witness_without_a_time() -> None:
    """A cosignature can never be taken for a log's signature, whatever key list it is checked with."""
    signed = checkpoint.sign_checkpoint(CHECKPOINT, [LOG])
    with pytest.raises(ProofError, match="expected a key of type 4"):
        cosignature.cosign(signed.text, LOG, timestamp_s=1)
    with pytest.raises(ProofError, match="expected a timestamp"):
        cosignature.cosign(signed.text, WITNESS, timestamp_s=0)
    with pytest.raises(ProofError, match="72 bytes"):
        cosignature.cosignature_time_s(note.NoteSignature("w", b"1234", b""))
    self_made = Ed25519Signer(1, algorithm=note.COSIGNATURE_V1)
    cosigned = replace(signed, signatures=(cosignature.cosign(signed.text, self_made, timestamp_s=1),))
    with pytest.raises(ProofError, match="got none"):
        checkpoint.open_checkpoint(cosigned, [self_made.verifier_key])


def proof_of_the_second_leaf(extra: bytes | None = None) -> tlog_proof.TlogProof:
    """Prove that `two` is in the log of three leaves."""
    signed = note.format_note(checkpoint.sign_checkpoint(CHECKPOINT, [LOG]))
    hashes = merkle.Tree(merkle.leaf_hashes(LEAVES)).inclusion_proof(1)
    return tlog_proof.TlogProof(1, tuple(hashes), signed, extra)


@pytest.mark.parametrize("extra", [None, b"", b"how to rebuild the leaf"])
def test_a_tlog_proof_survives_text_and_convinces_a_stranger_with_the_key(extra: bytes | None) -> None:
    """Text out, text in, then only the leaf and the log's key are needed."""
    proof = proof_of_the_second_leaf(extra)
    text = tlog_proof.format_tlog_proof(proof)
    parsed = tlog_proof.parse_tlog_proof(text.encode())
    assert parsed == proof
    opened = tlog_proof.verify_tlog_proof(parsed, leaf=merkle.leaf_hash(b"two"), keys=[LOG.verifier_key], origin=ORIGIN)
    assert opened.checkpoint == CHECKPOINT


def test_a_tlog_proof_convinces_nobody_of_another_leaf() -> None:
    """The leaf hash comes from the verifier, never from the proof."""
    with pytest.raises(ProofError, match="expected the proof to lead to root"):
        tlog_proof.verify_tlog_proof(proof_of_the_second_leaf(), leaf=merkle.leaf_hash(b"2"), keys=[LOG.verifier_key])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"\xff", "in UTF-8"),
        ("c2sp.org/tlog-proof@v2\nindex 0\n\nnote", "that starts with"),
        ("c2sp.org/tlog-proof@v1\nindex 0\n", "that starts with"),
        ("c2sp.org/tlog-proof@v1\n\nnote", "expected an index line"),
        ("c2sp.org/tlog-proof@v1\nindex 00\n\nnote", "without leading zeroes"),
        ("c2sp.org/tlog-proof@v1\nextra ?\nindex 0\n\nnote", "expected base64"),
        ("c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\nnote", "hashes of 32 bytes"),
        ("c2sp.org/tlog-proof@v1\nindex 0\n" + f"{'A' * 43}=\n" * 64 + "\nnote", "at most 63 hashes"),
        ("x" * 1_000_001, "at most 1000000 bytes"),
    ],
)
def test_a_malformed_tlog_proof_is_refused_with_its_reason(text: str | bytes, message: str) -> None:
    """One row per rule of the format."""
    with pytest.raises(ProofError, match=message):
        tlog_proof.parse_tlog_proof(text)


@given(st.integers(0, 10_000), st.binary(max_size=3), st.integers(0, 3))
def test_no_raw_exception_leaves_a_parser(place: int, splice: bytes, removed: int) -> None:
    """Bytes cut out of and put into good texts are either read or refused as ProofError."""
    proof = tlog_proof.format_tlog_proof(proof_of_the_second_leaf(b"extra"))
    for parse, good in (
        (note.parse_note, C2SP_NOTE),
        (lambda data: note.parse_vkey(data.decode("utf-8", "replace")), C2SP_VKEY),
        (
            lambda data: checkpoint.parse_checkpoint(data.decode("utf-8", "replace")),
            checkpoint.format_checkpoint(CHECKPOINT),
        ),
        (
            lambda data: tlog_proof.verify_tlog_proof(
                tlog_proof.parse_tlog_proof(data), leaf=merkle.leaf_hash(b"two"), keys=[LOG.verifier_key]
            ),
            proof,
        ),
    ):
        whole = good.encode()
        start = place % len(whole)
        with contextlib.suppress(ProofError):
            parse(whole[:start] + splice + whole[start + removed :])


@given(st.binary(max_size=200))
def test_no_raw_exception_leaves_a_parser_on_noise(data: bytes) -> None:
    """Plain noise."""
    text = data.decode("utf-8", "surrogateescape")
    for parse in (note.parse_note, note.parse_vkey, checkpoint.parse_checkpoint, tlog_proof.parse_tlog_proof):
        with contextlib.suppress(ProofError):
            parse(text)
