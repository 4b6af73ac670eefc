"""The tables of recorded and unrecorded methods are complete for the installed SDKs, and say what the patches do."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from spanledger.invocation import Patch, Telemetry
from spanledger.openai import OpenAIInstrumentor

INSTRUMENTATION = Path(__file__).resolve().parent.parent / "instrumentation"

HOUSEKEEPING = frozenset(
    {
        "ack", "add", "archive", "cancel", "complete", "content", "count", "create_and_poll", "delete", "download",
        "download_content", "download_recording", "for_result", "get_character", "hangup", "heartbeat", "list",
        "list_events", "list_files", "list_items", "parse_unverified", "pause", "poll", "prepare", "prepare_directory",
        "redact", "refer", "reject", "resume", "retrieve", "retrieve_content", "retrieve_metadata", "reveal_token",
        "rotate_secret", "rotate_token", "stats", "stop", "test", "unpause", "unwrap", "update", "upload",
        "upload_and_poll", "upload_file_chunked", "validate", "verify_signature", "wait_for_processing",
    }
)  # fmt: skip
"""Methods that read, change or remove what is there already, wherever they are; what is not so is in a table."""

MAKES_NO_ANSWER = re.compile(
    r"(admin|organization|beta\.organization|files|beta\.files|uploads|containers|conversations|skills|beta\.skills"
    r"|webhooks|beta\.webhooks|vector_stores|evals|evals\.output_items|models|user_profiles|beta\.user_profiles"
    r"|beta\.(vaults|tunnels|environments|memory_stores|assistants|deployments|agents)"
    r"|beta\.agents\.(vaults|environments|automations)|beta\.threads(\.messages)?|fine_tuning\.checkpoints)"
    r"(\.[a-z_]+)*\.create(_enrollment_url|_and_poll)?$"
    r"|.*\.(upload|mcp_oauth_validate)$|(admin|organization|beta\.organization)\."
)
"""Methods that set something up, and make no model work."""


def tables(library: str) -> tuple[set[str], set[str]]:
    """Read the methods that the library's page lists as recorded and as not recorded."""
    text = (INSTRUMENTATION / f"{library.upper()}.md").read_text(encoding="utf-8")
    recorded, _, others = text[text.index("# Recorded\n") :].partition("# Not recorded\n")
    return _first_cells(recorded), _first_cells(others.partition("\n#")[0])


def _first_cells(text: str) -> set[str]:
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([a-z_.]+)`", row)}


def methods(library: str) -> Iterator[tuple[str, type]]:
    """Yield every public method of the SDK's sync resources, by the path that an application writes."""
    base: Any = importlib.import_module(f"{library}._resource").SyncAPIResource
    package: Any = importlib.import_module(f"{library}.resources")
    for found in pkgutil.walk_packages(package.__path__, f"{library}.resources."):
        for kind in vars(importlib.import_module(found.name)).values():
            if inspect.isclass(kind) and kind.__module__ == found.name and issubclass(kind, base):
                parts = found.name.split(".")[2:]
                path = ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == parts[-2] else parts)
                yield from (
                    (f"{path}.{name}", kind)
                    for name, member in vars(kind).items()
                    if inspect.isfunction(member) and not name.startswith("_")
                )


@pytest.mark.parametrize("library", ["openai", "anthropic"])
def test_every_method_that_may_generate_is_in_one_of_the_tables(library: str) -> None:
    """A release of the SDK that brings a new one fails here until somebody has decided."""
    recorded, others = tables(library)
    known = recorded | others
    new = {
        name
        for name, _kind in methods(library)
        if name not in known and name.rpartition(".")[2] not in HOUSEKEEPING and not MAKES_NO_ANSWER.match(name)
    }
    assert new == set()


@pytest.mark.parametrize("library", ["openai", "anthropic"])
def test_the_tables_name_methods_that_exist_and_none_twice(library: str) -> None:
    """A method that the SDK dropped is taken off its table."""
    recorded, others = tables(library)
    assert len(recorded) > 5
    assert recorded & others == set()
    assert (recorded | others) - {name for name, _kind in methods(library)} == set()


def test_the_recorded_methods_of_openai_are_the_patched_ones() -> None:
    """Sync and async; the stream helpers go through `create`, and the SDK's parsers are no methods."""
    patched = {"": set[str](), "Async": set[str]()}
    for patch in OpenAIInstrumentor().patches(Telemetry("test")):
        owner, _, name = patch.target.rpartition(".")
        if owner:
            parts = patch.module.split(".")[2:]
            path = ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == parts[-2] else parts)
            patched["Async" if owner.startswith("Async") else ""].add(f"{path}.{name}")
    recorded, _ = tables("openai")
    helpers = {"chat.completions.stream", "responses.stream"}
    assert patched[""] == patched["Async"] == recorded - helpers


def is_there(patch: Patch) -> bool:
    """Say whether the installed SDK has what `patch` wraps."""
    if find_spec(patch.module) is None:
        return False
    found: Any = importlib.import_module(patch.module)
    for name in patch.target.split("."):
        found = vars(found).get(name) if found is not None else None
    return found is not None


def test_what_is_patched_is_there_in_the_installed_sdk() -> None:
    """A renamed method would otherwise go unobserved without a word."""
    patches = OpenAIInstrumentor().patches(Telemetry("test"))
    present = {patch for patch in patches if is_there(patch)}
    moved = {patch.target for patch in present if "." not in patch.target}  # functions, older releases: elsewhere
    assert [patch for patch in patches if patch not in present and patch.target not in moved] == []
