"""What tests of sealing share: a sealed ledger in a real engine, and an examiner that trusts nobody.

`Bench` opens one embedded engine and gives every test a database of its own in it, which takes milliseconds.
`examine` checks a sealed store from scratch, with the published definitions only (hashlib and the naive recursion),
so that a fault in the sealer's own code cannot hide behind itself.
"""

from __future__ import annotations

import itertools
import json
from base64 import b64decode
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from ledgers import ROW_COLUMNS, Ledger
from spanledger_exporter.anchors.anchor import Anchor
from spanledger_exporter.anchors.directory import DirectoryAnchor
from spanledger_exporter.config import Settings, load_settings
from spanledger_exporter.keys.key_ring import KeyRing, open_key_ring
from spanledger_exporter.ledger.note import parse_note, verify_note
from spanledger_exporter.seal.sealer import SealReport, seal
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema

NOW_NS = 1_793_700_000_000_000_000


@dataclass(slots=True)
class Bench:
    """One test's ledger, store, keys and anchors."""

    store: Store
    settings: Settings
    ledger: Ledger = field(default_factory=Ledger)
    now_ns: int = NOW_NS
    _written: int = 0

    @property
    def keys(self) -> KeyRing:
        """The key ring, read anew each time as a new process would."""
        return open_key_ring(self.settings)

    @property
    def anchors(self) -> list[Anchor]:
        """The default anchor."""
        return [DirectoryAnchor(self.settings.anchors_directory, target="anchors")]

    def ship(self) -> None:
        """Insert the rows that are not in the store yet."""
        rows = list(self.ledger.row_values())[self._written :]
        if rows:
            self.store.insert("rows", ROW_COLUMNS, rows)
        self._written += len(rows)

    def clock(self) -> int:
        """Tick by a second each time."""
        self.now_ns += 10**9
        return self.now_ns

    def seal(self, **more: Any) -> SealReport:
        """Seal as one run of the command does."""
        options: dict[str, Any] = {
            "settings": self.settings,
            "keys": self.keys,
            "anchors": self.anchors,
            "clock": self.clock,
            **more,
        }
        store = options.pop("store", self.store)
        return seal(store, **options)

    def entries(self) -> list[dict[str, Any]]:
        """Return the log's entries."""
        return [json.loads(entry) for (entry,) in self.store.query("SELECT entry FROM log ORDER BY index")]

    def examine(self) -> int:
        """Examine everything; return how many rows are sealed."""
        return examine(self.store, self.keys, self.settings.anchors_directory)


@contextmanager
def open_engine(directory: Path) -> Generator[Callable[[], Bench]]:
    """Open one engine; what it yields makes a bench with a database and a data directory of its own."""
    settings = load_settings({"SPANLEDGER_DIR": str(directory)})
    numbers = itertools.count()
    with open_store(settings, role="owner") as store:

        def make() -> Bench:
            number = next(numbers)
            store.database = f"bench_{number}"
            ensure_schema(store)
            return Bench(store, replace(settings, directory=directory / f"data-{number}"))

        yield make


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """Return MTH(leaves) of RFC 6962 section 2.1."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def examine(store: Store, keys: KeyRing, anchors: Path) -> int:
    """Check log, checkpoints, segments and the directory anchor against each other; return the count of sealed rows."""
    log = store.query("SELECT index, entry, leaf_hash FROM log ORDER BY index", binary=["entry"])
    entries = [entry for _, entry, _ in log]
    assert [index for index, _, _ in log] == list(range(len(log))), "one entry at each index, without a gap"
    assert all(leaf == sha256(b"\x00" + entry).digest() for _, entry, leaf in log)
    checkpoints = store.query("SELECT size, root, note FROM checkpoints ORDER BY size")
    sizes = [size for size, _, _ in checkpoints]
    assert sizes == sorted(set(sizes)), "one checkpoint per size"
    for size, root, note in checkpoints:
        _examine_checkpoint(note, size, root, naive_root(entries[:size]), keys)
    assert not checkpoints or sizes[-1] == len(log), "the newest checkpoint covers the whole log"
    _examine_anchor(anchors, {size: note for size, _, note in checkpoints})
    return _examine_segments(store, [json.loads(entry) for entry in entries])


def _examine_checkpoint(note: str, size: int, root: bytes, expected_root: bytes, keys: KeyRing) -> None:
    origin, told_size, told_root = note.split("\n")[:3]
    assert (origin, int(told_size), b64decode(told_root)) == (keys.origin, size, root)
    assert root == expected_root
    assert verify_note(parse_note(note), keys.root.keys_for(size))


def _examine_anchor(anchors: Path, notes: dict[int, str]) -> None:
    held = {int(path.name): path.read_text() for path in (anchors / "checkpoints").glob("*") if path.name.isdecimal()}
    assert held.items() <= notes.items(), "nothing was published that is not stored"
    if notes:
        assert max(held) == max(notes), "the newest checkpoint is anchored"


def _examine_segments(store: Store, entries: list[dict[str, Any]]) -> int:
    sealed: dict[str, int] = {}
    for entry in entries:
        if entry["type"] != "segment":
            continue
        chain, first, last = entry["chain"], entry["first"], entry["last"]
        assert first == sealed.get(chain, 0), "segments of a chain follow each other"
        rows = store.query(
            "SELECT row_hash, tenant, time_ns FROM rows WHERE chain_id = unhex({chain:String}) "
            f"AND seq BETWEEN {first} AND {last} ORDER BY seq",
            {"chain": chain},
        )
        hashes = [row_hash for row_hash, _, _ in rows]
        assert bytes.fromhex(entry["root"]) == naive_root(hashes)
        assert bytes.fromhex(entry["head"]) == hashes[-1]
        assert {tenant for _, tenant, _ in rows} == {entry["tenant"]}
        assert len({time_ns // (86_400 * 10**9) for _, _, time_ns in rows}) == 1
        sealed[chain] = last + 1
    return sum(sealed.values())
