"""Timestamps from an authority of the tests' own: openssl behind a local HTTP server, with its own certificates."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader, RawIOBase
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from spanledger_exporter.anchors.anchor import (
    AnchorError,
    Archive,
    Submission,
    UncheckedReceiptError,
    UnknownAuthorityError,
    read_answer,
)
from spanledger_exporter.anchors.rfc3161 import open_rfc3161, parse_receipt, read_roots, verify_timestamp
from spanledger_exporter.errors import ConfigurationError, ProofError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

NOTE = "log\n12\nroot\n\n— log c2ln\n"
SUBMISSION = Submission(12, NOTE, lambda _: ())

TSA_CONFIGURATION = """
[tsa]
default_tsa = tsa1
[tsa1]
serial = {directory}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""


@dataclass(slots=True)
class Authority:
    """A root, a time-stamping key under it, and a server; `answer` can be replaced by a fault."""

    directory: Path
    url: str = ""
    faults: list[bytes] = field(default_factory=list[bytes])

    @property
    def roots(self) -> Path:
        return self.directory / "root.pem"

    def reply(self, query: bytes) -> bytes:
        """Answer as openssl's authority does, or with the next fault."""
        if self.faults:
            return self.faults.pop()
        (self.directory / "query").write_bytes(query)
        done = subprocess.run(
            [
                *("openssl", "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query"),
                *("-inkey", "tsa.key", "-signer", "tsa.pem"),
            ],
            cwd=self.directory,
            check=True,
            capture_output=True,
        )
        return done.stdout


def certificate(
    name: str, key: RSAPrivateKey, *, issuer: str, issuer_key: RSAPrivateKey, is_root: bool
) -> x509.Certificate:
    """Make a certificate that is good for a day."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not is_root:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    return builder.sign(issuer_key, SHA256())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """Make the authority and serve it."""
    directory = tmp_path_factory.mktemp("tsa")
    root_key, key = generate_private_key(65537, 2048), generate_private_key(65537, 2048)
    root = certificate("root", root_key, issuer="root", issuer_key=root_key, is_root=True)
    leaf = certificate("tsa", key, issuer="root", issuer_key=root_key, is_root=False)
    (directory / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    (directory / "tsa.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (directory / "tsa.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    (directory / "tsa.cnf").write_text(TSA_CONFIGURATION.format(directory=directory))
    (directory / "serial").write_text("01\n")
    made = Authority(directory)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = made.reply(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}/tsr"
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_receipt_proves_when_the_note_existed_under_the_authoritys_root(authority: Authority) -> None:
    """Offline, from the receipt, the note and the root alone."""
    anchor = open_rfc3161(authority.url, options={"roots": str(authority.roots)})
    receipt = anchor.publish(SUBMISSION)
    data = parse_receipt(receipt)
    assert abs(datetime.now(UTC) - anchor.confirm(NOTE, receipt)) < timedelta(minutes=1)
    with pytest.raises(AnchorError, match="over other bytes"):
        anchor.confirm("another note", receipt)
    stamped = verify_timestamp(data, NOTE.encode(), roots=read_roots(authority.roots))
    assert abs(datetime.now(UTC) - stamped) < timedelta(minutes=1)
    assert not isinstance(anchor, Archive)


def test_a_receipt_proves_nothing_about_another_note_or_under_another_root(authority: Authority) -> None:
    """Imprint and signature are both checked."""
    data = parse_receipt(open_rfc3161(authority.url, options={}).publish(SUBMISSION))
    with pytest.raises(ProofError, match="over other bytes"):
        verify_timestamp(data, b"another note")
    key = generate_private_key(65537, 2048)
    stranger = certificate("root", key, issuer="root", issuer_key=key, is_root=True)
    with pytest.raises(ProofError, match="leads to one in roots=, got: unable to get"):
        verify_timestamp(data, NOTE.encode(), roots=(stranger,))


def test_without_roots_a_receipt_counts_for_nothing_and_with_others_it_accuses_nobody(
    authority: Authority, tmp_path: Path
) -> None:
    """Nobody said whom to believe; or somebody else is believed, as after an authority's change of root."""
    unnamed = open_rfc3161(authority.url, options={})
    receipt = unnamed.publish(SUBMISSION)
    with pytest.raises(UncheckedReceiptError, match=r"add \?roots=FILE.pem"):
        unnamed.confirm(NOTE, receipt)
    key = generate_private_key(65537, 2048)
    stranger = certificate("root", key, issuer="root", issuer_key=key, is_root=True)
    (tmp_path / "new.pem").write_bytes(stranger.public_bytes(Encoding.PEM))
    renewed = open_rfc3161(authority.url, options={"roots": str(tmp_path / "new.pem")})
    with pytest.raises(UnknownAuthorityError, match="needs the old one beside it"):
        renewed.confirm(NOTE, receipt)
    (tmp_path / "new.pem").write_bytes(stranger.public_bytes(Encoding.PEM) + authority.roots.read_bytes())
    open_rfc3161(authority.url, options={"roots": str(tmp_path / "new.pem")}).confirm(NOTE, receipt)


def test_a_receipt_with_a_damaged_signature_is_forged(authority: Authority) -> None:
    """Not a question of whom to believe: its last byte is part of the signature."""
    anchor = open_rfc3161(authority.url, options={"roots": str(authority.roots)})
    data = bytearray(parse_receipt(anchor.publish(SUBMISSION)))
    data[-1] ^= 1
    with pytest.raises(AnchorError, match="VerificationError") as caught:
        anchor.confirm(NOTE, b64encode(data).decode())
    assert type(caught.value) is AnchorError


def test_an_answer_that_trickles_is_given_up() -> None:
    """A socket's time limit starts anew with each byte; the whole answer has one of its own."""
    seconds = iter(range(0, 1000, 7))
    trickle = BufferedReader(Trickle())
    with pytest.raises(TimeoutError, match="not complete after 20 s"):
        read_answer(trickle, 1000, clock_s=lambda: float(next(seconds)))


class Trickle(RawIOBase):
    """A body of one byte at a time, without an end."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        memoryview(buffer)[:1] = b"."
        return 1


def test_a_replayed_answer_is_refused(authority: Authority) -> None:
    """A man in the middle repeats yesterday's timestamp: the nonce differs."""
    anchor = open_rfc3161(authority.url, options={})
    authority.faults.append(parse_receipt(anchor.publish(SUBMISSION)))
    with pytest.raises(AnchorError, match="a replay"):
        anchor.publish(SUBMISSION)


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>gateway</html>", bytes.fromhex("30053003020102")],
    ids=["nothing", "a web page", "a refusal without a token"],
)
def test_an_answer_that_is_no_timestamp_is_an_anchor_error(authority: Authority, answer: bytes) -> None:
    """Nothing raw of the parser leaks."""
    authority.faults.append(answer)
    with pytest.raises(AnchorError, match="expected a good timestamp") as caught:
        open_rfc3161(authority.url, options={}).publish(SUBMISSION)
    assert repr(answer) in str(caught.value) or "granted" in str(caught.value)


def test_an_unreachable_authority_is_an_anchor_error() -> None:
    """The sealer reports it and tries again."""
    with pytest.raises(AnchorError, match="expected a timestamp"):
        open_rfc3161("http://127.0.0.1:9/tsr", options={}).publish(SUBMISSION)


def test_wrong_settings_are_one_clear_line(tmp_path: Path) -> None:
    """Scheme, options and the file of roots."""
    for url, options in (("ftp://tsa", {}), ("https://tsa", {"colour": "red"}), ("https://tsa", {"roots": "absent"})):
        with pytest.raises(ConfigurationError):
            open_rfc3161(url, options=options)
    with pytest.raises(ProofError, match="expected base64"):
        parse_receipt("?")
