"""kill -9 in the middle of real calls; `python tests/kill_nine.py --rounds 1000` is the long mode."""

import itertools
from pathlib import Path

import pytest

from kill_nine import Outcome, run

ROUNDS = 50


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Kill fifty children at random moments."""
    directory: Path = tmp_path_factory.mktemp("killed")
    return run(directory, rounds=ROUNDS, seed=20_261_121)


def test_every_request_that_reached_the_provider_has_a_row(outcome: Outcome) -> None:
    """The intent row is durable before the request leaves."""
    assert len(outcome.received) > ROUNDS / 2
    assert outcome.without_row == []


def test_no_event_is_recorded_twice(outcome: Outcome) -> None:
    """Neither a kill nor the restart after it repeats a row."""
    assert outcome.duplicates == []


def test_every_chain_but_the_first_names_the_one_that_was_killed_before_it(outcome: Outcome) -> None:
    """Chains verify one by one (reading them did that), and together they form one line through all restarts."""
    begun = [chain for chain in outcome.chains if chain.rows]
    for before, chain in itertools.pairwise(begun):
        predecessor = chain.envelopes[0]["chain"]["predecessor"]
        last = before.rows[-1]
        assert predecessor["relation"] == "restart"
        assert (predecessor["chain"], predecessor["seq"]) == (last.chain_id.hex(), last.seq)
        assert predecessor["row_hash"] == last.row_hash.hex()


def test_nothing_but_a_torn_tail_is_ever_damaged(outcome: Outcome) -> None:
    """A kill may leave half an append at the end of a file, which nobody was told about, and nothing else."""
    for chain in outcome.chains:
        assert [damage.reason for damage in chain.damage] in ([], ["torn append"])
