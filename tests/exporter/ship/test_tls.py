"""A server store over real TLS: who is trusted, and what is said when somebody is not."""

import datetime as dt
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from exporter.http_shim import PASSWORD, USER, HttpShim
from exporter.ship.test_drain import assert_stored_once, record, spooled, text
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.errors import StoreError
from spanledger_exporter.ship.shipper import drain
from spanledger_exporter.store.connection import open_store

SECRET = PASSWORD.replace(" ", "%20")


class Authority:
    """A certificate authority of the tests' own, with its files in one directory."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = self._certificate(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0))
        self.path = directory / f"{name}.pem"
        self.path.write_bytes(certificate.public_bytes(Encoding.PEM))

    def issue(self, name: str, *names: x509.GeneralName) -> Path:
        """Return a file with a certificate for `names`, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._certificate(subject, key, x509.SubjectAlternativeName(names))
        path = self._directory / f"{name}.pem"
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(certificate.public_bytes(Encoding.PEM) + secret)
        return path

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                self._identifier, critical=False
            )  # Python 3.13 wants both, and the usage of an authority's key
            .add_extension(_usage(signs=isinstance(extension, x509.BasicConstraints)), critical=True)
            .sign(self._key, hashes.SHA256())
        )


def _usage(*, signs: bool) -> x509.KeyUsage:
    """Return the usage of an authority's key, which `signs` certificates, or of another's."""
    never = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    unused = dict.fromkeys((*never, "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, **unused)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where certificates and the server's data lie."""
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(directory: Path) -> Authority:
    """Return who signs for the server and for clients."""
    return Authority(directory, "authority")


@pytest.fixture(scope="module")
def server(directory: Path, authority: Authority) -> Iterator[HttpShim]:
    """Yield a server that shows a certificate for 127.0.0.1 and wants one from its clients."""
    shown = authority.issue("server", x509.IPAddress(IPv4Address("127.0.0.1")), x509.DNSName("ledger.example"))
    tls = ("--certificate", str(shown), "--client-ca", str(authority.path))
    with HttpShim(directory / "data", tls=tls) as shim:
        yield shim


@pytest.fixture(scope="module")
def client(authority: Authority) -> Path:
    """Return the certificate and key that a client may show."""
    return authority.issue("client", x509.DNSName("application"))


def settings_of(server: HttpShim, directory: Path, **options: object) -> Settings:
    """Return settings with these TLS options in the store's URL."""
    shown = "&".join(f"{name}={value}" for name, value in {"timeout_s": 10, **options}.items())
    url = f"clickhouses://{USER}:{SECRET}@127.0.0.1:{server.port}/spanledger?{shown}"
    return load_settings({"SPANLEDGER_DIR": str(directory / "app"), "SPANLEDGER_STORE": url})


def refusal(settings: Settings) -> str:
    """Return what opening the store says."""
    with pytest.raises(StoreError) as refused:
        open_store(settings, role="reader")
    assert SECRET not in str(refused.value)
    assert PASSWORD not in str(refused.value)
    return str(refused.value)


def test_rows_arrive_through_tls_in_both_directions_of_trust(
    server: HttpShim, authority: Authority, client: Path, tmp_path: Path
) -> None:
    """The authority is named in the store's URL, as are the certificate and key that the client shows."""
    settings = settings_of(server, tmp_path, ca=authority.path, client_cert=client, client_key=client)
    record(settings, 20, contents=lambda number: [text(f"content {number}")])
    with open_store(settings, role="owner") as store:
        drain(settings, store)
        assert_stored_once(store, spooled(settings))


def test_a_server_of_another_authority_is_refused(server: HttpShim, client: Path, tmp_path: Path) -> None:
    """An authority of the same name is not the same authority."""
    other = Authority(tmp_path, "authority")
    settings = settings_of(server, tmp_path, ca=other.path, client_cert=client, client_key=client)
    assert "certificate verify failed" in refusal(settings).lower()


def test_a_server_that_no_public_authority_knows_is_refused(server: HttpShim, client: Path, tmp_path: Path) -> None:
    """Without `ca` the system's authorities decide."""
    settings = settings_of(server, tmp_path, client_cert=client, client_key=client)
    assert "certificate verify failed" in refusal(settings).lower()


def test_a_certificate_for_another_name_is_refused(
    server: HttpShim, authority: Authority, client: Path, tmp_path: Path
) -> None:
    """`server_name` says which name it must have; the right one is accepted."""
    shown = {"ca": authority.path, "client_cert": client, "client_key": client}
    said = refusal(settings_of(server, tmp_path, **shown, server_name="other.example"))
    assert "other.example" in said
    with open_store(settings_of(server, tmp_path, **shown, server_name="ledger.example"), role="reader") as store:
        assert store.query("SELECT 1") == [(1,)]


def test_a_client_without_a_certificate_is_one_clear_message(
    server: HttpShim, authority: Authority, tmp_path: Path
) -> None:
    """It names the server and says to look at TLS."""
    said = refusal(settings_of(server, tmp_path, ca=authority.path))
    assert f"127.0.0.1:{server.port}" in said
    assert "TLS" in said
