"""The base of our instrumentors: version check, telemetry, lazy patches, and back again."""

from __future__ import annotations

import logging
import re
from abc import abstractmethod
from collections.abc import Collection, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from spanledger.invocation.coexistence import Rival, must_step_aside
from spanledger.invocation.patches import Patch, PatchSet
from spanledger.invocation.telemetry import Telemetry

_logger = logging.getLogger("spanledger")


class ClientInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # the base is untyped
    """Instruments one client library; subclasses say which versions, which rivals and which patches.

    `instrument` takes `tracer_provider`, `meter_provider`, `logger_provider`, `completion_hook` and `skip_dep_check`.
    """

    library: ClassVar[str]
    """Import name and distribution name of the client library."""

    oldest: ClassVar[tuple[int, ...]]
    """The oldest version of the library that the patches fit."""

    entry_point: ClassVar[str]
    rivals: ClassVar[tuple[Rival, ...]] = ()

    # BaseInstrumentor is a singleton whose __init__ runs again on every construction: state lives on the class.
    _telemetry: Telemetry | None = None
    _patches: PatchSet | None = None

    @abstractmethod
    def patches(self, telemetry: Telemetry) -> Sequence[Patch]:
        """Every method to wrap, with its wrapper; asked when the library is there: import what reads its calls here."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Give the requirement that `opentelemetry-instrument` checks."""
        return (f"{self.library} >= {_dotted(self.oldest)}",)

    def _instrument(self, **kwargs: Any) -> None:
        if not self._fits_installed_version():
            return
        telemetry = Telemetry(
            type(self).__module__,
            tracer_provider=kwargs.get("tracer_provider"),
            meter_provider=kwargs.get("meter_provider"),
            logger_provider=kwargs.get("logger_provider"),
            completion_hook=kwargs.get("completion_hook"),
            rivals_check=lambda: must_step_aside(self.rivals, self.entry_point),
        )
        self._telemetry = telemetry
        self._patches = PatchSet(self.library, lambda: self.patches(telemetry))
        self._patches.install()

    def _uninstrument(self, **_kwargs: Any) -> None:
        if self._telemetry is not None:
            self._telemetry.active = False
        if self._patches is not None:
            self._patches.remove()
        self._telemetry = self._patches = None

    def _fits_installed_version(self) -> bool:
        """Say clearly, once, why a library is left alone; the launcher skips the check of the base class."""
        try:
            installed = version(self.library)
        except PackageNotFoundError:
            _logger.info("%s is not installed: %s has nothing to instrument", self.library, self.entry_point)
            return False
        if _numbers(installed) >= self.oldest:
            return True
        _logger.warning(
            "%s expected %s >= %s, got %s: its calls are not recorded; upgrade it with `pip install -U %s`",
            self.entry_point,
            self.library,
            _dotted(self.oldest),
            installed,
            self.library,
        )
        return False


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text.split("+", maxsplit=1)[0])[:3])


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
