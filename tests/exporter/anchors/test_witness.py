"""The witness and its client, over real HTTP on loopback: the table of answers, and a log followed as it grows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from spanledger_exporter.anchors.anchor import AnchorConflictError, AnchorError, Submission
from spanledger_exporter.anchors.witness_client import WitnessAnchor, open_witness
from spanledger_exporter.cli import main
from spanledger_exporter.errors import ConfigurationError, ProofError
from spanledger_exporter.keys.key_file import FileSigner
from spanledger_exporter.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from spanledger_exporter.ledger.merkle import EMPTY_ROOT, Tree, leaf_hash
from spanledger_exporter.ledger.note import COSIGNATURE_V1, format_note
from spanledger_exporter.witness.protocol import format_add_checkpoint, parse_add_checkpoint
from spanledger_exporter.witness.server import serving
from spanledger_exporter.witness.witness import Witness

LOG = FileSigner(b"\1" * 32, name="spanledger/log")
STRANGER = FileSigner(b"\2" * 32, name="spanledger/log")
UNKNOWN = FileSigner(b"\2" * 32, name="spanledger/unknown")
WITNESS = FileSigner(b"\3" * 32, name="audit.example/w1", algorithm=COSIGNATURE_V1)
OTHER_WITNESS = FileSigner(b"\4" * 32, name="audit.example/w1", algorithm=COSIGNATURE_V1)
NOW_S = 1_795_000_000


@dataclass(slots=True)
class Log:
    """A log that grows, or tells another story."""

    seed: str = "entry"
    sizes: list[int] = field(default_factory=list[int])

    def tree(self, size: int) -> Tree:
        return Tree(leaf_hash(f"{self.seed} {number}".encode()) for number in range(size))

    def note(self, size: int, signer: FileSigner = LOG) -> str:
        checkpoint = Checkpoint(signer.verifier_key.name, size, self.tree(size).root())
        return format_note(sign_checkpoint(checkpoint, [signer]))

    def submission(self, size: int) -> Submission:
        return Submission(size, self.note(size), lambda old: self.tree(size).consistency_proof(old))

    def request(self, old_size: int, size: int, *, signer: FileSigner = LOG) -> bytes:
        proof = self.tree(size).consistency_proof(old_size) if 0 < old_size < size else []
        return format_add_checkpoint(old_size=old_size, proof=proof, note=self.note(size, signer))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return where the witness keeps its state."""
    return tmp_path / "witness"


@pytest.fixture
def witness(directory: Path) -> Witness:
    """Return a witness that knows one log."""
    return Witness(WITNESS, logs=[LOG.verifier_key], directory=directory, clock_s=lambda: NOW_S)


@pytest.fixture
def url(witness: Witness) -> Iterator[str]:
    """Serve the witness on loopback."""
    with serving(witness) as address:
        yield address


def test_a_growing_log_is_cosigned_step_by_step(url: str) -> None:
    """Each receipt is a signature line that completes the note."""
    anchor, log = WitnessAnchor(WITNESS.verifier_key, url), Log()
    for size in (3, 5, 5, 64):
        line = anchor.publish(log.submission(size))
        opened = open_checkpoint(log.note(size) + line, [LOG.verifier_key], witnesses=[WITNESS.verifier_key])
        assert opened.witnesses == (WITNESS.verifier_key,)


def test_a_client_that_forgot_learns_from_the_witness_where_it_stands(url: str) -> None:
    """A new process starts at 0, is told the size, and proves from there."""
    log = Log()
    WitnessAnchor(WITNESS.verifier_key, url).publish(log.submission(5))
    assert WitnessAnchor(WITNESS.verifier_key, url).publish(log.submission(9))


def test_a_log_cut_or_rewritten_behind_the_witness_is_a_conflict(url: str) -> None:
    """Rolled back: the witness remembers more. Rewritten: no proof leads there."""
    WitnessAnchor(WITNESS.verifier_key, url).publish(Log().submission(5))
    with pytest.raises(AnchorConflictError, match="saw a longer log"):
        WitnessAnchor(WITNESS.verifier_key, url).publish(Log().submission(4))
    with pytest.raises(AnchorConflictError, match="saw another history"):
        WitnessAnchor(WITNESS.verifier_key, url).publish(Log("other").submission(9))
    with pytest.raises(AnchorConflictError, match="saw another history"):
        WitnessAnchor(WITNESS.verifier_key, url).publish(Log("other").submission(5))


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"", 400, "expected 'old"),
        (b"\xff", 400, "UTF-8"),
        (b"old 1\n\nnot a note", 400, "expected a note"),
        (Log().request(0, 3, signer=UNKNOWN), 404, "expected a log this witness knows"),
        (Log().request(0, 3, signer=STRANGER), 403, "expected a signature by a known key"),
        (Log().request(4, 3), 400, "old size"),
        (Log().request(2, 3), 409, "0\n"),
        (format_add_checkpoint(old_size=0, proof=[bytes(32)], note=Log().note(3)), 422, "expected an empty proof"),
        (Log().request(0, 3), 200, "— audit.example/w1 "),
    ],
    ids=[
        "empty",
        "not UTF-8",
        "no note",
        "unknown log",
        "other key",
        "old > new",
        "wrong old size",
        "proof from 0",
        "good",
    ],
)
def test_each_request_gets_the_answer_that_the_protocol_gives_it(
    witness: Witness, body: bytes, status: int, text: str
) -> None:
    """One row per rule of tlog-witness."""
    answer = witness.add_checkpoint(body)
    assert (answer.status, text in answer.body) == (status, True)
    assert (answer.content_type == "text/x.tlog.size") == (status == 409)


def test_a_proof_that_does_not_hold_changes_nothing(witness: Witness) -> None:
    """422, and the next good request still starts from the old size."""
    witness.add_checkpoint(Log().request(0, 3))
    forged = format_add_checkpoint(old_size=3, proof=[bytes(32)] * 3, note=Log().note(5))
    assert witness.add_checkpoint(forged).status == 422
    assert witness.add_checkpoint(Log().request(3, 5)).status == 200


def test_a_second_history_is_kept_and_its_auditor_hears_of_it(
    witness: Witness, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The refused note and the cosigned one, both signed by the log's key, are the proof; the first one stays."""
    witness.add_checkpoint(Log().request(0, 3))
    for size in (5, 6):
        witness.add_checkpoint(Log("other").request(3, size))
    (refused,) = directory.glob("*.refused")
    assert refused.read_text() == Log("other").note(5)
    assert caplog.text.count("two histories were signed") == 2
    assert witness.remembered() == {"spanledger/log": 3}


def test_the_empty_log_is_cosigned_only_with_the_empty_trees_root(witness: Witness) -> None:
    """Size 0 has one root."""
    assert Log().tree(0).root() == EMPTY_ROOT
    assert witness.add_checkpoint(Log().request(0, 0)).status == 200
    assert witness.add_checkpoint(Log().request(0, 3)).status == 200


def test_a_restarted_witness_remembers(witness: Witness, directory: Path) -> None:
    """The state was durable before the cosignature left."""
    witness.add_checkpoint(Log().request(0, 3))
    again = Witness(WITNESS, logs=[LOG.verifier_key], directory=directory, clock_s=lambda: NOW_S)
    answer = again.add_checkpoint(Log().request(0, 5))
    assert (answer.status, answer.body) == (409, "3\n")


def test_a_witness_whose_state_is_damaged_cosigns_nothing_and_says_so(
    witness: Witness, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From a guess it could cosign a second history; a dropped connection would tell nobody why."""
    assert witness.add_checkpoint(Log().request(0, 3)).status == HTTPStatus.OK
    (state,) = (path for path in directory.iterdir() if len(path.name) == 64)
    state.write_text("half a no")
    answer = witness.add_checkpoint(Log().request(3, 5))
    assert (answer.status, "restore it" in answer.body) == (HTTPStatus.INTERNAL_SERVER_ERROR, True)
    assert "restore it from its backup" in caplog.text
    assert state.read_text() == "half a no"


@pytest.mark.parametrize("arguments", [["--listen", "127.0.0.1:99999"], ["--name", "with space"], ["--log", "garbage"]])
def test_a_slip_in_the_witnesss_options_is_one_clear_line(arguments: list[str], tmp_path: Path) -> None:
    """Exit 78, no traceback, and no server."""
    given = ["--name", "audit.example/w1", "--log", LOG.verifier_key.vkey, "--directory", str(tmp_path / "w")]
    assert main(["witness", *given, *arguments]) == 78


def test_a_rotated_log_is_followed_when_the_auditor_names_both_keys(directory: Path) -> None:
    """Two vkeys of one name are two keys of one log."""
    both = Witness(WITNESS, logs=[LOG.verifier_key, STRANGER.verifier_key], directory=directory, clock_s=lambda: NOW_S)
    assert both.add_checkpoint(Log().request(0, 3)).status == 200
    assert both.add_checkpoint(Log().request(3, 5, signer=STRANGER)).status == 200


def test_a_cosignature_by_another_key_does_not_count(directory: Path) -> None:
    """Somebody else answers under the witness's address."""
    impostor = Witness(OTHER_WITNESS, logs=[LOG.verifier_key], directory=directory, clock_s=lambda: NOW_S)
    with serving(impostor) as url, pytest.raises(AnchorError, match="expected a good cosignature"):
        WitnessAnchor(WITNESS.verifier_key, url).publish(Log().submission(3))


def test_the_server_tells_its_vkey_and_refuses_what_it_does_not_serve(url: str) -> None:
    """GET / for people; everything else is 404 or 400."""
    assert fetch(url, "GET", "/") == (200, f"{WITNESS.verifier_key.vkey}\n")
    assert fetch(url, "GET", "/elsewhere")[0] == 404
    assert fetch(url, "POST", "/elsewhere")[0] == 404
    assert fetch(url, "POST", "/add-checkpoint", {"Content-Length": "1000001"})[0] == 400


def fetch(url: str, method: str, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Ask without a body and return status and text."""
    with closing(HTTPConnection(urlsplit(url).netloc)) as connection:
        connection.request(method, path, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_asked_what_it_remembers_a_witness_says_so_and_goes_no_further(url: str) -> None:
    """Less than it has, exactly that, more, and another log of the same size."""
    log = Log()
    publisher = WitnessAnchor(WITNESS.verifier_key, url)
    publisher.publish(log.submission(5))
    anchor = WitnessAnchor(WITNESS.verifier_key, url)
    assert [anchor.held_size(log.note(size)) for size in (3, 5, 9)] == [5, 5, 5]
    with pytest.raises(AnchorConflictError, match="remembers another log of size 5"):
        anchor.held_size(Log("other").note(5))
    with pytest.raises(AnchorError, match="name every key of this log"):
        anchor.held_size(log.note(5, UNKNOWN))
    assert publisher.publish(log.submission(6))


def test_an_unreachable_witness_is_an_anchor_error() -> None:
    """The sealer reports it and tries again."""
    with pytest.raises(AnchorError, match="expected an answer from witness"):
        WitnessAnchor(WITNESS.verifier_key, "http://127.0.0.1:9").publish(Log().submission(3))


def test_a_witness_is_configured_by_vkey_and_url() -> None:
    """A log's key in its place is refused."""
    anchor = open_witness(f"{WITNESS.verifier_key.vkey}@https://witness.example/prefix/")
    assert anchor.target == f"audit.example/w1+{WITNESS.verifier_key.key_id.hex()}@https://witness.example/prefix"
    for text in ("nonsense", f"{LOG.verifier_key.vkey}@https://w", f"{WITNESS.verifier_key.vkey}@ftp://w"):
        with pytest.raises(ConfigurationError):
            open_witness(text)


def test_a_request_survives_its_wire_form() -> None:
    """Round trip, and a request of more than 63 hashes is refused."""
    parsed = parse_add_checkpoint(Log().request(3, 7))
    assert (parsed.old_size, list(parsed.proof), parsed.note) == (3, Log().tree(7).consistency_proof(3), Log().note(7))
    with pytest.raises(ProofError, match="at most 63"):
        parse_add_checkpoint(format_add_checkpoint(old_size=1, proof=[bytes(32)] * 64, note="x"))
    with pytest.raises(ProofError, match="at most 1000000"):
        parse_add_checkpoint(b"x" * 1_000_001)
