"""The example bytes in exporter/README.md are real: they verify under the key that stands beside them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spanledger_exporter.errors import ProofError
from spanledger_exporter.ledger.checkpoint import open_checkpoint
from spanledger_exporter.ledger.log_entry import REQUIRED, as_segment, parse_entry
from spanledger_exporter.ledger.merkle import leaf_hash
from spanledger_exporter.ledger.note import parse_vkey
from spanledger_exporter.ledger.tlog_proof import parse_tlog_proof, verify_tlog_proof

PAGE = Path(__file__).resolve().parents[3] / "exporter" / "README.md"


@pytest.fixture
def section() -> str:
    """Return the page's section on proof."""
    return PAGE.read_text(encoding="utf-8").partition("\n## Proof\n")[2]


def examples(section: str) -> list[str]:
    """Return note, vkey, entry and proof."""
    return re.findall(r"^```text\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[:4]


def test_the_example_note_entry_and_proof_verify_under_the_example_key(section: str) -> None:
    """Whoever writes a verifier can start from them."""
    note, vkey, entry, proof = examples(section)
    key, leaf = parse_vkey(vkey), leaf_hash(entry.removesuffix("\n").encode())
    opened = verify_tlog_proof(parse_tlog_proof(proof), leaf=leaf, keys=[key])
    assert opened.checkpoint == open_checkpoint(note, [key]).checkpoint
    assert as_segment(parse_entry(entry.removesuffix("\n").encode())).last == 21
    with pytest.raises(ProofError):
        verify_tlog_proof(parse_tlog_proof(proof), leaf=leaf_hash(b"another entry"), keys=[key])


def test_the_page_names_every_entry_type(section: str) -> None:
    """A new type without a line there fails here."""
    assert [name for name in REQUIRED if f"`{name}`" not in section] == []
