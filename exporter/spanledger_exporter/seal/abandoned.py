"""Which chains will never grow again although nobody closed them: kill -9, a power cut, `os._exit`.

Rules
- A chain is abandoned when its successor on the same host said so (row 0 names it as `predecessor`, relation
  `restart`) and every row up to the named one is sealed; or when its spool here is held by no writer and is sealed to
  its last row.
- If rows come after all, they are sealed like any others: the entry states what was known, it forbids nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spanledger_exporter.config import Settings
from spanledger_exporter.seal.log_state import ChainPosition, LogState
from spanledger_exporter.seal.unsealed import Predecessor
from spanledger_exporter.spool.reader import readable_chains

SUCCEEDED = "its successor opened"
WRITER_GONE = "its writer is gone"


def find_abandoned(
    settings: Settings, log: LogState, predecessors: Sequence[Predecessor]
) -> Iterator[tuple[bytes, str]]:
    """Yield chain and reason for every sealed chain that is abandoned and not yet called so."""
    found: dict[bytes, str] = {}
    for claim in predecessors:
        position = log.chains.get(claim.chain)
        if (
            position is not None
            and _is_open(position)
            and (position.next_seq, position.head)
            == (
                claim.seq + 1,
                claim.row_hash,
            )
        ):
            found[claim.chain] = SUCCEEDED
    for spool in readable_chains(settings.spool_directory):
        position = log.chains.get(spool.chain_id)
        if position is None or not _is_open(position) or spool.is_live:
            continue
        row = spool.last_row()
        if row is not None and row.row_hash == position.head:
            found.setdefault(spool.chain_id, WRITER_GONE)
    yield from found.items()


def _is_open(position: ChainPosition) -> bool:
    return bool(position.head) and not position.ended
