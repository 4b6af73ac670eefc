"""Inventories: which models, tools, prompts, retrieval indexes and policies are in use, and who answers for them.

Use comes from the ledger. Who answers for a model, what it is for and how it was validated comes from a file that
people keep (`models.yaml`, `.toml` or `.json`):

    models:
      - model: gpt-5.2*          # a name or a pattern, compared without case
        provider: openai         # optional
        owner: team-risk
        purpose: alert triage
        validation: 2026-09 back-test, report MV-12

Rules
- A model in use without an entry, and an entry without use, are both shown: either may need somebody's attention.
- The first entry that fits a model counts; further members of an entry are shown as they are.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from spanledger_exporter.errors import ConfigurationError
from spanledger_exporter.store.connection import Store

Record = dict[str, Any]

FILE_NAMES: Final = ("models.yaml", "models.yml", "models.toml", "models.json")

_POLICY_NAME: Final = "if(JSONExtractString(env, 'decision', 'policy', 'name') != '', JSONExtractString(env, 'decision', 'policy', 'name'), toString(e.policy_name))"  # noqa: E501
_POLICY_VERSION: Final = "if(JSONExtractString(env, 'decision', 'policy', 'name') != '', JSONExtractString(env, 'decision', 'policy', 'version'), toString(e.policy_version))"  # noqa: E501

QUERIES: Final[Mapping[str, str]] = {
    "models": "SELECT * FROM models WHERE {tenant} ORDER BY last_used DESC",
    "tools": "SELECT * FROM tools WHERE {tenant} ORDER BY tool_name, last_used DESC",
    "retrievals": "SELECT * FROM retrievals WHERE {tenant} ORDER BY retrieval_index, last_used DESC",
    "prompts": "SELECT * FROM prompts WHERE {tenant} ORDER BY prompt_name, last_used DESC",
    "policies": (
        "SELECT e.tenant AS tenant, policy, version, min(e.time) AS first_used, max(e.time) AS last_used, "
        "count() AS events, countIf(e.event_type = 'decision') AS decisions, "
        "uniqExactIf(e.case_id, e.case_id != '') AS cases "
        f"FROM (SELECT *, {_POLICY_NAME} AS policy, {_POLICY_VERSION} AS version FROM events AS e) AS e "
        "WHERE policy != '' AND {tenant} GROUP BY tenant, policy, version ORDER BY policy, last_used DESC"
    ),
    "unmatched": (
        "SELECT e.tenant AS tenant, e.prompt_hash AS prompt_hash, "
        "any(JSONExtractString(e.env, 'snapshot', 'code', 'function')) AS called_from, "
        "min(e.time) AS first_used, max(e.time) AS last_used, count() AS calls, any(e.event_id) AS example "
        "FROM events AS e WHERE e.event_type = 'model_call' AND e.prompt_name = '' AND {tenant} "
        "GROUP BY tenant, prompt_hash ORDER BY calls DESC"
    ),
}
"""What is in use, newest first where the order says nothing else; `{tenant}` is a condition."""


def in_use(store: Store, what: str, *, tenant: str = "") -> list[Record]:
    """Return what is in use; `what` is a key of `QUERIES`."""
    condition = "tenant = {tenant:String}" if tenant else "1"
    query = QUERIES[what].replace("{tenant}", condition)
    names, rows = store.query_table(query, {"tenant": tenant} if tenant else None)
    return [dict(zip(names, row, strict=True)) for row in rows]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """What people say about the models that fit `model` (a pattern) and `provider` (empty: any)."""

    model: str
    provider: str = ""
    facts: Mapping[str, str] = field(default_factory=dict[str, str])

    def fits(self, record: Mapping[str, Any]) -> bool:
        """Say whether the entry is about this model, by its own name or by one that it was asked for by."""
        if self.provider and self.provider != record.get("provider"):
            return False
        names = [str(record.get("model", "")), *map(str, record.get("requested_as", ()))]
        return any(fnmatchcase(name.lower(), self.model.lower()) for name in names)


def find_inventory(directory: Path) -> Path | None:
    """Return the inventory file of a directory, if it has one."""
    return next((directory / name for name in FILE_NAMES if (directory / name).is_file()), None)


def read_inventory(path: Path) -> list[ModelEntry]:
    """Read an inventory file. Raises ConfigurationError with what to do."""
    try:
        document = _parsed(path)
    except OSError as error:
        raise ConfigurationError(f"expected to read {path}, got: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(
            f"expected a list `models` in {path}, got a file that cannot be read: {error}"
        ) from error
    entries = document.get("models") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ConfigurationError(f"expected a list `models` in {path}, got none: see `spanledger models --help`")
    return [_entry(entry, f"{path}, entry {number}") for number, entry in enumerate(entries, 1)]


def _parsed(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".toml":
        return tomllib.loads(text)
    if path.suffix == ".json":
        return json.loads(text)
    try:
        yaml = import_module("yaml")
    except ImportError as error:
        raise ConfigurationError(
            f"expected PyYAML for {path}, got none: pip install 'spanledger[yaml]', or write it as .toml or .json"
        ) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _entry(entry: Any, where: str) -> ModelEntry:
    if not isinstance(entry, dict) or not entry.get("model"):
        raise ConfigurationError(f"expected `model: NAME` in {where}, got {entry!r:.80}")
    facts = {str(key): str(value) for key, value in entry.items() if key not in ("model", "provider")}
    return ModelEntry(str(entry["model"]), str(entry.get("provider") or ""), facts)


def with_responsibility(used: Sequence[Record], entries: Sequence[ModelEntry]) -> list[Record]:
    """Join use and entries: `inventory` is `listed`, `not listed`, or `not used` for an entry without use."""
    fields = ["owner", "purpose", "validation", *(name for entry in entries for name in entry.facts)]
    names = list(dict.fromkeys(fields))
    joined: list[Record] = []
    seen: set[int] = set()
    for record in used:
        number = next((number for number, entry in enumerate(entries) if entry.fits(record)), None)
        if number is not None:
            seen.add(number)
        facts = entries[number].facts if number is not None else {}
        status = "not listed" if number is None else "listed"
        joined.append({**record, "inventory": status, **{name: facts.get(name, "") for name in names}})
    for number, entry in enumerate(entries):
        if number not in seen:
            blank = dict.fromkeys(used[0]) if used else {}
            unused = {**blank, "provider": entry.provider, "model": entry.model, "calls": 0, "inventory": "not used"}
            joined.append({**unused, **{name: entry.facts.get(name, "") for name in names}})
    return joined
