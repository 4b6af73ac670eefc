"""Any single mutation of any stored byte changes the verdict; and no bytes, however wild, make a parser raise its own.

The ledger is anchored in a directory and with a witness. A mutation changes a record, or puts a changed copy beside it.
Not covered by any hash, and said so in ledger.md: `stored_at` and `created_at` prove nothing. The target of a receipt
names an anchor; under another name it is a receipt that nobody here can confirm.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealed_ledgers import FIELDS, SIGNER, SealedLedger, copied, edited
from spanledger_exporter.anchors.anchor import Submission
from spanledger_exporter.anchors.witness_client import WitnessAnchor
from spanledger_exporter.errors import DataError, ProofError
from spanledger_exporter.evidence.bundle import unpack
from spanledger_exporter.keys.key_file import FileSigner
from spanledger_exporter.ledger.checkpoint import parse_checkpoint
from spanledger_exporter.ledger.log_entry import parse_entry
from spanledger_exporter.ledger.merkle import Tree
from spanledger_exporter.ledger.note import COSIGNATURE_V1, parse_note
from spanledger_exporter.verify import standalone
from spanledger_exporter.verify.envelopes import parse_envelope, references
from spanledger_exporter.verify.export_source import parse_line
from spanledger_exporter.verify.source import ReceiptRow
from spanledger_exporter.verify.standalone import verify_file
from spanledger_exporter.verify.verdict import Verdict
from spanledger_exporter.witness.protocol import format_add_checkpoint
from spanledger_exporter.witness.witness import Witness

WITNESS = FileSigner(b"\3" * 32, name="audit.example/w1", algorithm=COSIGNATURE_V1)

Pick = Callable[[int], int]


def changed(value: Any, pick: Pick) -> Any:
    """Return `value` with one bit changed, as bytes, text or a number."""
    if isinstance(value, int):
        return value ^ 1 << pick(40)
    if isinstance(value, str):
        return changed(value.encode(), pick).decode("latin-1")
    if not value:
        return b"\0"
    at = pick(len(value))
    return value[:at] + bytes([value[at] ^ 1 << pick(7)]) + value[at + 1 :]


def mutate_row(ledger: SealedLedger, pick: Pick) -> str:
    """Change one bit of one column of one row."""
    at, name = pick(len(ledger.rows_)), sorted(FIELDS)[pick(len(FIELDS))]
    put(ledger.rows_, at, edited(ledger.rows_[at], **{name: changed(ledger.rows_[at][FIELDS[name]], pick)}), pick)
    return f"rows.{name}"


def mutate_record(rows: list[Any], names: tuple[str, ...], pick: Pick) -> str:
    """Change one bit of one field of one record."""
    at, name = pick(len(rows)), names[pick(len(names))]
    put(rows, at, replace(rows[at], **{name: changed(getattr(rows[at], name), pick)}), pick)
    return name


def put(records: list[Any], at: int, record: Any, pick: Pick) -> None:
    """Put a record in place of another one, or beside it."""
    records[at : at + pick(2)] = [record]


def mutate_anchor(ledger: SealedLedger, pick: Pick) -> str:
    """Change one bit of one anchored checkpoint."""
    name = sorted(ledger.anchored)[pick(len(ledger.anchored))]
    ledger.anchored[name] = changed(ledger.anchored[name], pick)
    return "anchored note"


def mutate_registry(ledger: SealedLedger, pick: Pick) -> str:
    """Change one bit of one registry entry."""
    chain = sorted(ledger.registry)[pick(len(ledger.registry))]
    field = ("row_hash", "time_ns")[pick(2)]
    opening = ledger.registry[chain]
    ledger.registry[chain] = replace(opening, **{field: changed(getattr(opening, field), pick)})
    return "registry"


MUTATIONS: tuple[Callable[[SealedLedger, Pick], str], ...] = (
    mutate_row,
    lambda ledger, pick: mutate_record(ledger.contents_, ("ref", "content_class", "media", "size", "data"), pick),
    lambda ledger, pick: mutate_record(ledger.contents_, ("key_id",), pick),
    lambda ledger, pick: mutate_record(ledger.log_, ("index", "entry", "leaf_hash"), pick),
    lambda ledger, pick: mutate_record(ledger.checkpoints_, ("size", "root", "note"), pick),
    lambda ledger, pick: mutate_record(ledger.receipts_, ("size", "receipt"), pick),
    mutate_anchor,
    mutate_registry,
)


def said(verdict: Verdict) -> list[str]:
    """Return every reason."""
    return [finding.reason for result in verdict.checks.values() for finding in result.findings]


class WitnessInside(WitnessAnchor):
    """A witness without a line to it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(WITNESS.verifier_key, "http://audit.example")
        self._witness = Witness(WITNESS, logs=[SIGNER.verifier_key], directory=directory, clock_s=lambda: 1_793_606_400)

    def _post(self, *, old_size: int, proof: Sequence[bytes], note: str) -> tuple[int, str]:
        answer = self._witness.add_checkpoint(format_add_checkpoint(old_size=old_size, proof=proof, note=note))
        return answer.status, answer.body


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> WitnessInside:
    """Return a witness of the tests' own."""
    return WitnessInside(tmp_path_factory.mktemp("witness"))


@pytest.fixture(scope="module")
def told(witness: WitnessInside) -> SealedLedger:
    """Return a ledger that a directory and a witness anchor, and that nobody touched."""
    ledger = SealedLedger.tell(chains=2, rows=4)
    for row in ledger.checkpoints():
        tree = Tree([entry.leaf_hash for entry in ledger.log_[: row.size]])
        receipt = witness.publish(Submission(row.size, row.note, tree.consistency_proof))
        ledger.receipts_.append(ReceiptRow(row.size, "witness", witness.target, receipt.encode()))
    assert ledger.verdict(notaries=[witness]).word == "verified"
    return ledger


@settings(max_examples=600)
@given(st.data())
def test_any_single_mutation_of_a_stored_byte_changes_the_verdict(
    told: SealedLedger, witness: WitnessInside, data: st.DataObject
) -> None:
    """One bit anywhere, in any table, anchor or registry entry: no longer verified, and a reason is given."""
    ledger = copied(told)

    def pick(count: int) -> int:
        return data.draw(st.integers(0, count - 1))

    what = MUTATIONS[pick(len(MUTATIONS))](ledger, pick)
    verdict = ledger.verdict(notaries=[witness])
    assert verdict.word != "verified", what
    assert said(verdict)


@given(st.binary(max_size=300))
def test_parsers_raise_only_our_errors(data: bytes) -> None:
    """Notes, checkpoints, entries, envelopes, export lines and bundles: bad bytes are bad data, never a crash."""
    for parse, error in (
        (parse_note, ProofError),
        (lambda noise: parse_checkpoint(noise.decode("latin-1")), ProofError),
        (parse_entry, ProofError),
        (unpack, ProofError),
        (lambda noise: parse_line(noise, 1), DataError),
    ):
        try:
            parse(data)
        except error:
            continue
    assert list(references(parse_envelope(data))) == []


@pytest.mark.parametrize(("opening", "closing"), [(b'{"a":', b"}"), (b"[", b"]")])
def test_an_envelope_as_deep_as_its_parser_goes_is_looked_through(opening: bytes, closing: bytes) -> None:
    """Python's own limit is less: one row of a writer's would end every verification."""
    reference = b'{"ref":"%s"}' % (b"ab" * 32)
    envelope = parse_envelope(b'{"x":' + opening * 1_000 + reference + closing * 1_000 + b"}")
    assert list(references(envelope)) == [("ab" * 32, "payload")]
    assert list(standalone.references(envelope)) == [("ab" * 32, "payload")]


SCALARS = st.none() | st.booleans() | st.integers() | st.text()


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_an_envelope_of_any_shape_is_judged_and_not_choked_on(value: Any) -> None:
    """Whatever JSON an envelope is, looking for references in it ends."""
    assert all(len(ref) == 64 for ref, _ in references(value))


NAMES = ("manifest.json", "rows.jsonl", "content.json", "anchors.json", "checkpoints/1", "trust-root/1.json")


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=80)), unique_by=lambda pair: pair[0]))
def test_a_bundle_of_noise_gets_a_verdict(tmp_path_factory: Any, files: list[tuple[str, bytes]]) -> None:
    """The single-file verifier answers with a verdict to whatever it is given, and never with `verified`."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files:
            archive.writestr(name, data)
    path: Path = tmp_path_factory.getbasetemp() / "noise.zip"
    path.write_bytes(out.getvalue())
    assert verify_file(path, trust_root="00" * 32)["verdict"] == "tampered"


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_an_export_of_noise_gets_a_verdict(tmp_path_factory: Any, noise: bytes) -> None:
    """Bytes that are no rows are damage, or an empty ledger, which is never ok either."""
    path: Path = tmp_path_factory.getbasetemp() / "noise.jsonl"
    path.write_bytes(noise)
    assert verify_file(path)["verdict"] in ("tampered", "unknown", "incomplete")
