"""Files that are there as a whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from spanledger_exporter.whole_file import create_whole, replace_whole


def test_a_file_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    """The first one stays as it is, and nothing else is left behind."""
    path = tmp_path / "a"
    create_whole(path, b"first", mode=0o600)
    with pytest.raises(FileExistsError):
        create_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither half of the new ones nor a draft."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a"
    replace_whole(path, b"old")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            replace_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    replace_whole(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_draft_of_a_process_that_died_is_no_hindrance(tmp_path: Path) -> None:
    """Process numbers come again."""
    (tmp_path / f".a.{os.getpid()}.part").write_bytes(b"half")
    create_whole(tmp_path / "a", b"whole")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
