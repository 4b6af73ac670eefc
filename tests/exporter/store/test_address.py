"""Server URLs: what they say, and what a wrong one says back."""

from pathlib import Path

import pytest

from spanledger_exporter.errors import ConfigurationError
from spanledger_exporter.store.address import OPTIONS, parse_address

README = Path(__file__).parents[3] / "exporter" / "README.md"


def test_a_url_names_host_user_and_database() -> None:
    """Percent signs hold what a URL cannot."""
    address = parse_address("clickhouse://ledger:p%40ss%2Fword@db.example:9000/audit")
    assert (address.host, address.port, address.secure) == ("db.example", 9000, False)
    assert (address.user, address.password, address.database) == ("ledger", "p@ss/word", "audit")


def test_tls_has_its_own_scheme_and_port() -> None:
    """Nothing else switches it on."""
    address = parse_address("clickhouses://ledger@db.example")
    assert (address.secure, address.port, address.database) == (True, 8443, "spanledger")
    assert parse_address("clickhouse://ledger@db.example").port == 8123


def test_options_reach_the_driver_under_its_names() -> None:
    """And settings reach every statement."""
    address = parse_address(
        "clickhouses://u@h/d?ca=/etc/ca.pem&verify=0&compression=zstd&connect_timeout_s=3&timeout_s=60"
        "&client_cert=/c.pem&client_key=/k.pem&server_name=db&setting.insert_quorum=auto"
    )
    assert address.options == {
        "ca_cert": "/etc/ca.pem",
        "verify": False,
        "compress": "zstd",
        "connect_timeout": 3,
        "send_receive_timeout": 60,
        "client_cert": "/c.pem",
        "client_cert_key": "/k.pem",
        "server_host_name": "db",
    }
    assert address.settings == {"insert_quorum": "auto"}


def test_a_password_is_used_beside_a_client_certificate() -> None:
    """Without one, the certificate is the login."""
    assert parse_address("clickhouses://u:p@h/d?client_cert=/c.pem").options["tls_mode"] == "strict"
    assert "tls_mode" not in parse_address("clickhouses://u@h/d?client_cert=/c.pem").options


def test_the_password_is_never_shown() -> None:
    """Not in messages, not in a debugger's view."""
    address = parse_address("clickhouse://ledger:swordfish@h/d")
    assert "swordfish" not in f"{address} {address!r}"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("clickhouse://", "expected SPANLEDGER_STORE to be clickhouse://user:password@host:8123/database"),
        ("clickhouse://u:p@h:port/d", "does not parse"),
        ("clickhouse://u@h/no-such;name", "letters, digits and _"),
        ("clickhouse://u@h/d?compress=lz4", "got 'compress'"),
        ("clickhouse://u@h/d?compression=rar", "expected a valid value for compression"),
        ("clickhouse://u@h/d?timeout_s=soon", "expected a valid value for timeout_s"),
        ("clickhouse://u@h/d?verify=perhaps", "expected a valid value for verify"),
    ],
)
def test_a_wrong_url_is_one_message_that_names_the_part(url: str, said: str) -> None:
    """Before anything is connected."""
    with pytest.raises(ConfigurationError, match=said):
        parse_address(url)


def test_the_readme_lists_every_option() -> None:
    """An option that nobody finds does not exist."""
    table = README.read_text(encoding="utf-8").split("## A ClickHouse server")[1].split("`spanledger init` makes")[0]
    assert [name for name in OPTIONS if f"`{name}`" not in table] == []
