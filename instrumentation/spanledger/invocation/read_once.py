"""What can be read only once, kept so that the client library and the record can both read it.

An iterator becomes a list, a file that is to be sent becomes a copy in memory: what the library sends is the same to
the byte. One that fails while it is read fails for the library in the same place, with the same exception.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

_MAY_HOLD = (dict, list, tuple, Iterator)
_READ_OFTEN = frozenset({list, tuple, str, dict, type(None)})


def kept(value: Any, failures: list[Exception]) -> Any:
    """Return `value` itself, or a copy of what stands above something in it that can be read only once.

    `failures` gets the exceptions that reading raised: nothing will be sent then.
    """
    if isinstance(value, Iterator):
        # A file is an iterator too. Where it is not in the place of a file, the library refuses it, unread.
        return value if hasattr(value, "read") else _listed(value, failures)
    if isinstance(value, dict):
        copy = {key: kept(item, failures) if isinstance(item, _MAY_HOLD) else item for key, item in value.items()}
        if copy.get("type") == "base64" and isinstance(copy.get("data"), io.IOBase):
            copy["data"] = _read(copy["data"], failures)
        return copy if any(copy[key] is not item for key, item in value.items()) else value
    if isinstance(value, list | tuple):
        items = [kept(item, failures) if isinstance(item, _MAY_HOLD) else item for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def keep_arguments(arguments: dict[str, Any], names: tuple[str, ...]) -> bool:
    """Replace those of `arguments` that are iterators, in place; False when one of them raised.

    `arguments` are one call's own keyword arguments. What is in an ordinary list is not looked at: nearly every call
    has one, and walking through it costs more than all the rest.
    """
    failures: list[Exception] = []
    for name in names:
        value = arguments.get(name)
        if type(value) not in _READ_OFTEN and isinstance(value, Iterator):
            arguments[name] = kept(value, failures)
    return not failures


def _listed(iterator: Iterator[Any], failures: list[Exception]) -> Any:
    items: list[Any] = []
    try:
        items.extend(kept(item, failures) for item in iterator)
    except Exception as error:
        failures.append(error)
        return _failing(items, error)
    return items


def _failing(items: list[Any], error: Exception) -> Iterator[Any]:
    """Yield what an iterator gave before it raised, then raise as it did."""
    yield from items
    raise error


def _read(file: Any, failures: list[Exception]) -> Any:
    try:
        content = file.read()
    except Exception as error:
        failures.append(error)
        return _FailingFile(error)
    if isinstance(content, str):  # opened as text: the libraries encode it
        content = content.encode()
    return io.BytesIO(content) if isinstance(content, bytes) else file  # the library refuses anything else


class _FailingFile(io.BytesIO):
    """A file that cannot be read, for the reason that the original could not."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def read(self, size: int | None = -1, /) -> bytes:
        """Raise as the original did."""
        del size
        raise self._error
