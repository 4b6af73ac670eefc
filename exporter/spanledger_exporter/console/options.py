"""How the console is reached, and who may.

    people file, one person per line:     maria.keller  <SHA-256 of the token, hex>  [tenant]

Rules
- On loopback, without a people file or a proxy header, whoever runs the console is the person.
- Anything else needs a people file (people sign in with their token) or a header that an authenticating proxy sets;
  the header is believed only from the proxy's address.
- A person with a tenant sees that tenant and nothing else.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from spanledger_exporter.errors import ConfigurationError

DEFAULT_PORT = 8420
LOOPBACK = ("127.0.0.1", "::1")

_SHA256 = re.compile("[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Person:
    """Who looks. An empty tenant means every tenant."""

    name: str
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """What the operator decided. `people` maps the SHA-256 of a token (hex) to its person."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    operator: Person = field(default_factory=lambda: Person("unknown"))
    people: Mapping[str, Person] = field(default_factory=dict[str, Person])
    user_header: str = ""
    tenant_header: str = ""
    proxy_addresses: tuple[str, ...] = LOOPBACK
    names: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Say whether nobody has to prove who they are: only on loopback."""
        return not self.people and not self.user_header

    def check(self) -> None:
        """Raise ConfigurationError for a console that strangers could use."""
        if self.is_open and not is_loopback(self.host):
            raise ConfigurationError(
                f"expected --people FILE or --user-header NAME for a console on {self.host}, got neither: "
                "anybody on the network could read everything"
            )
        if self.people and self.user_header:
            raise ConfigurationError(
                "expected --people or --user-header, got both: a proxy that says who asks leaves no use for tokens"
            )
        if self.tenant_header and not self.user_header:
            raise ConfigurationError("expected --user-header with --tenant-header, got only the latter")

    def person_with_token(self, token: str) -> Person | None:
        """Return whose token it is."""
        digest = sha256(token.encode()).hexdigest()
        found = [person for known, person in self.people.items() if hmac.compare_digest(known, digest)]
        return found[0] if found else None

    def hosts(self) -> frozenset[str]:
        """Return the host names under which a browser may ask; others are a rebinding attack."""
        local = ("localhost", "127.0.0.1", "[::1]") if is_loopback(self.host) else (self.host,)
        return frozenset((*local, *self.names))


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_people(path: Path) -> dict[str, Person]:
    """Read a people file. Raises ConfigurationError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"expected a readable people file, got {path}: {error}") from error
    people: dict[str, Person] = {}
    for number, line in enumerate(lines, 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        if len(words) not in {2, 3} or not _SHA256.fullmatch(words[1]):
            raise ConfigurationError(
                f"expected `NAME SHA256-OF-TOKEN [TENANT]` with 64 hex digits in line {number} of {path}, got "
                + (f"{len(words)} words" if len(words) not in {2, 3} else f"a digest of {len(words[1])} characters")
            )
        person, digest = Person(words[0], words[2] if len(words) == 3 else ""), words[1].lower()
        if people.setdefault(digest, person) != person:
            raise ConfigurationError(
                f"expected a token of their own for {person.name} in line {number} of {path}, "
                f"got that of {people[digest].name}: one token is one person with one tenant"
            )
    if not people:
        raise ConfigurationError(f"expected at least one person in {path}, got none")
    return people
