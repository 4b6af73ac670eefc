"""What row 0 of a chain claims about others: its predecessor, and the newest checkpoint it knew (ledger.md section 2).

Rules
- A claimed predecessor row must exist with the claimed hash; so a chain's tail cannot be cut behind its successor.
- A chain cannot begin before the checkpoint that its row 0 quotes: a row 0 older than the newest row under that
  checkpoint was backdated. Clocks of hosts differ and are set back; the tolerance allows a day.
- A quoted checkpoint that is not a prefix of the log is a quotation from another history.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from spanledger_exporter.verify.chains import ChainFacts
from spanledger_exporter.verify.envelopes import parse_envelope
from spanledger_exporter.verify.log_review import LogView
from spanledger_exporter.verify.source import LedgerSource, Place
from spanledger_exporter.verify.verdict import Findings

CLOCK_TOLERANCE_NS = 24 * 3600 * 10**9


def opening_bodies(chains: Mapping[bytes, ChainFacts]) -> dict[bytes, Mapping[str, Any]]:
    """Return the `chain` body of every row 0."""
    bodies: dict[bytes, Mapping[str, Any]] = {}
    for chain, facts in chains.items():
        body = (parse_envelope(facts.open_env) or {}).get("chain")
        bodies[chain] = body if isinstance(body, dict) else {}
    return bodies


def review_claims(
    source: LedgerSource,
    chains: Mapping[bytes, ChainFacts],
    in_spool: Mapping[bytes, bytes],
    view: LogView | None,
    findings: Findings,
) -> None:
    """Judge the claims of every row 0; without a log (`view` is None) only those about other chains."""
    bodies = opening_bodies(chains)
    claims = {chain: claim for chain, body in bodies.items() if (claim := _predecessor(body)) is not None}
    hashes = source.row_hashes([place for place, _ in claims.values()])
    for chain, (place, claimed) in claims.items():
        findings.count("completeness", predecessor_claims=1)
        found = hashes.get(place)
        name = f"row {place[1]} of chain {place[0].hex()}"
        if found is None and place[0] not in in_spool:
            reason = f"{name} is missing; chain {chain.hex()} names it as its predecessor"
            findings.tampered("completeness", reason, chain=place[0], seq=place[1])
        elif found is not None and found != claimed:
            reason = f"chain {chain.hex()} names another hash for this row as its predecessor"
            findings.tampered("integrity", reason, chain=place[0], seq=place[1])
    if view is None:
        return
    for chain, body in bodies.items():
        _review_quote(chain, chains[chain], body.get("checkpoint"), view, findings)


def _predecessor(body: Mapping[str, Any]) -> tuple[Place, bytes] | None:
    claim = body.get("predecessor")
    if not isinstance(claim, dict):
        return None
    try:
        chain, seq, row_hash = bytes.fromhex(claim["chain"]), int(claim["seq"]), bytes.fromhex(claim["row_hash"])
    except (KeyError, TypeError, ValueError):
        return None
    # What can be no place is not looked for: no writer of ours claims it, and the engine would be asked nonsense.
    return ((chain, seq), row_hash) if len(chain) == 16 and 0 <= seq < 2**64 else None


def _review_quote(chain: bytes, facts: ChainFacts, quote: Any, view: LogView, findings: Findings) -> None:
    if not isinstance(quote, dict) or not isinstance(quote.get("size"), int):
        return
    root = view.roots.get(quote["size"])
    if root is None or b64encode(root).decode() != quote.get("root"):
        reason = f"row 0 quotes a checkpoint of size {quote['size']} that is no prefix of the log"
        findings.tampered("integrity", reason, chain=chain, seq=0)
    elif facts.first_time < view.newest_time(quote["size"]) - CLOCK_TOLERANCE_NS:
        reason = (
            f"row 0 is older than rows under the checkpoint of size {quote['size']} that it quotes: backdated, or "
            "those rows were written by a clock that was ahead"
        )
        findings.tampered("time", reason, chain=chain, seq=0)
