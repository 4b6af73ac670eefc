"""Redaction rules: regular expressions over every text that would become content.

    [[redact]]
    name = "iban"
    pattern = "[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}"
    action = "replace"            # or "withhold": keep only the reference of the whole part

Rules
- They run before a reference is computed: the reference commits to what was stored, never to what was taken out.
- A replacement reads `[redacted:<name>]`; the part's entry in the envelope lists the rules that matched.
- `withhold` keeps the reference of the original text and stores nothing.
- JSON parts are redacted in their string values; keys and structure stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spanledger_exporter.errors import ConfigurationError

ACTIONS = ("replace", "withhold")


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern and what happens where it matches."""

    name: str
    pattern: re.Pattern[str]
    withholds: bool = False


@dataclass(slots=True)
class Findings:
    """Which rules matched in one part, and whether one of them withholds it."""

    names: list[str]
    is_withheld: bool = False

    def add(self, rule: Rule) -> None:
        """Note that `rule` matched."""
        self.is_withheld = self.is_withheld or rule.withholds
        if rule.name not in self.names:
            self.names.append(rule.name)


@dataclass(frozen=True, slots=True)
class Redactor:
    """Applies rules to texts and JSON values. Without rules it is falsy, and nothing need be looked at."""

    rules: Sequence[Rule] = ()

    def __bool__(self) -> bool:
        return bool(self.rules)

    def text(self, text: str, findings: Findings) -> str:
        """Return `text` with matches of replacing rules replaced; notes every rule that matched."""
        for rule in self.rules:
            redacted, count = rule.pattern.subn(f"[redacted:{rule.name}]", text)
            if count:
                findings.add(rule)
                text = text if rule.withholds else redacted
        return text

    def value(self, value: Any, findings: Findings) -> Any:
        """Return a JSON value with every string in it redacted."""
        if isinstance(value, str):
            return self.text(value, findings)
        if isinstance(value, Mapping):
            return {key: self.value(item, findings) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item, findings) for item in value]
        return value


def parse_rules(entries: object, *, where: str) -> tuple[Rule, ...]:
    """Read the `redact` entries of a settings file. Raises ConfigurationError."""
    if not isinstance(entries, list):
        raise ConfigurationError(f"expected [[redact]] tables in {where}, got {type(entries).__name__}")
    return tuple(_parse_rule(entry, where) for entry in entries)


def _parse_rule(entry: object, where: str) -> Rule:
    if not isinstance(entry, Mapping) or not {"name", "pattern"} <= set(entry):
        raise ConfigurationError(f"expected name and pattern in each [[redact]] table of {where}, got {entry!r}")
    name, action = str(entry["name"]), str(entry.get("action", "replace"))
    if action not in ACTIONS:
        raise ConfigurationError(f"expected action of redact rule {name!r} in {where} to be replace or withhold")
    try:
        pattern = re.compile(str(entry["pattern"]))
    except re.error as error:
        raise ConfigurationError(
            f"expected a regular expression in redact rule {name!r} of {where}: {error}"
        ) from error
    return Rule(name, pattern, withholds=action == "withhold")
