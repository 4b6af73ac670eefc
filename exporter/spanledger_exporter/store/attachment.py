"""Reading a live embedded store from another process: its tables, attached read-only to an engine of our own.

    $DIR/store/store/0ed/0edb…/rows.sql         ATTACH TABLE _ UUID 'c6de…' (…) ENGINE = MergeTree … SETTINGS …
    $DIR/store/store/c6d/c6de…/                 the parts

Each definition is replayed in a scratch engine with a read-only disk on the parts' directory. The engine looks for
new parts every second, table by table (`BESIDE_OWNER_STALE_S`). The owner keeps replaced parts for 480 seconds
(`old_parts_lifetime`), so that a query never loses a file under its feet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spanledger_exporter.errors import StoreError
from spanledger_exporter.store.address import DEFAULT_DATABASE
from spanledger_exporter.store.links import definitions_directory
from spanledger_exporter.store.scratch import Scratch

REFRESH_S = 1
BESIDE_OWNER_STALE_S = 2.0
"""How far behind its owner such a reader may be: one interval, and as long again on a busy machine."""

_HEAD = re.compile(r"\AATTACH (TABLE|VIEW) _ UUID '([0-9a-f-]{36})'")


class ScratchEngine(Protocol):
    """The engine that the tables are attached to: an open `connection.Store`."""

    def command(self, sql: str, /) -> None:
        """Run a statement. Raises StoreError."""

    def use_database(self) -> None:
        """Let unqualified names mean our database."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One table or view of the store, as its owner's engine wrote it down."""

    name: str
    kind: str
    uuid: str
    body: str

    def statement(self, directory: Path) -> str:
        """Return the CREATE statement for the scratch engine."""
        head = f"CREATE {self.kind} {DEFAULT_DATABASE}.`{self.name}` {self.body}"
        if self.kind == "VIEW":
            return head
        parts = directory / "store" / self.uuid[:3] / self.uuid
        quoted = str(parts).replace("\\", "\\\\").replace("'", "\\'")
        return (
            f"{head}, disk = disk(type = object_storage, object_storage_type = local, metadata_type = plain, "
            f"path = '{quoted}/', readonly = 1), table_disk = 1, refresh_parts_interval = {REFRESH_S}"
        )


@dataclass(frozen=True, slots=True)
class Attachment:
    """A scratch directory for an engine, and the store directory whose tables go in."""

    directory: Path
    scratch: Scratch

    @classmethod
    def of(cls, directory: Path) -> Attachment:
        """Prepare to read the store in `directory`. Raises StoreError when there is no room for a scratch directory."""
        try:
            return cls(directory, Scratch.make())
        except OSError as error:
            raise StoreError(
                f"expected a temporary directory for reading beside the store's owner, got: {error}: check TMPDIR"
            ) from error

    def close(self) -> None:
        """Remove the scratch directory."""
        self.scratch.remove()

    def attach(self, store: ScratchEngine) -> None:
        """Create every table and view of the directory in `store`, the scratch engine."""
        store.command(f"CREATE DATABASE IF NOT EXISTS {DEFAULT_DATABASE}")
        store.use_database()
        definitions = read_definitions(self.directory)
        for table in (definition for definition in definitions if definition.kind == "TABLE"):
            store.command(table.statement(self.directory))
        _create_views(store, [definition for definition in definitions if definition.kind == "VIEW"], self.directory)


def read_definitions(directory: Path) -> list[Definition]:
    """Return the tables and views that the owner's engine keeps in `directory`."""
    metadata = definitions_directory(directory, DEFAULT_DATABASE)
    try:
        files = sorted(metadata.glob("*.sql"))
        texts = [(file.stem, file.read_text(encoding="utf-8")) for file in files]
    except OSError as error:
        raise StoreError(f"expected to read the table definitions in {metadata}, got: {error}") from error
    return [_definition(name, text) for name, text in texts if _HEAD.match(text)]


def _definition(name: str, text: str) -> Definition:
    head = _HEAD.match(text)
    assert head is not None  # noqa: S101 - the caller asked
    return Definition(name, head[1], head[2], text[head.end() :].strip())


def _create_views(store: ScratchEngine, views: list[Definition], directory: Path) -> None:
    """Create views in an order in which each finds what it selects from: those that fail wait for the others."""
    while views:
        waiting: list[Definition] = []
        failure: StoreError | None = None
        for view in views:
            try:
                store.command(view.statement(directory))
            except StoreError as error:
                waiting.append(view)
                failure = error
        if len(waiting) == len(views):
            assert failure is not None  # noqa: S101 - every one of them failed
            raise failure
        views = waiting
