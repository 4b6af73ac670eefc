"""Proves log entries that a sealer inserted before it died, so that the next one may sign them.

Rules
- Whoever can write to the store could have put them there: nothing is believed that cannot be derived again from the
  rows, the tables, the key ring or this call's own arguments.
- One entry that cannot be proved stops the sealer: it is either forged, or the rows under it were changed since.
- Its time lies between that of the entry before it and now, give or take two sealers' clocks; it has the fields that a
  sealer writes, and no others. What nobody can derive would else be signed because it stood there.
"""

from __future__ import annotations

from collections.abc import Sequence

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.log_entry import REQUIRED, LogEntry, as_segment, parse_entry
from spanledger_exporter.ledger.note import VerifierKey
from spanledger_exporter.seal.errors import SealRefusedError
from spanledger_exporter.seal.log_state import ChainPosition, LogState
from spanledger_exporter.seal.unsealed import ACTS, Harvest, harvest
from spanledger_exporter.store.connection import Store
from spanledger_exporter.verify.tables import fingerprint, read_definitions

CLOCKS_DIFFER_NS = 300 * 10**9
"""The sealer that died may have run on another machine."""

OwnAct = tuple[str, dict[str, str]]
"""An entry that the operator asks for: its type, and its fields without `time`."""


def adopt_pending(
    store: Store,
    state: LogState,
    *,
    acts: Sequence[OwnAct],
    rotation: tuple[VerifierKey, VerifierKey] | None,
    now_ns: int,
) -> list[bytes]:
    """Prove the pending entries one by one, append them to `state`, and return them.

    `acts` are the operator's own of this call; `rotation` is the current and the next key, if one is under way;
    `now_ns` is the sealer's clock.
    Raises SealRefusedError for an entry that cannot be proved.
    """
    entries, state.pending = state.pending, []
    for entry in entries:
        index = state.size
        try:
            parsed = parse_entry(entry)
            reason = _form_fault(state, parsed, now_ns) or _fault(
                store, state, parsed, is_own=own_act(parsed) in acts, rotation=rotation
            )
        except ProofError as error:
            reason = str(error)
        if reason:
            raise SealRefusedError(
                f"expected the unsigned entry at log index {index} to be what a sealer would write, got one that is "
                f"not: {reason}; it is forged, or rows changed after it was written; nothing was signed"
            )
        state.append(entry)
    return entries


def own_act(entry: LogEntry) -> OwnAct:
    """Return an entry as an operator asks for it: its type and its fields, whenever it was written."""
    return entry.type, {name: str(value) for name, value in entry.fields.items() if name not in ("type", "time")}


def _form_fault(state: LogState, entry: LogEntry, now_ns: int) -> str:
    if unknown := sorted(entry.fields.keys() - REQUIRED[entry.type].keys() - {"type"}):
        return f"no sealer of this version writes its fields {', '.join(unknown)[:100]}"
    time_ns = int(entry.fields.get("time", state.last_time))
    if time_ns < state.last_time:
        return "it is older than the entry before it"
    return "its time is still to come" if time_ns > now_ns + CLOCKS_DIFFER_NS else ""


def _fault(
    store: Store,
    state: LogState,
    entry: LogEntry,
    *,
    is_own: bool,
    rotation: tuple[VerifierKey, VerifierKey] | None,
) -> str:
    if is_own or entry.type == "heartbeat":
        return ""
    if entry.type == "segment":
        return _segment_fault(store, state, entry)
    if entry.type == "key-rotate":
        named = (entry.fields["old"], entry.fields["new"])
        is_known = rotation is not None and named == (rotation[0].vkey, rotation[1].vkey)
        return "" if is_known else "it rotates to a key that this key ring is not rotating to"
    if entry.type == "schema":
        is_current = entry.fields["fingerprint"] == fingerprint(read_definitions(store)).hex()
        return "" if is_current else "the table definitions are others now"
    if entry.type == "chain-abandoned":
        position = state.chains.get(bytes.fromhex(entry.fields["chain"]), ChainPosition())
        is_head = position.head.hex() == entry.fields["row_hash"] and position.next_seq == entry.fields["seq"] + 1
        return "" if is_head else "it names another row than the last sealed one"
    if entry.type == "restore":
        return "the operator did not ask for it; repeat `seal --restore` with the same words if you did"
    return _act_fault(store, entry)


def _segment_fault(store: Store, state: LogState, entry: LogEntry) -> str:
    segment = as_segment(entry)
    position = state.chains.get(segment.chain, ChainPosition())
    if segment.first != position.next_seq:
        return f"it begins at row {segment.first}, the chain is sealed up to {position.next_seq}"
    for found in harvest(store, {segment.chain: (segment.first, segment.last)}, state.chains):
        if isinstance(found, Harvest):
            return "" if found.segment == segment else "its rows give another segment"
        return found.reason
    return "its rows are not in the store"


def _act_fault(store: Store, entry: LogEntry) -> str:
    types = [event_type for event_type, name in ACTS.items() if name == entry.type]
    found = store.query(
        "SELECT count() FROM rows WHERE chain_id = unhex({chain:String}) AND seq = {seq:UInt64} "
        "AND row_hash = unhex({row_hash:String}) AND SHA256(concat('spanledger/env/v1\\0', env)) = env_hash "
        "AND (seq = 0 OR JSONExtractString(env, 'event_type') IN {types:Array(String)})",
        {key: entry.fields[key] for key in ("chain", "seq", "row_hash")} | {"types": types},
    )
    return "" if found[0][0] else "the row it names is not in the store"
