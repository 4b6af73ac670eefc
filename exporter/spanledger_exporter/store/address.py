"""Where a server store is: `clickhouse://user:password@host:8123/database?option=value`, `clickhouses://` for TLS.

Options of the line: `ca` (PEM file), `client_cert` and `client_key` (PEM files), `verify` (0 or 1), `server_name`,
`compression` (lz4, zstd, gzip, none), `connect_timeout_s`, `timeout_s`. Every other option must be a setting name of
ClickHouse with the prefix `setting.`, for example `setting.insert_quorum=auto`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from spanledger_exporter.errors import ConfigurationError

DEFAULT_DATABASE = "spanledger"
SETTING_PREFIX = "setting."
CONNECT_TIMEOUT_S = 10
TIMEOUT_S = 300

_FORM = "clickhouse://user:password@host:8123/database"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A parsed server URL. `__str__` never shows the password."""

    host: str
    port: int
    secure: bool
    user: str
    password: str = field(repr=False)
    database: str
    options: Mapping[str, Any]
    settings: Mapping[str, str]

    def __str__(self) -> str:
        return f"{'clickhouses' if self.secure else 'clickhouse'}://{self.user}@{self.host}:{self.port}/{self.database}"


def parse_address(url: str) -> ServerAddress:
    """Parse a server URL.

    Raises ConfigurationError that names the wrong part.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(
            f"expected SPANLEDGER_STORE to be {_FORM}, got one that does not parse: {error}"
        ) from None
    if parts.scheme not in {"clickhouse", "clickhouses"} or not parts.hostname:
        raise ConfigurationError(f"expected SPANLEDGER_STORE to be {_FORM}, got scheme {parts.scheme!r} and no host")
    secure = parts.scheme == "clickhouses"
    options, settings = _options(parts.query)
    if parts.password and "client_cert" in options:
        # Else the driver takes the certificate for the login, as it is right without a password, and drops this one.
        options["tls_mode"] = "strict"
    return ServerAddress(
        host=parts.hostname,
        port=port or (8443 if secure else 8123),
        secure=secure,
        user=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=_database(unquote(parts.path.strip("/")) or DEFAULT_DATABASE),
        options=options,
        settings=settings,
    )


def _database(name: str) -> str:
    if not name.isidentifier() or not name.isascii():
        raise ConfigurationError(f"expected the database in SPANLEDGER_STORE to be letters, digits and _, got {name!r}")
    return name


def _seconds(text: str) -> int:
    return int(text)


def _boolean(text: str) -> bool:
    return {"1": True, "true": True, "0": False, "false": False}[text.lower()]


def _compression(text: str) -> str | bool:
    accepted: Mapping[str, str | bool] = {"none": False, "lz4": "lz4", "zstd": "zstd", "gzip": "gzip"}
    return accepted[text.lower()]


OPTIONS: Mapping[str, tuple[str, Any]] = {
    # our name: (the driver's name, how to read it)
    "ca": ("ca_cert", str),
    "client_cert": ("client_cert", str),
    "client_key": ("client_cert_key", str),
    "server_name": ("server_host_name", str),
    "verify": ("verify", _boolean),
    "compression": ("compress", _compression),
    "connect_timeout_s": ("connect_timeout", _seconds),
    "timeout_s": ("send_receive_timeout", _seconds),
}


def _options(query: str) -> tuple[dict[str, Any], dict[str, str]]:
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "send_receive_timeout": TIMEOUT_S,
        "compress": "lz4",
    }
    settings: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name.startswith(SETTING_PREFIX):
            settings[name.removeprefix(SETTING_PREFIX)] = value
            continue
        if name not in OPTIONS:
            accepted = ", ".join(OPTIONS)
            raise ConfigurationError(
                f"expected an option of SPANLEDGER_STORE to be {accepted} or {SETTING_PREFIX}NAME, got {name!r}"
            )
        driver_name, read = OPTIONS[name]
        try:
            options[driver_name] = read(value)
        except (KeyError, ValueError):
            raise ConfigurationError(f"expected a valid value for {name} in SPANLEDGER_STORE, got {value!r}") from None
    return options, settings
