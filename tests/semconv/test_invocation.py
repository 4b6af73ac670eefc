"""The records of the hand-over."""

from spanledger_semconv.invocation import CallSite, PromptIdentity


def test_equal_records_are_found_in_a_dictionary() -> None:
    """The exporter remembers what it made of equal circumstances."""
    known = {(CallSite("app", "triage", 3), PromptIdentity("ab")): "made once"}
    assert known[(CallSite("app", "triage", 3), PromptIdentity("ab"))] == "made once"
