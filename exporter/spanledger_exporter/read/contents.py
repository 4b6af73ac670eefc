"""The contents that events refer to, as people can read them.

A content is shown only when the store has it plain and its bytes fit the reference; else the reason stands in its
place: encrypted, withheld, missing, or altered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from spanledger_exporter.ledger.content import content_ref
from spanledger_exporter.read.envelopes import of_tenant
from spanledger_exporter.read.event import Event
from spanledger_exporter.read.unshipped import NOTHING, Unshipped
from spanledger_exporter.store.connection import Store

BATCH = 1_000
ONE_LINE = 100
"""Bytes up to which a JSON content is shown in one line."""


@dataclass(frozen=True, slots=True)
class ReadableContent:
    """One content. `problem` is empty when `data` are the bytes that the reference commits to."""

    reference: str
    content_class: str
    media: str
    size: int
    data: bytes
    problem: str = ""

    @property
    def text(self) -> str:
        """Return what a person sees of it."""
        if self.problem:
            return f"[{self.problem}]"
        if self.media.startswith("text/"):
            return self.data.decode("utf-8", "replace")
        if self.media == "application/json":
            return _pretty(self.data)
        return f"[{self.media}, {self.size:,} bytes]"


def missing_content(reference: str) -> ReadableContent:
    """Return what stands for a reference that the store does not have."""
    return ReadableContent(reference, "", "", 0, b"", "not in the store: withheld, erased, pruned or lost")


def load_contents(
    store: Store, events: Iterable[Event], *, tenant: str = "", unshipped: Unshipped = NOTHING
) -> Mapping[str, ReadableContent]:
    """Return the contents that `events` refer to, by reference (hex)."""
    references = sorted({reference for event in events for reference in event.references()})
    found: dict[str, ReadableContent] = {}
    for start in range(0, len(references), BATCH):
        for content in _load(store, references[start : start + BATCH], tenant=tenant):
            # Several rows may claim one reference; whichever fits it is the one that was committed to.
            if found.get(content.reference, content).problem or content.reference not in found:
                found[content.reference] = content
    for reference in references:
        spooled = unshipped.contents.get(reference)
        if reference not in found and spooled is not None:
            about = (spooled.content_class, spooled.media, spooled.size, spooled.data or b"", spooled.key_id)
            found[reference] = _readable((reference, *about))
    return {reference: found.get(reference) or missing_content(reference) for reference in references}


def _load(store: Store, references: list[str], *, tenant: str) -> list[ReadableContent]:
    condition, parameters = of_tenant(tenant)
    rows = store.query(
        "SELECT lower(hex(ref)) AS reference, class, media, size, data, key_id "
        f"FROM {store.database}.content WHERE ref IN "
        f"(SELECT toFixedString(unhex(r), 32) FROM (SELECT arrayJoin({{refs:Array(String)}}) AS r)) {condition}",
        {"refs": references, **parameters},
        binary=("data",),
    )
    return [_readable(row) for row in rows]


def _readable(row: tuple[Any, ...]) -> ReadableContent:
    reference, content_class, media, size, data, key_id = row
    problem = ""
    if content_class == "withheld":
        problem = "withheld: only its reference was kept"
    elif key_id:
        problem = f"encrypted under key {key_id}"
    elif content_ref(media, data).hex() != reference:
        problem = "ALTERED: these bytes are not what the row committed to"
    return ReadableContent(reference, content_class, media, size, data, problem)


def _pretty(data: bytes) -> str:
    try:
        value = orjson.loads(data)
        if isinstance(value, dict) and isinstance(value.get("content"), str) and value.keys() <= {"type", "content"}:
            return str(value["content"])
        fits_one_line = len(data) <= ONE_LINE
        return orjson.dumps(value, option=0 if fits_one_line else orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return data.decode("utf-8", "replace")
