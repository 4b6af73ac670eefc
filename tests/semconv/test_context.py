"""Business context: from the OpenTelemetry context and baggage to the envelope's fields."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spanledger_semconv import bodies
from spanledger_semconv.context import (
    BUSINESS_CONTEXT_KEY,
    MAX_BAGGAGE_CHARACTERS,
    PROPAGATED,
    read_business_context,
)

CASE = "spanledger.case.id"


def test_without_context_there_is_nothing() -> None:
    """The common case costs one look-up."""
    assert read_business_context({}, {}) == {}


def test_what_the_process_set_wins_over_what_came_with_a_request() -> None:
    """A caller cannot relabel our case from outside."""
    context = {BUSINESS_CONTEXT_KEY: {CASE: "ours"}}
    assert read_business_context(context, {CASE: "theirs"})[CASE] == "ours"


def test_a_case_from_another_service_reaches_our_rows() -> None:
    """Baggage carries it under the attribute's own name."""
    assert read_business_context({}, {CASE: "C-1"}) == {CASE: "C-1"}


def test_baggage_that_is_not_ours_or_too_long_is_ignored() -> None:
    """Baggage is text from outside: it must not fill envelopes or set fields that we do not propagate."""
    baggage = {"foreign": "x", "spanledger.user.id": "u", CASE: "C" * (MAX_BAGGAGE_CHARACTERS + 1)}
    assert read_business_context({}, baggage) == {}


def test_nothing_that_names_a_served_person_is_propagated() -> None:
    """Baggage goes to third parties in request headers."""
    assert "spanledger.user.id" not in PROPAGATED
    assert not any(key.startswith("spanledger.context") for key in PROPAGATED)


def test_dots_in_an_event_body_become_nesting() -> None:
    """`spanledger.review.reviewer.id` is `review.reviewer.id` in the envelope."""
    attributes = {"spanledger.review.reviewer.id": "m", "spanledger.review.action": "edit", "other": 1}
    assert bodies.body(attributes, "review") == {"reviewer": {"id": "m"}, "action": "edit"}


def test_a_clash_of_a_value_and_a_nesting_loses_neither() -> None:
    """Keys may come from anybody's code."""
    attributes = {"spanledger.action.a": 1, "spanledger.action.a.b": 2}
    assert bodies.body(attributes, "action") == {"a": 1, "a.b": 2}


def test_actor_context_and_snapshot_take_the_names_of_the_envelope() -> None:
    """The names are ledger.md section 3's."""
    attributes = {
        "spanledger.actor.id": "bot",
        CASE: "C-1",
        "spanledger.context.desk": "4",
        "gen_ai.prompt.name": "triage",
        "spanledger.prompt.hash": "ab",
        "spanledger.policy.version": "7",
    }
    assert bodies.actor(attributes) == {"id": "bot"}
    assert bodies.business_context(attributes) == {"case_id": "C-1", "desk": "4"}
    assert bodies.snapshot(attributes) == {"prompt": {"name": "triage", "hash": "ab"}, "policy": {"version": "7"}}


def test_a_free_key_cannot_replace_a_known_identifier() -> None:
    """`spanledger.context.case_id` is not the case."""
    assert bodies.business_context({CASE: "C-1", "spanledger.context.case_id": "x"}) == {"case_id": "C-1"}


names = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join)


@given(st.dictionaries(names.map("spanledger.decision.".__add__), st.integers(), max_size=8))
def test_no_value_of_a_body_is_ever_lost(attributes: dict[str, int]) -> None:
    """Whatever the keys, every value is found again."""

    def leaves(value: object) -> list[object]:
        return [leaf for inner in value.values() for leaf in leaves(inner)] if isinstance(value, dict) else [value]

    found = bodies.body(attributes, "decision")
    assert sorted(map(repr, leaves(found))) == sorted(map(repr, attributes.values()))
