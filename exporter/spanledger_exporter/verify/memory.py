"""What this verifier saw last time: the newest checkpoint of each log, in a file of the verifier's own.

    {"spanledger/7c1f2a90b3d4e5f6":{"root":"CsUY…","size":1208}}

Rules
- Memory is kept by log. Nothing is remembered of a log whose keys the verifier was not given, and nothing is held
  against one log that was seen of another.
- A log that no longer extends what was seen is a fork or a rollback, even when every anchor agrees with it.
- The file is the verifier's memory, not part of the ledger; it is replaced whole, and only after a verdict that found
  no tampering.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Collection
from pathlib import Path

import orjson

from spanledger_exporter.errors import ConfigurationError, ProofError
from spanledger_exporter.ledger.checkpoint import Checkpoint, parse_checkpoint
from spanledger_exporter.verify.checkpoints import KnownCheckpoint
from spanledger_exporter.verify.verdict import Findings
from spanledger_exporter.whole_file import replace_whole


def default_memory_path() -> Path:
    """Return where a user's verifications remember: outside the data directory, which may be the suspect's."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "spanledger" / "checkpoints.json"


def load_memory(path: Path, *, origins: Collection[str] | None) -> list[KnownCheckpoint]:
    """Return what was seen of `origins`, or of every log. Raises ConfigurationError for a file that does not parse."""
    try:
        told = orjson.loads(path.read_bytes())
        # As strict as a note: a memory that was tampered with must not accuse the ledger.
        seen = [parse_checkpoint(f"{name}\n{item['size']}\n{item['root']}\n") for name, item in told.items()]
    except FileNotFoundError:
        return []
    except (OSError, ProofError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"expected remembered checkpoints in {path}, got: {error}; move it away") from error
    place = f"the checkpoint remembered in {path}"
    return [
        KnownCheckpoint(checkpoint, place) for checkpoint in seen if origins is None or checkpoint.origin in origins
    ]


def save_memory(path: Path, checkpoint: Checkpoint) -> None:
    """Remember `checkpoint` as the newest of its log. Raises ConfigurationError where that cannot be written."""
    known = {item.checkpoint.origin: item.checkpoint for item in load_memory(path, origins=None)}
    known[checkpoint.origin] = checkpoint
    told = {name: {"size": item.size, "root": b64encode(item.root).decode()} for name, item in known.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, orjson.dumps(told, option=orjson.OPT_SORT_KEYS))
    except OSError as error:
        raise ConfigurationError(f"expected to remember the checkpoint in {path}, got: {error}") from error


def note_memory(path: Path, remembered: Collection[KnownCheckpoint], findings: Findings) -> None:
    """Say in the verdict what the log was held against, so that a lost memory is not taken for a clean record."""
    for known in remembered:
        size = known.checkpoint.size
        reason = f"held against the checkpoint of size {size} remembered in {path}; every row was read, older ones too"
        findings.note("completeness", reason)
    if not remembered:
        findings.note("completeness", f"nothing of this log is remembered in {path}: held against nothing seen before")
