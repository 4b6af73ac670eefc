"""What anchors hold, against what the store says (ledger.md section 6).

Rules
- Anchors are read from the anchors; a receipt in the store is a claim that the anchor must confirm.
- Every anchored checkpoint must be in the store and be a prefix of its log: otherwise somebody cut the log, rolled the
  store back, forked it, or dropped it whole.
- A chain that the registry names must exist, with the row 0 that was registered: in the store, or still in the spool.
- A chain in the store that was never registered was put there by no writer of ours.
- A checkpoint is called by its size, an entry of the registry by its chain, and all registries say the same of it.
- A configured anchor that cannot be read leaves the verdict incomplete, whatever the others say: it may be the one that
  remembers another history. One that reports a conflict (a delete marker) is evidence of tampering.
- Where another machine seals, the default directory of this one holds no checkpoints and never will: it is an anchor
  that cannot be asked, and its registry knows the chains of this machine only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

from spanledger_exporter.anchors.anchor import Anchor, AnchorConflictError, AnchorError, Archive, checkpoint_name
from spanledger_exporter.anchors.directory import DirectoryAnchor
from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.chain_registry import ChainOpening, parse_opening
from spanledger_exporter.ledger.checkpoint import claimed_checkpoint
from spanledger_exporter.ledger.note import MAX_NOTE_BYTES
from spanledger_exporter.verify.chains import ChainFacts
from spanledger_exporter.verify.checkpoints import KnownCheckpoint, open_known
from spanledger_exporter.verify.source import AnchoredState, ReceiptRow
from spanledger_exporter.verify.trust import Trust
from spanledger_exporter.verify.verdict import Findings

DIRECTORY = "directory"


def read_anchors(anchors: Sequence[Anchor], *, sealed_elsewhere: Path | None = None) -> AnchoredState:
    """Read every anchor that can be read back.

    `sealed_elsewhere` is the default directory of a machine that never seals, None on one that may.
    """
    state = AnchoredState(named=frozenset((anchor.kind, anchor.target) for anchor in anchors))
    for anchor in anchors:
        if isinstance(anchor, DirectoryAnchor):
            read = read_anchor_directory(anchor.directory, target=anchor.target)
            is_elsewhere = anchor.directory == sealed_elsewhere and not read.notes
            state = _merged(state, _without_checkpoints(read, anchor) if is_elsewhere else read)
        elif isinstance(anchor, Archive):
            state = _merged(state, _read_archive(anchor))
    return state


def _without_checkpoints(read: AnchoredState, anchor: DirectoryAnchor) -> AnchoredState:
    reason = (
        f"{DIRECTORY} {anchor.directory}: nothing was ever sealed on this machine, and what another one sealed lies "
        "there; run `spanledger verify` there, or name an anchor that both can read in SPANLEDGER_ANCHORS"
    )
    return replace(read, held={}, unreachable=[*read.unreachable, reason], has_registry=False)


def read_anchor_directory(directory: Path, *, target: str = "anchors") -> AnchoredState:
    """Read the append-only directory anchor: `checkpoints/<size, 20 digits>` and `chains/<hex>.json`."""
    notes: dict[str, str] = {}
    broken: list[str] = []
    unreachable: list[str] = []
    held: set[int] = set()
    for path in _files(directory / "checkpoints", unreachable):
        try:
            notes[str(path)] = note = _read(path).decode()
            size = claimed_checkpoint(note).size
        except (OSError, ValueError, ProofError) as error:
            broken.append(f"{path}: {error}")
            continue
        held.add(size)
        if path.name != checkpoint_name(size):
            broken.append(f"{path} holds a checkpoint of size {size}")
    openings: list[ChainOpening] = []
    for path in _files(directory / "chains", unreachable):
        try:
            opening = parse_opening(_read(path))
        except (OSError, ProofError) as error:
            broken.append(f"{path}: {error}")
            continue
        if path.name != f"{opening.chain.hex()}.json":
            broken.append(f"{path} registers chain {opening.chain.hex()}")
        openings.append(opening)
    return AnchoredState(
        notes,
        {opening.chain: opening for opening in openings},
        {} if unreachable else {target: frozenset(held)},  # an empty answer would say that its checkpoints are gone
        broken,
        unreachable=unreachable,
        has_registry=(directory / "chains").is_dir(),
    )


def _read(path: Path) -> bytes:
    """Return the bytes of a small file; what no anchor writes is not read into memory. Raises ProofError, OSError."""
    with path.open("rb") as stream:
        data = stream.read(MAX_NOTE_BYTES + 1)
    if len(data) > MAX_NOTE_BYTES:
        raise ProofError(f"expected at most {MAX_NOTE_BYTES} bytes, got more")
    return data


def _read_archive(anchor: Archive) -> AnchoredState:
    name = f"{getattr(anchor, 'kind', 'archive')} {getattr(anchor, 'target', '')}"
    try:
        newest, openings = anchor.newest(), anchor.chains()
    except AnchorConflictError as error:
        return AnchoredState(conflicts=[f"{name}: {error}"])
    except AnchorError as error:
        return AnchoredState(unreachable=[f"{name}: {error}"])
    good = {chain: opening for chain, opening in openings.items() if opening is not None and opening.chain == chain}
    return AnchoredState(
        {} if newest is None else {f"in {name}": newest},
        good,
        broken=[f"{name}: registry entry {chain.hex()}" for chain in openings if chain not in good],
        has_registry=True,
    )


def _merged(first: AnchoredState, second: AnchoredState) -> AnchoredState:
    both = first.chains.keys() & second.chains.keys()
    others = [
        f"two registries name another row 0 of chain {chain.hex()}"
        for chain in sorted(both)
        if first.chains[chain] != second.chains[chain]
    ]
    return AnchoredState(
        {**first.notes, **second.notes},
        {**first.chains, **second.chains},
        {**first.held, **second.held},
        [*first.broken, *second.broken],
        [*first.conflicts, *second.conflicts, *others],
        [*first.unreachable, *second.unreachable],
        has_registry=first.has_registry or second.has_registry,
        named=first.named,
    )


def _files(directory: Path, unreachable: list[str]) -> list[Path]:
    """Return the files of an anchor, oldest name first; a writer's unfinished temporary files have a leading dot."""
    try:
        return sorted(path for path in directory.iterdir() if path.is_file() and not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        unreachable.append(f"{DIRECTORY} {directory}: {error.strerror or error}")
        return []


def review_anchors(state: AnchoredState, trust: Trust, findings: Findings) -> list[KnownCheckpoint]:
    """Judge what the anchors hold, by itself."""
    for place in state.broken:
        findings.tampered("anchoring", f"an anchor holds what no anchor writes: {place}")
    for place in state.conflicts:
        findings.tampered("anchoring", f"an anchor remembers something else: {place}")
    for place in state.unreachable:
        findings.incomplete("anchoring", f"an anchor could not be asked, so nothing was held against it: {place}")
    found = [
        open_known(note, f"the anchored checkpoint {place}", trust, findings, check="anchoring")
        for place, note in state.notes.items()
    ]
    findings.count("anchoring", anchored_checkpoints=len(found), registered_chains=len(state.chains))
    return [known for known in found if known is not None]


def compare_with_store(
    anchored: Sequence[KnownCheckpoint],
    *,
    stored_sizes: AbstractSet[int],
    held: Mapping[str, AbstractSet[int]],
    receipts: Sequence[ReceiptRow],
    findings: Findings,
) -> None:
    """Name anchored checkpoints that the store lost, and receipts that no anchor confirms.

    Sizes are those that are there, good or not: a note that does not hold has been reported, and is not missing too.
    """
    for known in anchored:
        if known.checkpoint.size not in stored_sizes:
            findings.tampered("completeness", f"{known.place} is missing from the store's checkpoints")
    findings.count("anchoring", receipts=len(receipts))
    _review_lost_receipts(held, receipts, findings)
    for receipt in receipts:
        if receipt.size not in stored_sizes:
            reason = (
                f"the receipt of {receipt.kind} {receipt.target} is for size {receipt.size}, which has no checkpoint"
            )
            findings.tampered("completeness", reason)
        expected = f"checkpoints/{receipt.size:020}"
        if receipt.kind == DIRECTORY and receipt.receipt not in (b"", expected.encode()):
            findings.tampered(
                "anchoring", f"the receipt of {receipt.target} for size {receipt.size} names another file"
            )
        if receipt.kind == DIRECTORY and receipt.size not in held.get(receipt.target, {receipt.size}):
            place = f"{DIRECTORY} {receipt.target}"
            reason = f"the store has a receipt for size {receipt.size}, and {place} does not hold that checkpoint"
            findings.tampered("anchoring", reason)


def _review_lost_receipts(
    held: Mapping[str, AbstractSet[int]], receipts: Sequence[ReceiptRow], findings: Findings
) -> None:
    """Name directories that hold checkpoints and have no receipt at all in the store.

    A sealer that died between publishing and noting it leaves one such checkpoint, and notes it at the next seal; a
    store without any receipt of several was emptied.
    """
    known = {receipt.target for receipt in receipts if receipt.kind == DIRECTORY}
    for target, sizes in held.items():
        if target in known or not sizes:
            continue
        reason = f"{target} holds {len(sizes)} checkpoints, and the store's table anchors has no receipt of them"
        if len(sizes) > 1:
            findings.tampered("anchoring", reason)
        else:
            findings.incomplete("anchoring", f"{reason}: run `spanledger seal`")


def review_registry(
    state: AnchoredState,
    chains: Mapping[bytes, ChainFacts],
    *,
    in_spool: Mapping[bytes, bytes],
    must_be_registered: AbstractSet[bytes],
    findings: Findings,
) -> None:
    """Compare the chain registry with the chains in the store and in the spool (`in_spool`: chain to row 0's hash)."""
    for chain, registered in state.chains.items():
        facts = chains.get(chain)
        if facts is None and chain not in in_spool:
            findings.tampered(
                "completeness", "the chain is registered, and is neither stored nor in the spool", chain=chain
            )
        first = facts.first_hash if facts is not None else in_spool.get(chain, registered.row_hash)
        if first and first != registered.row_hash:
            findings.tampered("integrity", "row 0 is not the one that was registered", chain=chain, seq=0)
        elif facts and facts.first_hash and facts.first_time != registered.time_ns:
            findings.tampered("time", "row 0 has another time than the one that was registered", chain=chain, seq=0)
    if not state.has_registry:
        if must_be_registered and any(state.held.values()):
            findings.tampered("anchoring", "the chain registry is gone from the anchor that holds the checkpoints")
        return
    for chain in must_be_registered:
        if chain not in state.chains:
            findings.tampered("completeness", "the chain is stored and was never registered", chain=chain, seq=0)
