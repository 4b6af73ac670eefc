"""Generates `attributes.py` and `ATTRIBUTES.md` from the registry: `python -m spanledger_semconv.generate`.

Rules
- The YAML files in `registry/` are the source; both outputs are committed and a test fails when they drift.
- A constant is the attribute's id in upper case, dots turned into underscores.
- Only this module needs PyYAML; the runtime package imports without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent
REGISTRY = PACKAGE / "registry"
CONSTANTS = PACKAGE / "attributes.py"
TABLE = PACKAGE.parent / "ATTRIBUTES.md"
COMMAND = "python -m spanledger_semconv.generate"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One registry entry. `type_name` is `enum` where `members` are given; `is_personal` keeps it out of envelopes."""

    id: str
    type_name: str
    brief: str
    stability: str
    examples: tuple[Any, ...] = ()
    members: tuple[str, ...] = ()
    note: str = ""
    renamed_to: str = ""
    is_personal: bool = False

    @property
    def constant(self) -> str:
        """The name of the Python constant."""
        return self.id.upper().replace(".", "_").replace("-", "_")

    @property
    def is_template(self) -> bool:
        """True when the id is a prefix that a free key follows."""
        return self.type_name.startswith("template")


@dataclass(frozen=True, slots=True)
class Group:
    """Attributes that belong together."""

    id: str
    brief: str
    attributes: tuple[Attribute, ...]


def load_registry(directory: Path = REGISTRY) -> tuple[Group, ...]:
    """Read every registry file, in the order of their names."""
    import yaml  # noqa: PLC0415 - a development dependency; nothing else here may need it

    documents = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.yaml")))
    return tuple(_group(entry) for document in documents for entry in document["groups"])


def _group(entry: Mapping[str, Any]) -> Group:
    return Group(entry["id"], entry["brief"], tuple(_attribute(item) for item in entry["attributes"]))


def _attribute(item: Mapping[str, Any]) -> Attribute:
    kind = item["type"]
    members = tuple(str(member["value"]) for member in kind["members"]) if isinstance(kind, Mapping) else ()
    return Attribute(
        id=item["id"],
        type_name="enum" if members else str(kind),
        brief=item["brief"],
        stability=item["stability"],
        examples=tuple(item.get("examples", ())),
        members=members,
        note=item.get("note", ""),
        renamed_to=item.get("deprecated", {}).get("renamed_to", ""),
        is_personal=bool(item.get("annotations", {}).get("personal")),
    )


def format_constants(groups: tuple[Group, ...]) -> str:
    """Return the text of `attributes.py`."""
    lines = [
        '"""Attribute names, generated from `registry/`; do not edit.',
        "",
        f"Regenerate with `{COMMAND}`.",
        '"""',
        "# ruff: noqa: S105 - `token` in a name is a token of a model, not a secret",
        "",
        "from typing import Final",
    ]
    for group in groups:
        lines += ["", f"# {group.brief}"]
        for attribute in group.attributes:
            lines += [f'{attribute.constant}: Final = "{attribute.id}"', f'"""{_constant_docstring(attribute)}"""']
    lines += _set("CLEAR", _clear(groups), "Keys whose values hold nothing personal: they may stand in an envelope.")
    lines += _set("PERSONAL", _personal(groups), "Keys whose values may be personal: content, stored by reference.")
    return "\n".join(lines) + "\n"


def _constant_docstring(attribute: Attribute) -> str:
    end = f" Deprecated: {attribute.renamed_to}." if attribute.renamed_to else ""
    return attribute.brief.replace('"', "'") + end


def _all(groups: tuple[Group, ...]) -> Iterator[Attribute]:
    return (attribute for group in groups for attribute in group.attributes)


def _clear(groups: tuple[Group, ...]) -> list[str]:
    return [a.constant for a in _all(groups) if not a.is_personal and not a.is_template]


def _personal(groups: tuple[Group, ...]) -> list[str]:
    return [a.constant for a in _all(groups) if a.is_personal]


def _set(name: str, constants: list[str], docstring: str) -> list[str]:
    body = [f"        {constant}," for constant in sorted(constants)]
    return ["", f"{name}: Final = frozenset(", "    {", *body, "    }", ")", f'"""{docstring}"""']


def format_table(groups: tuple[Group, ...]) -> str:
    """Return the text of `ATTRIBUTES.md`."""
    lines = ["# Attributes", "", f"Generated from `spanledger_semconv/registry/` by `{COMMAND}`; do not edit."]
    for group in groups:
        lines += ["", f"## {group.id.removeprefix('registry.')}", "", group.brief, ""]
        lines += ["| attribute | type | meaning | example |", "|---|---|---|---|"]
        lines += [_table_row(attribute) for attribute in group.attributes]
    return "\n".join(lines) + "\n"


def _table_row(attribute: Attribute) -> str:
    name = f"`{attribute.id}{'.<key>' if attribute.is_template else ''}`"
    kind = (
        "one of " + ", ".join(f"`{value}`" for value in attribute.members) if attribute.members else attribute.type_name
    )
    meaning = " ".join(part for part in (attribute.brief, attribute.note, _marks(attribute)) if part)
    example = f"`{attribute.examples[0]!r}`" if attribute.examples else ""
    return "| " + " | ".join(text.replace("|", "\\|") for text in (name, kind, meaning, example)) + " |"


def _marks(attribute: Attribute) -> str:
    marks = [f"Deprecated: use `{attribute.renamed_to}`."] if attribute.renamed_to else []
    marks += ["May be personal."] if attribute.is_personal else []
    return " ".join(marks)


def main() -> None:
    """Write both outputs."""
    groups = load_registry()
    CONSTANTS.write_text(format_constants(groups), encoding="utf-8")
    TABLE.write_text(format_table(groups), encoding="utf-8")


if __name__ == "__main__":
    main()
