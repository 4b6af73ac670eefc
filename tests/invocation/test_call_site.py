"""Where a call was made, found once per place in the application's code."""

from __future__ import annotations

from typing import Any

from spanledger.invocation.call_site import find_call_site, modules_inside
from spanledger_semconv.invocation import CallSite

INSIDE = modules_inside("library")


def _observed() -> CallSite | None:
    return find_call_site(INSIDE)  # this frame stands for ours, its caller is the application


def test_a_place_is_found_once() -> None:
    """A loop's calls have one site; two lines of a function have two."""
    first, second = (_observed() for _ in range(2))
    other = _observed()
    assert first is second
    assert isinstance(first, CallSite)
    assert isinstance(other, CallSite)
    assert first.module == other.module == __name__
    assert (first.function, other.function) == (
        "test_a_place_is_found_once.<locals>.<genexpr>",
        "test_a_place_is_found_once",
    )
    assert other.line == 1 + (first.line or 0)


def test_two_calls_on_one_line_are_one_line() -> None:
    """They are two places in the code, and say the same."""
    first, second = _observed(), _observed()
    assert first == second


def test_code_that_runs_in_two_modules_has_two_sites() -> None:
    """As when a file is executed under another name."""
    code = compile("site = observed()", "app.py", "exec")
    modules: list[dict[str, Any]] = [{"__name__": name, "observed": _observed} for name in ("app", "copy_of_app")]
    for module in (*modules, *modules):
        exec(code, module)  # noqa: S102  # two modules of one code object
    assert [module["site"] for module in modules] == [
        CallSite("app", "<module>", 1),
        CallSite("copy_of_app", "<module>", 1),
    ]
