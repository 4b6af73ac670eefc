"""Envelopes put together from text are, byte for byte, those that encoding all their fields gives."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as some

from spanledger_exporter.ledger.canonical import canonical_envelope, canonical_json
from spanledger_exporter.normalise.shared_fields import MAX_FORMS, SharedFields, quoted, values_of

NAMES = some.sampled_from(["attributes", "cost", "event_id", "input", "name", "service", "snapshot", "time", "usage"])
VALUES = some.recursive(
    some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text("abc%", min_size=1), inner, max_size=3),
    max_leaves=6,
)
FIELDS = some.dictionaries(NAMES, VALUES, max_size=6)


@given(FIELDS, some.lists(FIELDS, max_size=3))
def test_an_envelope_is_what_encoding_its_fields_gives(shared: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Whatever the fields hold, percent signs and other alphabets too, and whichever of them a row says itself."""
    fields = SharedFields({"tenant": "default", **shared})
    for row in rows:
        own = {name: canonical_json(value).decode() for name, value in row.items()}
        assert fields.envelope(own) == canonical_envelope({"tenant": "default", **shared, **row})


def test_the_order_in_which_a_row_says_its_fields_does_not_matter() -> None:
    """Keys are sorted in the envelope."""
    fields = SharedFields({"tenant": "default", "name": "chat 100 % %s"})
    assert fields.envelope({"time": "1", "cost": "2"}) == fields.envelope({"cost": "2", "time": "1"})
    assert (
        fields.envelope({"cost": "2", "time": "1"}) == b'{"cost":2,"name":"chat 100 % %s","tenant":"default","time":1}'
    )


def test_a_repaired_field_is_told_in_every_row() -> None:
    """A lone surrogate, which UTF-8 cannot hold, becomes U+FFFD; the tenant that files go by is the repaired one."""
    fields = SharedFields({"tenant": "bank \ud800", "name": "chat"})
    envelope = orjson.loads(fields.envelope({"event_id": '"a:b"'}))
    assert envelope == {"event_id": "a:b", "name": "chat", "sanitized": True, "tenant": "bank \ufffd"}
    assert fields.tenant == "bank \ufffd"


def test_a_repaired_value_inside_of_a_field_is_told_too() -> None:
    """The case id is one level down."""
    fields = SharedFields({"tenant": "default", "context": {"case_id": "case \udfff"}})
    envelope = orjson.loads(fields.envelope({}))
    assert envelope == {"context": {"case_id": "case \ufffd"}, "sanitized": True, "tenant": "default"}


def test_forms_are_bounded() -> None:
    """A program that gives each row other fields gets its rows, and no memory full of forms."""
    fields = SharedFields({"tenant": "default"})
    for number in range(3 * MAX_FORMS):
        name = f"field_{number}"
        assert orjson.loads(fields.envelope({name: "1"})) == {"tenant": "default", name: 1}
    assert len(fields._forms) <= MAX_FORMS  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("names", [(), ("b",), ("b", "a")])
def test_values_come_in_the_order_of_their_names(names: tuple[str, ...]) -> None:
    """However many there are; a missing one is an error, not a gap."""
    assert values_of(names)({"a": 1, "b": 2, "c": 3}) == tuple({"a": 1, "b": 2}[name] for name in names)
    if names:
        with pytest.raises(KeyError):
            values_of(names)({"c": 3})


def test_a_word_is_quoted_as_json() -> None:
    """Also one that somebody put into an attribute to break out of it."""
    assert quoted('success","cost":"0') == '"success\\",\\"cost\\":\\"0"'
