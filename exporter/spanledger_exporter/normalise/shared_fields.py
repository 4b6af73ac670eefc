"""Envelopes that share most of their fields, put together from text: what repeats is encoded once.

Every value is the canonical JSON of a field, as text. Envelopes with the same fields differ in a handful of values, so
their text is made from a form: the shared part as it stands, with a place for each field of a row's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import orjson

from spanledger_exporter.ledger.canonical import canonical_envelope, canonical_json

MAX_FORMS: Final = 16
"""How many forms are kept for one set of shared fields: which fields of its own a row has takes few shapes."""

Values = Callable[[Mapping[str, Any]], tuple[Any, ...]]
"""Gives the values under certain names, in their order; raises KeyError where one is missing."""


class SharedFields:
    """Fields that many rows have in common; `texts` is by key. Changed by nobody."""

    __slots__ = ("_forms", "tenant", "texts")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        """Take an envelope's fields as values; one that had to be repaired says so in every row (`sanitized`)."""
        values: dict[str, Any] = orjson.loads(canonical_envelope(fields))
        self.tenant: str = values["tenant"]
        self.texts: Mapping[str, str] = {key: _text(value) for key, value in values.items()}
        self._forms: dict[tuple[str, ...], tuple[str, Values]] = {}

    def envelope(self, own: Mapping[str, str]) -> bytes:
        """Return the canonical bytes of the envelope with these fields and its `own`, which go before shared ones."""
        names = tuple(own)
        form, values = self._forms.get(names) or self._form(names)
        return (form % values(own)).encode()

    def _form(self, names: tuple[str, ...]) -> tuple[str, Values]:
        """Return the text of an envelope with a place for each of `names`, and what gives their values in order."""
        texts = {key: text.replace("%", "%%") for key, text in self.texts.items()} | dict.fromkeys(names, "%s")
        text = ",".join(f'"{key}":{texts[key]}' for key in sorted(texts))
        form = (f"{{{text}}}", values_of(tuple(sorted(names))))
        if len(self._forms) >= MAX_FORMS:
            self._forms.clear()
        self._forms[names] = form
        return form


def values_of(names: tuple[str, ...]) -> Values:
    """Return what gives the values under `names`."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda mapping: tuple(mapping[name] for name in names)


@lru_cache(maxsize=256)
def quoted(text: str) -> str:
    """Return the JSON of a word that comes again and again: an outcome, a source, a model."""
    return canonical_json(text).decode()


def _text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
