"""Reads a spool back the way a verifier would: every link recomputed, every reference resolved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.ledger.content import Content, content_ref
from spanledger_exporter.ledger.row import Row, genesis_hash, make_row
from spanledger_exporter.spool.reader import ChainSpool, Damage, chains


@dataclass(frozen=True, slots=True)
class SpooledChain:
    """One chain, read whole and verified."""

    spool: ChainSpool
    rows: Sequence[Row]
    contents: Mapping[str, Content]
    damage: Sequence[Damage]

    @property
    def envelopes(self) -> list[dict[str, Any]]:
        return [orjson.loads(row.env) for row in self.rows]

    def events(self, *event_types: str) -> list[dict[str, Any]]:
        """Return the envelopes of these types, or of every type but `chain.*`."""
        wanted: Callable[[str], bool] = (
            event_types.__contains__ if event_types else lambda kind: not kind.startswith("chain.")
        )
        return [envelope for envelope in self.envelopes if wanted(envelope["event_type"])]


def settings_for(directory: Path, **variables: str) -> Settings:
    """Return settings for a data directory; variables without their prefix."""
    environ = {f"SPANLEDGER_{name}": value for name, value in variables.items()}
    return load_settings({"SPANLEDGER_DIR": str(directory), **environ}, working_directory=directory)


def read_chain(spool: ChainSpool) -> SpooledChain:
    """Read and verify one chain: hashes, links, numbers, times, and that content precedes its row."""
    rows: list[Row] = []
    contents: dict[str, Content] = {}
    damage: list[Damage] = []
    for frame in spool.read():
        match frame.record:
            case Row():
                _verify_row(frame.record, rows)
                _verify_references(frame.record, contents)
                rows.append(frame.record)
            case Content():
                _verify_content(frame.record)
                contents[frame.record.ref.hex()] = frame.record
            case Damage():
                damage.append(frame.record)
    return SpooledChain(spool, rows, contents, damage)


def read_spool(settings: Settings) -> list[SpooledChain]:
    """Read and verify every chain, in the order in which they began."""
    found = [read_chain(spool) for spool in chains(settings.spool_directory)]
    return sorted(found, key=lambda chain: chain.rows[0].time_ns if chain.rows else 0)


def _verify_row(row: Row, before: Sequence[Row]) -> None:
    previous = before[-1] if before else None
    prev_hash = previous.row_hash if previous else genesis_hash(row.chain_id)
    expected = make_row(
        chain_id=row.chain_id, seq=len(before), prev_hash=prev_hash, time_ns=row.time_ns, env=row.env, tenant=row.tenant
    )
    assert row == expected, f"row {row.seq} does not continue the chain"
    assert previous is None or row.time_ns >= previous.time_ns
    assert orjson.loads(row.env)["tenant"] == row.tenant


def _verify_content(content: Content) -> None:
    if content.data is not None:
        assert content.ref == content_ref(content.media, content.data)
        assert content.size == len(content.data)


def _verify_references(row: Row, contents: Mapping[str, Content]) -> None:
    envelope = orjson.loads(row.env)
    for item in [*envelope.get("input", ()), *envelope.get("output", ())]:
        assert item["ref"] in contents, "content must precede the row that refers to it"
