"""The append-only directory: the default anchor, and the weakest.

    <directory>/checkpoints/00000000000000001208      the signed note
    <directory>/chains/<chain hex>.json               {"chain","row_hash","time_ns"} of row 0

Rules
- A file appears whole and at once (written aside, then linked to its name, which fails if the name exists), and is
  never written again.
- It is as strong as its place: in the data directory it falls with the store. On another machine, another account, a
  write-once mount or a directory with `chattr +a` it is worth more.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spanledger_exporter.anchors.anchor import AnchorConflictError, AnchorError, Submission, checkpoint_name, claim_of
from spanledger_exporter.directories import make_directory
from spanledger_exporter.ledger.chain_registry import ChainOpening, format_opening, parse_opening_or_none
from spanledger_exporter.ledger.note import MAX_NOTE_BYTES
from spanledger_exporter.whole_file import create_whole


class DirectoryAnchor:
    """An anchor and archive in a directory."""

    kind = "directory"

    def __init__(self, directory: Path, *, target: str = "") -> None:
        self.directory = directory
        self.target = target or str(directory)

    def publish(self, submission: Submission) -> str:
        """Put the note under its size; the receipt is the file's name in the directory."""
        receipt = f"checkpoints/{checkpoint_name(submission.size)}"
        self._create(self.directory / receipt, submission.note.encode())
        return receipt

    def newest(self) -> str | None:
        """Return the note with the largest size."""
        try:
            names = [path.name for path in (self.directory / "checkpoints").iterdir() if _is_checkpoint(path.name)]
            if not names:
                return None
            with (self.directory / "checkpoints" / max(names)).open("rb") as stream:
                # Other bytes than a note are no outage: they are returned, and do not hold.
                return stream.read(MAX_NOTE_BYTES).decode("utf-8", "replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AnchorError(f"expected readable checkpoints in {self.directory}, got: {error}") from error

    def register_chain(self, opening: ChainOpening) -> None:
        """Put a chain into the registry; the writer usually has done so already."""
        self._create(self.directory / "chains" / f"{opening.chain.hex()}.json", format_opening(opening))

    def chains(self) -> Mapping[bytes, ChainOpening | None]:
        """Return the registry."""
        try:
            paths = sorted((self.directory / "chains").glob("*.json"))
            return {
                bytes.fromhex(path.stem): parse_opening_or_none(path.read_bytes())
                for path in paths
                if _is_chain(path.stem)
            }
        except OSError as error:
            raise AnchorError(f"expected a readable chain registry in {self.directory}, got: {error}") from error

    def _create(self, path: Path, data: bytes) -> None:
        try:
            make_directory(path.parent)
            held = _create_or_read(path, data)
        except OSError as error:
            raise AnchorError(f"expected to write {path}, got: {error}") from error
        if claim_of(held) != claim_of(data):
            raise AnchorConflictError(
                f"expected {path} to hold what the store says, got another history: "
                "keep both, stop sealing, and find out who wrote the other"
            )


def _create_or_read(path: Path, data: bytes) -> bytes:
    """Make the file if there is none, and return what it holds."""
    try:
        create_whole(path, data)
    except FileExistsError:
        return path.read_bytes()
    return data


def _is_checkpoint(name: str) -> bool:
    return len(name) == 20 and name.isascii() and name.isdecimal()


def _is_chain(name: str) -> bool:
    return len(name) == 32 and not set(name) - set("0123456789abcdef")
