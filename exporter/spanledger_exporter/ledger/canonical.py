"""Canonical JSON of the envelope profile (ledger.md section 3, RFC 8785 within the profile).

Rules
- UTF-8, no white space, ASCII keys sorted by code unit, no duplicate keys, no `null`.
- Integers within ±(2^53-1) are JSON integers; larger ones become strings.
- Floats become strings in shortest round-trip form (ECMAScript's, as in RFC 8785);
  NaN, Infinity, -Infinity, -0 by name.
- An `orjson.Fragment` holds bytes that are canonical already and is taken as it is.
- Bytes become base64. A lone surrogate becomes U+FFFD, a non-ASCII key is percent-encoded, a `None` inside a list
  becomes the string "null"; each of these sets `sanitized: true` in the envelope.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from spanledger_exporter.errors import CanonicalError

MAX_SAFE_INTEGER = 2**53 - 1
_SCALARS = frozenset({str, int, bool})
_STRICT = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
MAX_DEPTH = 100
"""Nesting past this is refused: a cycle, or a document that no reader could show."""


def canonical_envelope(envelope: Mapping[str, Any]) -> bytes:
    """Return the canonical bytes of `envelope`; sets `sanitized` in them when a value had to be replaced.

    Raises CanonicalError for cycles, nesting past `MAX_DEPTH` and values of unknown types.
    """
    try:
        profile = _Profile()
        value = profile.mapping(envelope, depth=0)
        if profile.sanitized:
            value["sanitized"] = True
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        pass  # a lone surrogate: rare enough that the common path does not look for it
    profile = _Profile(replace_surrogates=True)
    value = profile.mapping(envelope, depth=0)
    value["sanitized"] = True
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise CanonicalError(f"expected a JSON object, got one that orjson refuses: {error}") from error


def canonical_json(value: Any) -> bytes:
    """Return canonical bytes of any JSON value under the same profile (content documents, log entries)."""
    if type(value) is dict and (flat := _flat_json(value)) is not None:
        return flat
    try:
        return orjson.dumps(_Profile().value(value, depth=0), option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return orjson.dumps(_Profile(replace_surrogates=True).value(value, depth=0), option=orjson.OPT_SORT_KEYS)


def _flat_json(value: dict[Any, Any]) -> bytes | None:
    """Return canonical bytes of an object of texts, integers and flags; None for any other, which needs the walk."""
    if not _SCALARS.issuperset(map(type, value.values())):
        return None
    try:
        return orjson.dumps(value, option=_STRICT) if "".join(value).isascii() else None
    except (TypeError, orjson.JSONEncodeError):  # a key that is no text, a large integer, a lone surrogate
        return None


def format_float(number: float) -> str:
    """Return the shortest decimal that reads back as `number`, in ECMAScript's notation."""
    if number != number:  # noqa: PLR0124 - NaN is the only value that differs from itself
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "-0" if math.copysign(1, number) < 0 else "0"
    if number.is_integer() and abs(number) < 1e21:  # ECMAScript writes an exponent from here on
        return str(int(number)) if abs(number) <= MAX_SAFE_INTEGER else _positional(repr(number))
    return _positional(repr(number))


def _positional(text: str) -> str:
    """Turn Python's shortest form into ECMAScript's: other limits for the exponent, no padding in it."""
    sign, text = ("-", text[1:]) if text.startswith("-") else ("", text)
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if 0 < point <= 21:
        padded = digits.ljust(point, "0")
        return sign + padded[:point] + (f".{padded[point:]}" if padded[point:] else "")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if digits[1:] else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


class _Profile:
    """One walk over a value; remembers whether anything had to be replaced."""

    __slots__ = ("replace_surrogates", "sanitized")

    def __init__(self, *, replace_surrogates: bool = False) -> None:
        self.replace_surrogates = replace_surrogates
        self.sanitized = False

    def value(self, value: Any, *, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            return self.text(value) if self.replace_surrogates else value
        if kind is bool or kind is orjson.Fragment:
            return value
        if kind is int:
            return value if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else str(value)
        if kind is float:
            return format_float(value)
        if depth >= MAX_DEPTH:
            raise CanonicalError(f"expected at most {MAX_DEPTH} levels of nesting, got more: is the value cyclic?")
        if kind is dict:
            return self.mapping(value, depth=depth)
        if kind is list or kind is tuple:
            return [self._item(item, depth=depth + 1) for item in value]
        return self._other(value, depth=depth)

    def _other(self, value: Any, *, depth: int) -> Any:
        if isinstance(value, Mapping):
            return self.mapping(value, depth=depth)
        if isinstance(value, (list, tuple)):
            return [self._item(item, depth=depth + 1) for item in value]
        if isinstance(value, (bytes, bytearray, memoryview)):
            return b64encode(value).decode()
        if isinstance(value, str):  # subclasses: enums, numpy-like scalars that inherit
            return self.value(str.__str__(value), depth=depth)
        for base in (int, float):
            if isinstance(value, base):
                return self.value(base(value), depth=depth)
        raise CanonicalError(f"expected str, int, float, bool, bytes, list or mapping, got {type(value).__name__}")

    def _item(self, value: Any, *, depth: int) -> Any:
        if value is None:
            self.sanitized = True
            return "null"
        return self.value(value, depth=depth)

    def mapping(self, mapping: Mapping[Any, Any], *, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        absent = 0
        takes_text_as_is = not self.replace_surrogates
        for key, value in mapping.items():
            if value is None:
                absent += 1
                continue
            name = key if type(key) is str and key.isascii() else self._key(key)
            # Most values are text: they skip the call that would only hand them back.
            is_plain = takes_text_as_is and type(value) is str
            result[name] = value if is_plain else self.value(value, depth=depth + 1)
        if len(result) + absent != len(mapping):
            raise CanonicalError(f"expected distinct keys, got some twice among {sorted(map(str, mapping))}")
        return result

    def _key(self, key: Any) -> str:
        text = self.text(str(key))
        if not text.isascii():
            self.sanitized = True
            text = quote(text, safe=" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~")
        return text

    def text(self, text: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:
            self.sanitized = True
            # A pair of surrogates that belongs together is one character; only lone ones are replaced.
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text
