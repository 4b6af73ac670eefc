"""What somebody who can write to the spool can do to rows that wait there for the shipper.

The attacker knows the format: every frame gets its right checksum again. `ATTACKS` says of each whether it must be
found, or is the residual that ledger.md section 1 names: rows that no anchored checkpoint covers yet.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from spanledger_exporter.ledger.content import Content
from spanledger_exporter.ledger.row import Row, make_row
from spanledger_exporter.spool.format import format_content, format_header, format_row
from spanledger_exporter.spool.reader import ChainSpool, chains

Record = Row | Content
Edit = Callable[[list[Record]], Sequence[Record]]
Expected = Literal["tampered", "residual"]


@dataclass(frozen=True, slots=True)
class SpoolAttack:
    """One edit of the waiting chain's frames."""

    name: str
    what: str
    edit: Edit
    expected: Expected = "tampered"


def waiting_chain(directory: Path) -> ChainSpool:
    """Return the one chain of the spool that was not shipped."""
    (chain,) = [chain for chain in chains(directory / "spool") if not (chain.directory / "cursor.json").exists()]
    return chain


def attack(directory: Path, edit: Edit) -> None:
    """Rewrite the waiting chain's spool."""
    chain = waiting_chain(directory)
    records = [frame.record for frame in chain.read() if isinstance(frame.record, Row | Content)]
    frames = [format_row(item) if isinstance(item, Row) else format_content(item) for item in edit(records)]
    chain.path(0).write_bytes(b"".join([format_header(chain.chain_id, 0), *frames]))


def _rows(records: Sequence[Record]) -> list[Row]:
    return [record for record in records if isinstance(record, Row)]


def _changed(records: Sequence[Record], seq: int, row: Row) -> list[Record]:
    return [row if isinstance(record, Row) and record.seq == seq else record for record in records]


def _edit(records: list[Record]) -> Sequence[Record]:
    row = _rows(records)[3]
    return _changed(records, 3, replace(row, env=row.env.replace(b"success", b"failure")))


def _delete(records: list[Record]) -> Sequence[Record]:
    return [record for record in records if not (isinstance(record, Row) and record.seq == 3)]


def _reorder(records: list[Record]) -> Sequence[Record]:
    third, fourth = _rows(records)[3:5]
    return _changed(_changed(records, 3, replace(fourth, seq=3)), 4, replace(third, seq=4))


def _insert(records: list[Record]) -> Sequence[Record]:
    row = _rows(records)[3]
    return [*records, replace(row, seq=len(_rows(records)) + 1)]


def _replay(records: list[Record]) -> Sequence[Record]:
    row = _rows(records)[3]
    return [*records, replace(row, seq=len(_rows(records)))]


def _rehash(records: list[Record], start: int) -> list[Record]:
    done: list[Record] = []
    head = b""
    for record in records:
        if isinstance(record, Row):
            env = record.env.replace(b"success", b"failure") if record.seq == start else record.env
            env = env.replace(b'"role":"application"', b'"role":"hackerxxxxx"') if start == record.seq == 0 else env
            link = head or record.prev_hash
            record = make_row(  # noqa: PLW2901 - the re-hashed twin takes its place
                chain_id=record.chain_id,
                seq=record.seq,
                prev_hash=link,
                time_ns=record.time_ns,
                env=env,
                tenant=record.tenant,
            )
            head = record.row_hash
        done.append(record)
    return done


def _backdate(records: list[Record]) -> Sequence[Record]:
    row = _rows(records)[3]
    return _changed(records, 3, replace(row, time_ns=row.time_ns - 365 * 86_400 * 10**9))


def _swap_content(records: list[Record]) -> Sequence[Record]:
    return [r._replace(data=b"another text", size=12) if isinstance(r, Content) else r for r in records]


def _drop_content(records: list[Record]) -> Sequence[Record]:
    return _rows(records)


def _truncate(records: list[Record]) -> Sequence[Record]:
    return records[:-2]


def _empty(records: list[Record]) -> Sequence[Record]:
    return ()


ATTACKS: Mapping[str, SpoolAttack] = {
    attack.name: attack
    for attack in (
        SpoolAttack("edit", "change one envelope and leave its hashes", _edit),
        SpoolAttack("delete", "take one row out of the middle", _delete),
        SpoolAttack("insert", "append a copy of a row behind a gap", _insert),
        SpoolAttack("reorder", "exchange two rows", _reorder),
        SpoolAttack("replay", "append a copy of an earlier row", _replay),
        SpoolAttack("backdate", "make one row a year older", _backdate),
        SpoolAttack("swap content", "put other bytes under every reference", _swap_content),
        SpoolAttack("drop content", "take the contents out and leave the rows", _drop_content),
        SpoolAttack("re-hash from row 0", "change row 0 and make every hash right", lambda r: _rehash(r, 0)),
        SpoolAttack("drop a chain", "take every frame of the chain out", _empty),
        SpoolAttack("re-hash the rest", "change row 3 and make every hash right", lambda r: _rehash(r, 3), "residual"),
        SpoolAttack("truncate", "cut the newest rows", _truncate, "residual"),
    )
}


def remove_chain(directory: Path) -> None:
    """Remove the waiting chain's spool directory."""
    shutil.rmtree(waiting_chain(directory).directory)
