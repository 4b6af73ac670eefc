"""A sealed store with the story of two tenants, and consoles over it."""

from __future__ import annotations

from collections.abc import Generator
from hashlib import sha256
from pathlib import Path

import pytest

from ledger_story import CASES, tell
from ledgers import Ledger
from served_console import TOKENS, Served, command, serving
from spanledger_exporter.config import load_settings
from spanledger_exporter.store.connection import open_store
from spanledger_exporter.store.schema import ensure_schema


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory: the story of tenant `default`, sealed, and one case of tenant `other`."""
    place = tmp_path_factory.mktemp("console")
    settings = load_settings({"SPANLEDGER_DIR": str(place)}, working_directory=place)
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        for tenant, cases in (("default", CASES), ("other", CASES[3:4])):
            ledger = Ledger(tenant=tenant)
            tell(ledger, cases)
            ledger.write(store)
    assert command(place, "seal").returncode == 0
    return place


@pytest.fixture(scope="session")
def console(story: Path) -> Generator[Served]:
    """Yield an open console on loopback."""
    with serving(story) as served:
        yield served


@pytest.fixture(scope="session")
def guarded(story: Path) -> Generator[Served]:
    """Yield a console that people sign in to: maria sees everything, otto only tenant `other`."""
    people = story / "people.txt"
    digests = {name: sha256(token.encode()).hexdigest() for name, token in TOKENS.items()}
    people.write_text(f"# who may sign in\nmaria {digests['maria']}\notto {digests['otto']} other\n")
    with serving(story, "--people", str(people)) as served:
        yield served
