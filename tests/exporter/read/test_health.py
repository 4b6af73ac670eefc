"""What `doctor` finds about the store, keys and anchors: what stops the next seal is said before it is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from attacks.attacked_store import AttackedStore, make_base, settings_of
from spanledger_exporter.read.health import Check, examine


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a sealed ledger."""
    return make_base(tmp_path_factory.mktemp("health") / "base")


def found(directory: Path, name: str, *, anchors: str = "directory") -> Check:
    """Return one check of a data directory."""
    checks = {check.name: check for check in examine(replace(settings_of(directory), anchors=anchors))}
    return checks[name]


def test_a_good_key_is_named_with_its_trust_root(base: Path) -> None:
    """Which key signs, and which version of the trust root lets it."""
    check = found(base, "keys")
    assert check.status == "ok"
    assert "trust root version 1" in check.found


def test_a_key_that_others_may_read_stops_the_sealer_and_is_a_problem(base: Path, tmp_path: Path) -> None:
    """A lost one is for attention only: a reader's machine never had it."""
    store = AttackedStore.copy(base, tmp_path / "copy")
    (key,) = (store.directory / "keys").glob("????????.key")
    key.chmod(0o644)
    check = found(store.directory, "keys")
    assert (check.status, "chmod 600" in check.found) == ("problem", True)
    key.unlink()
    assert found(store.directory, "keys").status == "attention"


def test_a_store_that_everybody_may_read_is_named(base: Path, tmp_path: Path) -> None:
    """Ours is not; one that was made by an earlier version or by hand may be."""
    store = AttackedStore.copy(base, tmp_path / "copy")
    place = settings_of(store.directory).store_directory
    assert place.stat().st_mode & 0o077 == 0
    assert found(store.directory, "directory").status == "ok"
    place.chmod(0o755)
    check = found(store.directory, "directory")
    assert (check.status, check.advice) == ("attention", f"chmod o= {place}")


def test_a_damaged_trust_root_is_a_problem(base: Path, tmp_path: Path) -> None:
    """Half a file, as a full disk leaves it."""
    store = AttackedStore.copy(base, tmp_path / "copy")
    (root,) = (store.directory / "keys" / "trust-root").iterdir()
    root.write_bytes(root.read_bytes()[:100])
    check = found(store.directory, "keys")
    assert (check.status, "from its backup" in check.found) == ("problem", True)


def test_a_configured_anchor_without_the_newest_checkpoint_is_named(base: Path, tmp_path: Path) -> None:
    """The receipts of the others do not speak for it."""
    assert "behind" not in found(base, "anchor").advice
    check = found(base, "anchor", anchors=f"directory,directory:{tmp_path / 'far'}")
    assert check.status == "attention"
    assert f"directory {tmp_path / 'far'} has nothing" in check.advice
