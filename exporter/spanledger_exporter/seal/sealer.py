"""Sealing: one function from unsealed rows to an anchored checkpoint. Recovery after a crash is the same function.

What is true if we die after each step of `seal`

    1  lease taken              nothing happened; the lease of a dead sealer is free (lease.py)
    2  log read, anchors asked  nothing happened
    3  entries inserted         they are pending: no checkpoint covers them. The next seal proves each of them again
                                (pending.py) and signs them; it never writes others in their place
    4  checkpoint signed        the signature is lost with us. The next one covers the same entries first, so that the
                                two could not disagree
    5  checkpoint persisted     it is the newest. Nobody outside has seen it; the next seal publishes it
    6  rotation finished        both keys signed 5; if we died before 6, the next seal finds the new key's signature
    7  published, receipts      an anchor that has it answers the same again; the next seal asks those without a receipt

Rules
- Entries go in before the checkpoint, the checkpoint before its publication: what outsiders see is always stored.
- The newest checkpoint in every archive must be a prefix of the log. A store that is older than its anchors is a copy
  from before: sealing on would make two histories, so it is refused.
- A checkpoint is signed only after a consistency proof from its predecessor verified.
- Inserts carry a token made of their place in the log and are read back: of two sealers at one place the engine keeps
  one, and the other stops (compare-and-set).
- A cut-off rotation whose trust root the keys here cannot sign waits for `keys rotate --sign`; until then the current
  key seals alone.
- Without news there is no checkpoint. Ends of chains and changed table definitions wait for news, or for a heartbeat.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from spanledger_exporter.anchors.anchor import Anchor, AnchorConflictError, AnchorError, Archive, Remembering
from spanledger_exporter.anchors.witnessed import find_foreign_size
from spanledger_exporter.config import Settings
from spanledger_exporter.errors import ProofError
from spanledger_exporter.keys.key_ring import KeyRing
from spanledger_exporter.ledger.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from spanledger_exporter.ledger.log_entry import format_entry, format_segment, parse_entry
from spanledger_exporter.ledger.merkle import CompactRange, leaf_hash, verify_consistency
from spanledger_exporter.ledger.note import (
    NoteSignature,
    Signer,
    VerifierKey,
    format_note,
    verify_signature,
)
from spanledger_exporter.ledger.trust_root import TrustRoot, open_trusted_checkpoint
from spanledger_exporter.seal.abandoned import find_abandoned
from spanledger_exporter.seal.errors import LeaseLostError, SealRefusedError
from spanledger_exporter.seal.lease import SealerLease, acquire_lease
from spanledger_exporter.seal.log_state import LogState, load_log, newest_checkpoint
from spanledger_exporter.seal.pending import OwnAct, adopt_pending, own_act
from spanledger_exporter.seal.publication import Publication, publish
from spanledger_exporter.seal.unsealed import ACTS, Act, Break, Harvest, Predecessor, find_unsealed, harvest
from spanledger_exporter.store.connection import Store
from spanledger_exporter.verify.tables import fingerprint, read_definitions

ENTRIES_PER_INSERT = 5_000


@dataclass(slots=True)
class SealReport:
    """What one seal did and found. `size` is that of the newest checkpoint, 0 for none."""

    size: int = 0
    root: bytes = b""
    note: str = ""
    is_new: bool = False
    rows: int = 0
    segments: int = 0
    entries: int = 0
    adopted: int = 0
    breaks: list[Break] = field(default_factory=list[Break])
    publications: list[Publication] = field(default_factory=list[Publication])
    warnings: list[str] = field(default_factory=list[str])
    log: LogState | None = None


def seal(
    store: Store,
    *,
    settings: Settings,
    keys: KeyRing,
    anchors: Sequence[Anchor],
    clock: Callable[[], int] = time.time_ns,
    acts: Sequence[OwnAct] = (),
    is_heartbeat_due: bool = False,
    known: LogState | None = None,
) -> SealReport:
    """Seal every provable row, sign and persist a checkpoint, and publish it; see the module's rules.

    `acts` are entries of the operator's own (type and fields, without `time`); `known` is an earlier report's `log`.
    Raises SealerBusyError, SealRefusedError, StoreError; bad rows and failing anchors are in the report instead.
    """
    with acquire_lease(store, settings) as lease:  # 1
        sealing = _Sealing(store, settings, keys, lease, clock)
        sealing.load(anchors, known)  # 2
        sealing.adopt(acts)
        sealing.collect(acts, is_heartbeat_due=is_heartbeat_due)  # 3
        sealing.commit()  # 4, 5, 6
        sealing.publish(anchors)  # 7
        return sealing.report


class _Sealing:
    """One run of `seal`."""

    def __init__(
        self, store: Store, settings: Settings, keys: KeyRing, lease: SealerLease, clock: Callable[[], int]
    ) -> None:
        self.store = store
        self.settings = settings
        self.keys = keys
        self.lease = lease
        self.report = SealReport()
        self.log = LogState()
        self.old_tree = CompactRange()
        self.new_entries: list[bytes] = []
        self.predecessors: list[Predecessor] = []
        self.now = clock()
        self._unsaved: list[bytes] = []

    # 2 ------------------------------------------------------------------------------------------------------------

    def load(self, anchors: Sequence[Anchor], known: LogState | None) -> None:
        """Read log and archives, and refuse to go on if they contradict each other."""
        root = self._root_after_cut_off_rotation()
        archived = list(self._archived(anchors, root))
        sizes = {signed.checkpoint.size for _, signed in archived}
        self.log = self.report.log = load_log(self.store, root, roots_at=sizes, known=known)
        for anchor, signed in archived:
            self._expect_prefix(anchor, signed.checkpoint)
        for anchor in anchors:
            if isinstance(anchor, Remembering):
                self._expect_remembered(anchor)
        self.old_tree = self.log.tree.copy()
        # An entry's time never precedes that of an earlier one, even if the clock was set back.
        self.now = max(self.now, self.log.last_time)

    def _root_after_cut_off_rotation(self) -> TrustRoot:
        root = self.keys.root
        pending = self._next_key()
        newest = newest_checkpoint(self.store, root) if pending is not None else None
        if pending is not None and newest is not None and _is_signed_by(newest, pending):
            self.keys.finish_rotation(newest.checkpoint.size)
            return self.keys.root
        return root

    def _next_key(self) -> VerifierKey | None:
        """Return the key of a rotation under way that can be finished here."""
        pending = self.keys.pending_key()
        if pending is None or self.keys.can_publish:
            return pending
        reason = "a key rotation waits for the root keys' signatures: `spanledger keys rotate --sign FILE` finishes it"
        if reason not in self.report.warnings:
            self.report.warnings.append(reason)
        return None

    def _archived(self, anchors: Sequence[Anchor], root: TrustRoot) -> Iterator[tuple[Anchor, SignedCheckpoint]]:
        for anchor in anchors:
            if not isinstance(anchor, Archive):
                continue
            try:
                note = anchor.newest()
            except AnchorError as error:
                self.report.warnings.append(f"anchor {anchor.kind} {anchor.target} could not be compared: {error}")
                continue
            if note is not None:
                yield anchor, _open_archived(anchor, note, root)

    def _expect_prefix(self, anchor: Anchor, archived: Checkpoint) -> None:
        place = f"{anchor.kind} {anchor.target}"
        if archived.size > self.log.size:
            raise self._older(place, archived.size)
        if self.log.roots[archived.size] != archived.root:
            raise SealRefusedError(
                f"expected the log's first {archived.size} entries to have the root that anchor {place} remembers, got "
                "another: two histories; keep both and find out which one was rewritten"
            )

    def _expect_remembered(self, witness: Remembering) -> None:
        """Refuse to sign a second history of what a witness cosigned; one that cannot be asked is told at step 7."""
        try:
            foreign = find_foreign_size(witness, self._signed_notes)
        except AnchorConflictError as error:
            raise SealRefusedError(f"{error}; keep both and find out which one was rewritten") from error
        except AnchorError:
            return
        if foreign:
            raise self._older(f"{witness.kind} {witness.target}", foreign)

    def _signed_notes(self, size: int | None) -> tuple[int, str] | None:
        newest = self.log.checkpoint
        if size is None:
            return None if newest is None else (newest.checkpoint.size, format_note(newest.note))
        for (note,) in self.store.query(f"SELECT note FROM checkpoints WHERE size = {size}"):
            with suppress(ProofError):  # what no key of ours signed is no question to a witness
                return open_trusted_checkpoint(str(note), self.keys.root).checkpoint.size, str(note)
        return None

    def _older(self, place: str, size: int) -> SealRefusedError:
        expected, got = f"a log of at least {size} entries, as", str(self.log.size)
        if size <= self.log.size:  # it went on from an older copy: only a witness can find that out
            expected, got = f"the checkpoint of size {size} that", f"none of that size under {self.log.size} entries"
        return SealRefusedError(
            f"expected {expected} anchor {place} remembers, got {got}: this store is an older copy, or its log was "
            "cut; restore the newer one. Sealing on would make two histories: if the newer one is lost for good, keep "
            "this store and the anchor as they are and go on with a new SPANLEDGER_DIR and store, whose log begins anew"
        )

    # 3 ------------------------------------------------------------------------------------------------------------

    def adopt(self, acts: Sequence[OwnAct]) -> None:
        """Prove what a dead sealer left unsigned, and take it over."""
        pending = self.keys.pending_key()
        rotation = None if pending is None else (self.keys.root.current.key, pending)
        adopted = adopt_pending(self.store, self.log, acts=acts, rotation=rotation, now_ns=self.now)
        self.now = max(self.now, self.log.last_time)
        self.new_entries += adopted
        self.report.adopted = len(adopted)

    def collect(self, acts: Sequence[OwnAct], *, is_heartbeat_due: bool) -> None:
        """Insert an entry for everything that is new."""
        for found in harvest(self.store, find_unsealed(self.store, self.log.chains), self.log.chains.copy()):
            if isinstance(found, Break):
                self.report.breaks.append(found)
            else:
                self._add_harvest(found)
        adopted = [own_act(parse_entry(entry)) for entry in self.new_entries[: self.report.adopted]]
        for kind, fields in acts:
            if (kind, fields) not in adopted:
                self._add(format_entry(kind, {**fields, "time": str(self.now)}))
        if self._has_news() or is_heartbeat_due:
            self._add_what_waited()
        if not self._has_news() and is_heartbeat_due:
            self._add(format_entry("heartbeat", {"time": str(self.now)}))
        self._save()

    def _has_news(self) -> bool:
        return bool(self.new_entries)

    def _add_harvest(self, found: Harvest) -> None:
        for act in found.acts:
            if act.event_type == "chain.open":
                self._add(self._place(act))
        self._add(format_segment(found.segment))
        for act in found.acts:
            if act.event_type != "chain.open":
                self._add(self._place(act))
        if found.predecessor is not None:
            self.predecessors.append(found.predecessor)
        self.report.rows += found.segment.last - found.segment.first + 1
        self.report.segments += 1

    def _place(self, act: Act) -> bytes:
        return format_entry(
            ACTS[act.event_type],
            {"chain": act.chain.hex(), "seq": act.seq, "row_hash": act.row_hash.hex(), "time": str(self.now)},
        )

    def _add_what_waited(self) -> None:
        definitions = fingerprint(read_definitions(self.store)).hex()
        if definitions != self.log.schema_fingerprint:
            if self.log.schema_fingerprint:
                self.report.warnings.append("the table definitions changed since the last seal; the log says so")
            self._add(format_entry("schema", {"fingerprint": definitions, "time": str(self.now)}))
        for chain, reason in find_abandoned(self.settings, self.log, self.predecessors):
            position = self.log.chains[chain]
            place = {"chain": chain.hex(), "seq": position.next_seq - 1, "row_hash": position.head.hex()}
            self._add(format_entry("chain-abandoned", {**place, "reason": reason, "time": str(self.now)}))

    def _add(self, entry: bytes) -> None:
        self.log.append(entry)
        self.new_entries.append(entry)
        self._unsaved.append(entry)
        if len(self._unsaved) >= ENTRIES_PER_INSERT:
            self._save()

    def _save(self) -> None:
        entries, self._unsaved = self._unsaved, []
        if not entries:
            return
        self.lease.check()
        first = self.log.size - len(entries)
        rows = [(first + n, entry.decode(), leaf_hash(entry)) for n, entry in enumerate(entries)]
        self.store.insert("log", ["index", "entry", "leaf_hash"], rows, token=f"log:{first}")
        stored = self.store.query(
            f"SELECT DISTINCT index, entry FROM log WHERE index >= {first} AND index < {first + len(rows)} "
            "ORDER BY index, entry"
        )
        if [(index, entry) for index, entry, _ in rows] != stored:
            raise LeaseLostError(f"expected my entries at log index {first}, got others: another sealer is at work")

    # 4, 5, 6 ------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Sign a checkpoint over everything, persist it, and let a rotation come into force."""
        if self._has_news():
            signed = self._sign()
            self._persist(signed)
            self.log.checkpoint = signed
            self.report.is_new, self.report.entries = True, len(self.new_entries)
            pending = self._next_key()
            if pending is not None and _is_signed_by(signed, pending):
                self.keys.finish_rotation(signed.checkpoint.size)
        newest = self.log.checkpoint
        if newest is not None:
            self.report.size, self.report.root = newest.checkpoint.size, newest.checkpoint.root
            self.report.note = format_note(newest.note)

    def _sign(self) -> SignedCheckpoint:
        root = self.keys.root
        checkpoint = Checkpoint(root.origin, self.log.size, self.log.tree.root())
        if self.old_tree.size:
            verify_consistency(
                old_size=self.old_tree.size,
                size=checkpoint.size,
                old_root=self.old_tree.root(),
                root=checkpoint.root,
                proof=self.old_tree.consistency_proof([leaf_hash(entry) for entry in self.new_entries]),
            )
        note = sign_checkpoint(checkpoint, self._signers(root))
        return open_trusted_checkpoint(format_note(note), root)  # a signer that fails silently is found here

    def _signers(self, root: TrustRoot) -> list[Signer]:
        pending = self._next_key()
        named = f'"new":"{pending.vkey}"'.encode() if pending is not None else None
        is_rotating = named is not None and any(named in entry for entry in self.new_entries)
        current = self.keys.signer_of(root.current.key)
        return [current, self.keys.signer_of(pending)] if is_rotating and pending is not None else [current]

    def _persist(self, signed: SignedCheckpoint) -> None:
        self.lease.check()
        size, root, note = signed.checkpoint.size, signed.checkpoint.root, format_note(signed.note)
        self.store.insert("checkpoints", ["size", "root", "note"], [(size, root, note)], token=f"checkpoint:{size}")
        stored = self.store.query(f"SELECT DISTINCT root FROM checkpoints WHERE size = {size}")
        if stored != [(root,)]:
            raise LeaseLostError(f"expected my checkpoint of size {size}, got another: another sealer is at work")

    # 7 ------------------------------------------------------------------------------------------------------------

    def publish(self, anchors: Sequence[Anchor]) -> None:
        """Send the newest checkpoint, and chains that are new, to every anchor that lacks them."""
        if self.log.checkpoint is not None:
            self.report.publications = publish(self.store, self.log, note=self.report.note, anchors=anchors)


def _is_signed_by(signed: SignedCheckpoint, key: VerifierKey) -> bool:
    def is_good(signature: NoteSignature) -> bool:
        try:
            verify_signature(key, signed.note.text.encode(), signature.signature)
        except ProofError:
            return False
        return True

    mine = [s for s in signed.note.signatures if (s.name, s.key_id) == (key.name, key.key_id)]
    return any(is_good(signature) for signature in mine)


def _open_archived(anchor: Anchor, note: str, root: TrustRoot) -> SignedCheckpoint:
    try:
        return open_trusted_checkpoint(note, root)
    except ProofError as error:
        raise SealRefusedError(
            f"expected anchor {anchor.kind} {anchor.target} to hold checkpoints of log {root.origin}, got: {error}. "
            "If the keys were lost or replaced, restore them; if the anchor belongs to another log, name another one"
        ) from error
