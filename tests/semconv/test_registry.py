"""The registry is the only source of attribute names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from spanledger_semconv import attributes, events, generate
from spanledger_semconv.generate import (
    CONSTANTS,
    TABLE,
    Attribute,
    Group,
    format_constants,
    format_table,
    load_registry,
)


@pytest.fixture(scope="module")
def groups() -> tuple[Group, ...]:
    """Read the registry once."""
    return load_registry()


@pytest.fixture(scope="module")
def every(groups: tuple[Group, ...]) -> list[Attribute]:
    """Give all attributes of all groups."""
    return [attribute for group in groups for attribute in group.attributes]


def test_the_constants_are_what_the_registry_generates(groups: tuple[Group, ...]) -> None:
    """Editing either without the other fails here; run `python -m spanledger_semconv.generate`."""
    assert CONSTANTS.read_text(encoding="utf-8") == format_constants(groups)


def test_the_reference_table_is_what_the_registry_generates(groups: tuple[Group, ...]) -> None:
    """The table that people read never lags behind."""
    assert TABLE.read_text(encoding="utf-8") == format_table(groups)


def test_every_attribute_appears_once(every: list[Attribute]) -> None:
    """Two meanings of one name would make rows ambiguous."""
    ids = [attribute.id for attribute in every]
    assert len(ids) == len(set(ids))


def test_every_attribute_has_what_the_opentelemetry_registry_shape_asks_for(every: list[Attribute]) -> None:
    """Id in lower case with dots, a known type, a sentence, a stability, and examples unless the type says all."""
    types = r"enum|any|int|double|boolean|string(\[\])?|template\[string\]"
    for attribute in every:
        assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", attribute.id)
        assert re.fullmatch(types, attribute.type_name), attribute.id
        assert attribute.brief.endswith("."), attribute.id
        assert attribute.stability in {"development", "stable"}
        assert attribute.examples, attribute.id


def test_a_renamed_attribute_points_at_one_that_exists(every: list[Attribute]) -> None:
    """A deprecation that leads nowhere helps nobody."""
    ids = {attribute.id for attribute in every}
    assert {attribute.renamed_to for attribute in every if attribute.renamed_to} <= ids


def test_an_example_of_an_enumeration_is_one_of_its_members(every: list[Attribute]) -> None:
    """The registry does not contradict itself."""
    for attribute in every:
        if attribute.members:
            assert set(attribute.examples) <= set(attribute.members), attribute.id


def test_no_personal_attribute_may_stand_in_an_envelope() -> None:
    """What is personal is content: an envelope can never be erased."""
    assert not attributes.CLEAR & attributes.PERSONAL
    assert attributes.GEN_AI_INPUT_MESSAGES in attributes.PERSONAL


def test_the_event_types_of_code_and_registry_are_the_same(every: list[Attribute]) -> None:
    """`spanledger.event.type` lists exactly what `events` knows."""
    registered = next(a for a in every if a.id == attributes.SPANLEDGER_EVENT_TYPE)
    assert set(registered.members) == events.EVENT_TYPES


def test_every_registered_operation_has_an_event_type(every: list[Attribute]) -> None:
    """No operation of the conventions falls through the table."""
    registered = next(a for a in every if a.id == attributes.GEN_AI_OPERATION_NAME)
    assert set(registered.members) == set(events.OPERATIONS)


def test_importing_the_constants_needs_no_yaml() -> None:
    """PyYAML is for the generator; an application never loads it."""
    code = "import sys, spanledger_semconv.attributes, spanledger_semconv.events; sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_running_the_generator_writes_both_outputs(
    groups: tuple[Group, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`python -m spanledger_semconv.generate`."""
    monkeypatch.setattr(generate, "CONSTANTS", tmp_path / "attributes.py")
    monkeypatch.setattr(generate, "TABLE", tmp_path / "ATTRIBUTES.md")
    generate.main()
    assert (tmp_path / "attributes.py").read_text(encoding="utf-8") == format_constants(groups)
    assert (tmp_path / "ATTRIBUTES.md").read_text(encoding="utf-8") == format_table(groups)
