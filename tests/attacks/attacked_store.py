"""A real ledger on disk, and the hands of an attacker who may do everything to the store but holds no key.

The base is written once by our own recorder, shipper and sealer, then copied for every attack. Attacks leave no
mutation behind where they can avoid it: they build a second table and exchange the two, as somebody who knows that
`verify` reads `system.mutations` would.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from spanledger_exporter.cli import main
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.ledger.content import Content, content_ref
from spanledger_exporter.ledger.row import make_row
from spanledger_exporter.recorder import Recorder, open_recorder
from spanledger_exporter.ship.shipper import drain
from spanledger_exporter.store.connection import open_store
from spanledger_exporter.verify.source import RowTuple

TEXT = "text/plain; charset=utf-8"
ROW_COLUMNS = "tenant, chain_id, seq, prev_hash, time_ns, env, env_hash, row_hash"


def settings_of(directory: Path) -> Settings:
    """Return the settings of a data directory."""
    return load_settings({"SPANLEDGER_DIR": str(directory)}, working_directory=directory.parent)


def record_calls(recorder: Recorder, count: int, *, word: str = "question") -> None:
    """Record model calls, each with a text of its own."""
    for number in range(count):
        data = f"{word} {number}".encode()
        ref = content_ref(TEXT, data)
        reference = {"role": "user", "type": "text", "ref": ref.hex(), "bytes": len(data), "media": TEXT}
        envelope = {
            "event_type": "model_call",
            "trace_id": f"{number % 3:032x}",
            "context": {"case_id": f"CASE-{number % 2}"},
            "input": [{**reference, "class": "payload"}],
            "usage": {"input_tokens": number + 10},
            "cost": {"usd": "0.0125"},
            "outcome": "success",
        }
        recorder.record(envelope, [Content(ref, "payload", TEXT, len(data), data)])


def ship(settings: Settings) -> None:
    """Bring the spool into the store."""
    with open_store(settings, role="owner") as store:
        drain(settings, store)


def make_base(directory: Path) -> Path:
    """Write a ledger of two chains, shipped and sealed twice; return its data directory."""
    settings = settings_of(directory)
    for _ in range(2):
        with open_recorder(settings, role="application") as recorder:
            record_calls(recorder, 6)
        ship(settings)
        assert command(directory, "seal")[0] == 0
    return directory


def command(directory: Path, *arguments: str) -> tuple[int, str]:
    """Run `spanledger …` on a data directory; return exit status and stdout."""
    out = io.StringIO()
    with (
        patch.dict(os.environ, {"SPANLEDGER_DIR": str(directory)}),
        redirect_stdout(out),
        redirect_stderr(io.StringIO()),
    ):
        status = main(arguments)
    return status, out.getvalue()


@dataclass(slots=True)
class AttackedStore:
    """One copy of the base, to be damaged."""

    directory: Path

    @classmethod
    def copy(cls, base: Path, to: Path) -> AttackedStore:
        """Return a copy; a data directory survives being copied."""
        shutil.copytree(base, to, symlinks=True)
        return cls(to)

    @property
    def settings(self) -> Settings:
        """The settings of this copy."""
        return settings_of(self.directory)

    def sql(self, *statements: str) -> None:
        """Run statements as the owner of the store."""
        with open_store(self.settings, role="owner") as store:
            for statement in statements:
                store.command(statement)

    def query(self, sql: str, *, binary: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
        """Read from the store."""
        with open_store(self.settings, role="owner") as store:
            return store.query(sql, binary=binary)

    def rows(self) -> list[RowTuple]:
        """Return every row as the verifier reads it, in order of chain and seq."""
        sql = (
            "SELECT chain_id, seq, prev_hash, time_ns, env, env_hash, row_hash, tenant FROM rows ORDER BY chain_id, seq"
        )
        return [tuple(row) for row in self.query(sql, binary=("env",))]

    def replace_rows(self, rows: list[RowTuple]) -> None:
        """Put `rows` in place of the stored ones without a trace: a new table takes the name of the old one."""
        values = [(tenant, *row[:4], row[4], row[5], row[6]) for *row, tenant in rows]
        with open_store(self.settings, role="owner") as store:
            store.command("CREATE TABLE forged AS rows")
            store.insert("forged", ROW_COLUMNS.split(", "), values)
            store.command("EXCHANGE TABLES forged AND rows")
            store.command("DROP TABLE forged SYNC")

    def rewrite(self, table: str, select: str) -> None:
        """Replace a table by a SELECT over it, without a mutation."""
        found = self.query(
            "SELECT name FROM system.columns WHERE database = currentDatabase() "
            f"AND table = '{table}' AND default_kind != 'MATERIALIZED' ORDER BY position"
        )
        columns = ", ".join(f"`{name}`" for (name,) in found)
        self.sql(
            f"CREATE TABLE forged AS {table}",
            f"INSERT INTO forged ({columns}) {select.replace('*', columns, 1)}",
            f"EXCHANGE TABLES forged AND {table}",
            "DROP TABLE forged SYNC",
        )

    def verify(self, *options: str) -> tuple[int, dict[str, Any]]:
        """Run `spanledger verify --json`; return exit status and verdict."""
        status, out = command(self.directory, "verify", "--json", *options)
        return status, json.loads(out)


def rehashed(rows: list[RowTuple]) -> list[RowTuple]:
    """Return the chain again with every hash and link made right, as an attacker who knows the format would."""
    done: list[RowTuple] = []
    heads: dict[bytes, bytes] = {}
    for chain, seq, prev_hash, time_ns, env, _, _, tenant in rows:
        link = heads.get(chain, prev_hash)
        row = make_row(chain_id=chain, seq=seq, prev_hash=link, time_ns=time_ns, env=env, tenant=tenant)
        heads[chain] = row.row_hash
        done.append((chain, seq, link, time_ns, env, row.env_hash, row.row_hash, tenant))
    return done
