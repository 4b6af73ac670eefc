"""Settings: `SPANLEDGER_*` variables over `spanledger.toml` over defaults.

Rules
- A wrong value is one `ConfigurationError` that names the variable, the value and the accepted ones.
- A name that is nearly one of ours is one warning: a misspelled `SPANLEDGER_DURABILITY` must not pass unnoticed. Other
  variables are left alone, because Kubernetes sets some that begin with the name of a service; in the file, which is
  ours alone, every unknown key is warned of.
- Reading settings touches no network and makes no directory.
- `spanledger.toml` is looked up in the working directory; its keys are the variables' names, in lower case, without
  the prefix: `store = "chdb://"`.
"""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import cast

from spanledger_exporter.errors import ConfigurationError
from spanledger_exporter.redact.rules import Rule, parse_rules

PREFIX = "SPANLEDGER_"
FILE_NAME = "spanledger.toml"
_OF_THE_INSTRUMENTATION = frozenset({"GENAI_METRICS", "OPENAI_INCLUDE_USAGE"})
_ALIKE = 0.85  # of 1: one or two letters of a name that were mistyped, left out or swapped
_log = logging.getLogger(__name__)
_warned: set[str] = set()  # names that were warned of: settings are read several times in one process


@dataclass(frozen=True, slots=True)
class Settings:
    """What one process was told. `directory` is absolute; `store_url` is resolved against it."""

    directory: Path
    store_url: str
    durability: str = "process"
    on_failure: str = "open"
    content: str = "full"
    tenant: str = "default"
    environment: str | None = None
    spans: str = "genai"
    spool_quota_bytes: int = 0
    spool_quota_policy: str = "block"
    anchors: str = "directory"
    signer: str = ""
    origin: str = ""
    clear_attributes: tuple[str, ...] = ()
    redact: tuple[Rule, ...] = ()

    @property
    def spool_directory(self) -> Path:
        """Where writers append and shippers read."""
        return self.directory / "spool"

    @property
    def store_directory(self) -> Path:
        """Where the embedded engine keeps its tables."""
        return Path(self.store_url.removeprefix("chdb://"))

    @property
    def keys_directory(self) -> Path:
        """Where the default signing key and the trust root live; mode 0700."""
        return self.directory / "keys"

    @property
    def anchors_directory(self) -> Path:
        """The default append-only anchor."""
        return self.directory / "anchors"

    @property
    def is_embedded(self) -> bool:
        """True when the store is a directory of ours, not a server."""
        return self.store_url.startswith("chdb://")

    @property
    def has_store(self) -> bool:
        """False while there is no directory of the embedded store: to open it would be to make it."""
        return not self.is_embedded or self.store_directory.is_dir()


def load_settings(environ: Mapping[str, str] | None = None, *, working_directory: Path | None = None) -> Settings:
    """Read the settings of this process.

    Raises ConfigurationError for a wrong value or an unreadable file.
    """
    values = _Values(os.environ if environ is None else environ, working_directory or _working_directory())
    directory = values.place("DIR", ".spanledger")
    settings = Settings(
        directory=directory,
        store_url=_store_url(values, directory),
        durability=values.choice("DURABILITY", ("process", "power")),
        on_failure=values.choice("ON_FAILURE", ("open", "closed")),
        content=values.choice("CONTENT", ("full", "withheld", "none")),
        tenant=values.text("TENANT", "default"),
        environment=values.text("ENVIRONMENT", "") or None,
        spans=values.choice("SPANS", ("genai", "all")),
        spool_quota_bytes=values.size("SPOOL_QUOTA_BYTES", 0),
        spool_quota_policy=values.choice("SPOOL_QUOTA_POLICY", ("block", "closed", "loss")),
        anchors=values.text("ANCHORS", "directory"),
        signer=values.text("SIGNER", ""),
        origin=values.text("ORIGIN", ""),
        clear_attributes=tuple(values.text("CLEAR_ATTRIBUTES", "").replace(",", " ").split()),
        redact=parse_rules(values.file.get("redact", []), where=FILE_NAME),
    )
    _warn_of_misspelled(values)
    return settings


def is_closed(environ: Mapping[str, str] | None = None, *, working_directory: Path | None = None) -> bool:
    """Say whether calls are to be refused that cannot be recorded, also when another setting is wrong."""
    environ = os.environ if environ is None else environ
    try:
        told = _Values(environ, working_directory or _working_directory()).text("ON_FAILURE", "")
    except ConfigurationError:  # the file cannot be read; the environment can
        told = environ.get(f"{PREFIX}ON_FAILURE", "")
    return told.strip().lower() == "closed"


_GONE = "the working directory of this process is gone or cannot be read"


def _working_directory() -> Path | None:
    """Return the working directory; None where somebody has removed it, or taken it from this user."""
    try:
        return Path.cwd()
    except OSError:
        return None


def _warn_of_misspelled(values: _Values) -> None:
    variables = [name.removeprefix(PREFIX) for name in values.environ if name.startswith(PREFIX)]
    for name, meant in _unknown(variables, values.asked | _OF_THE_INSTRUMENTATION):
        if meant:
            _warn_once(f"got {PREFIX}{name} in the environment, which does nothing; perhaps {PREFIX}{meant} is meant")
    for name, meant in _unknown(values.file.keys() - {"redact"}, {name.lower() for name in values.asked}):
        hint = f"; perhaps {meant} is meant" if meant else ""
        _warn_once(f"got {name} in {FILE_NAME}, which does nothing{hint}")


def _warn_once(finding: str) -> None:
    if finding not in _warned:
        _warned.add(finding)
        _log.warning("spanledger: expected a setting that exists, %s", finding)


def _unknown(names: Iterable[str], known: set[str]) -> list[tuple[str, str]]:
    """Return each name that is none of ours, and the one of ours that it nearly is, if any."""
    close = [(name, get_close_matches(name, known, n=1, cutoff=_ALIKE)) for name in names if name not in known]
    return [(name, found[0] if found else "") for name, found in close]


class _Values:
    """Looks a name up in the environment, then in the file."""

    def __init__(self, environ: Mapping[str, str], working_directory: Path | None) -> None:
        self.environ = environ
        self.working_directory = working_directory
        self.file = {} if working_directory is None else _read_file(working_directory / FILE_NAME)
        self.asked: set[str] = set()

    def text(self, name: str, default: str) -> str:
        self.asked.add(name)
        value = self.environ.get(PREFIX + name, "").strip()
        return value or self._of_file(name.lower(), default)

    def _of_file(self, key: str, default: str) -> str:
        found = self.file.get(key, default)
        told = cast("list[object]", found) if isinstance(found, list) else [found]
        if not all(isinstance(one, str) or type(one) is int for one in told):
            raise ConfigurationError(f"expected {key} in {FILE_NAME} to be a text or a number, got {found!r}")
        return ",".join(map(str, told))

    def place(self, name: str, default: str) -> Path:
        """Return an absolute path; `~` is the user's home."""
        value = self.text(name, default)
        try:
            path = Path(value).expanduser()
            if self.working_directory is None and not path.is_absolute():
                raise ConfigurationError(f"expected {PREFIX}{name} to name an absolute place, because {_GONE}")
            return (self.working_directory or path).joinpath(path).resolve()
        except (OSError, RuntimeError) as error:  # a home that nobody has, links in a circle
            raise ConfigurationError(f"expected {PREFIX}{name} to name a directory, got {value!r}: {error}") from error

    def size(self, name: str, default: int) -> int:
        value = self.text(name, str(default))
        if not value.isdecimal():
            raise ConfigurationError(f"expected {PREFIX}{name} to be a number of bytes, 0 for none, got {value!r}")
        return int(value)

    def choice(self, name: str, accepted: tuple[str, ...]) -> str:
        value = self.text(name, accepted[0]).lower()
        if value not in accepted:
            raise ConfigurationError(f"expected {PREFIX}{name} to be one of {', '.join(accepted)}, got {value!r}")
        return value


def _read_file(path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"expected readable TOML in {path}, got: {error}") from error


_SCHEMES = ("chdb://", "clickhouse://", "clickhouses://")


def _store_url(values: _Values, directory: Path) -> str:
    url = values.text("STORE", "chdb://")
    if not url.startswith(_SCHEMES):
        raise ConfigurationError(
            f"expected {PREFIX}STORE to be chdb:///directory, clickhouse://user:password@host:8123/database or "
            f"clickhouses://… for TLS, got {_without_password(url)!r}"
        )
    if url.startswith("chdb://"):
        place = url.removeprefix("chdb://")
        return f"chdb://{(directory / place).resolve() if place else directory / 'store'}"
    return url


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    credentials, at, host = rest.rpartition("@")
    return f"{scheme}{separator}{credentials.split(':')[0]}:***{at}{host}" if at else url
