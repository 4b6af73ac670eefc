"""The application code that made a call: the nearest frame that is neither ours nor the client library's.

Walking costs about a tenth of a microsecond per frame, and the application's frame is two or three frames up.
"""

from __future__ import annotations

import sys
from types import CodeType, FrameType

from spanledger_semconv.invocation import CallSite

_FURTHEST = 40
_MOST_SITES = 4_096
_NOT_THE_APPLICATION = ("spanledger.", "wrapt.", "functools.", "contextlib.", "asyncio.", "anyio.", "opentelemetry.")

_OURS = ("spanledger.invocation.", "wrapt.")
_WRAPPERS = "spanledger.invocation.observe"


def find_call_site(inside: tuple[str, ...]) -> CallSite | None:
    """Give the nearest frame outside the modules that `modules_inside` gave; who calls this is one of ours."""
    frame = sys._getframe(1).f_back  # noqa: SLF001  # the only way to a frame without building the whole stack
    for _ in range(_FURTHEST):
        if frame is None:
            return None
        module = frame.f_globals.get("__name__", "")
        if not f"{module}.".startswith(inside):
            return _site(module, frame)
        frame = frame.f_back
    return None


_sites: dict[tuple[int, int], tuple[CodeType, CallSite]] = {}  # by code and place in it: a line is found by searching


def _site(module: str, frame: FrameType) -> CallSite:
    code = frame.f_code
    key = (id(code), frame.f_lasti)  # a code's own hash looks at all its instructions; the entry keeps its id its own
    known = _sites.get(key)
    if known is not None and known[1].module == module:
        return known[1]
    site = CallSite(module, code.co_qualname, frame.f_lineno)
    if len(_sites) >= _MOST_SITES:
        _sites.clear()
    _sites[key] = (code, site)
    return site


def is_made_by_library(inside: tuple[str, ...]) -> bool:
    """Say whether the call that is starting was made by the library itself, in the course of another observed call.

    Then nothing but the library and plumbing stands between two wrappers of ours.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # as above
    while frame is not None and _module_of(frame).startswith(_OURS):
        frame = frame.f_back
    for _ in range(_FURTHEST):
        if frame is None:
            return False
        module = _module_of(frame)
        if module == _WRAPPERS:
            return True
        if not f"{module}.".startswith(inside):
            return False
        frame = frame.f_back
    return False


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))  # an application may have put anything there


def modules_inside(library: str) -> tuple[str, ...]:
    """Give what names of modules begin with that are not the application: `library`'s (a package), ours, plumbing."""
    return (*_NOT_THE_APPLICATION, library + ".")
