"""Reversible patches of client classes, installed when (and only when) the application imports their module.

- A module that is imported already is patched at once; another one by a post-import hook. Nothing is imported by us.
- The patches are made when the library's package is imported: what reads its calls is not loaded for nothing.
- Installing twice is harmless. `remove` puts every original back; where somebody has wrapped our wrapper meanwhile,
  ours stays in place and passes calls through, because its telemetry is switched off.
- Methods that were bound while patched (the SDKs cache `with_raw_response`) pass through after `remove` likewise.
- Import hooks cannot be taken back, so a hook of a removed set does nothing.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

import wrapt

from spanledger.invocation.faults import report_once, warn_once


@dataclass(frozen=True, slots=True)
class Patch:
    """One method or function to wrap: `target` is `Class.method` or `function` in `module`.

    A library that lacks it is left alone.
    """

    module: str
    target: str
    wrapper: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Installed:
    owner: type | ModuleType
    name: str
    original: Any
    replacement: Any


class _ObservedMethod(wrapt.ObjectProxy[Any]):
    """A method of the library to whoever looks at it; its calls go through the wrapper.

    What it binds to is an ordinary method, so that `__func__`, weak references, copies and pickles are what they are
    without us. The bound wrapper of wrapt has none of these, and hands the unobserved function out as `__func__`.
    """

    def __init__(self, original: Any, wrapper: Callable[..., Any]) -> None:
        super().__init__(original)
        self._self_wrapper = wrapper

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __call__(self, instance: object, /, *args: Any, **kwargs: Any) -> Any:
        bound = self.__wrapped__.__get__(instance, type(instance))
        return self._self_wrapper(bound, instance, args, kwargs)

    def __copy__(self) -> Any:
        return self  # as functions do

    def __deepcopy__(self, _memo: object) -> Any:
        return self

    def __reduce_ex__(self, _protocol: Any) -> str:
        return str(self.__qualname__)  # by reference: another process observes its own


class PatchSet:
    """All patches of one instrumentor, from `install` to `remove`; `make` gives those of the package `library`."""

    def __init__(self, library: str, make: Callable[[], Sequence[Patch]]) -> None:
        self._library = library
        self._make = make
        self._patches: Sequence[Patch] = ()
        self._installed: dict[tuple[str, str], _Installed] = {}  # guarded by _lock
        self._is_live = False
        self._lock = threading.Lock()

    def install(self) -> None:
        """Patch what is imported, and the rest when it is imported."""
        self._is_live = True
        if self._library in sys.modules:
            self._begin()
        else:
            wrapt.register_post_import_hook(self._begin, self._library)

    def _begin(self, _library: ModuleType | None = None) -> None:
        """Make the patches and install them; a failure is reported and the library works unobserved."""
        if not self._is_live:
            return
        try:
            self._patches = self._make()
        except Exception as error:
            report_once(f"prepare to observe {self._library}", error)
            warn_once(f"no call of {self._library} is recorded in this process: reinstall spanledger")
        for module in dict.fromkeys(patch.module for patch in self._patches):
            if module in sys.modules and not _is_being_imported(sys.modules[module]):
                self._patch(sys.modules[module])
            else:
                wrapt.register_post_import_hook(self._patch, module)

    def remove(self) -> None:
        """Put the originals back."""
        with self._lock:
            self._is_live = False
            installed, self._installed = self._installed, {}
        for patch in installed.values():
            if vars(patch.owner).get(patch.name) is patch.replacement:
                setattr(patch.owner, patch.name, patch.original)

    def _patch(self, module: ModuleType) -> None:
        """Patch the methods of one imported module; a failure is reported and the library works unobserved."""
        with self._lock:
            if not self._is_live:
                return
            for patch in self._patches:
                if patch.module == module.__name__ and (patch.module, patch.target) not in self._installed:
                    try:
                        self._wrap(module, patch)
                    except Exception as error:
                        report_once(f"patch {patch.module}.{patch.target}", error)

    def _wrap(self, module: ModuleType, patch: Patch) -> None:
        owner_name, _, name = patch.target.rpartition(".")
        owner = getattr(module, owner_name, None) if owner_name else module
        original = vars(owner).get(name) if isinstance(owner, type | ModuleType) else None
        if owner is None or original is None:
            return
        is_method = isinstance(owner, type) and isinstance(original, FunctionType)  # also somebody's proxy of one
        replacement = (_ObservedMethod if is_method else wrapt.FunctionWrapper)(original, patch.wrapper)
        setattr(owner, name, replacement)
        self._installed[(patch.module, patch.target)] = _Installed(owner, name, original, replacement)


def _is_being_imported(module: ModuleType) -> bool:
    """Whether `module` is only half there: its classes come later, and so does its post-import hook."""
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))
