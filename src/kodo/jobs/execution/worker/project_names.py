"""What the modules of a project define, found from the running side: functions by their code, other objects by identity."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_MAX_WRAPPERS = 10
_MAX_MISSED = 20


@dataclass(frozen=True, slots=True)
class NamedFunction:
    """A function of a project: ``owner`` is its class, None for a module's own; ``kind`` is how that class holds it."""

    function: types.FunctionType
    module: str
    owner: type | None
    name: str
    kind: type


@dataclass
class ProjectNames:
    """The names in the imported modules below the folder ``root``; read again when more were imported."""

    root: str
    _functions: dict[types.CodeType, list[NamedFunction]] = field(default_factory=dict)
    _objects: dict[int, str] = field(default_factory=dict)
    _read: int = 0
    _missed: int = 0

    def objects(self) -> Mapping[int, str]:
        """Identity of an object -> ``module:name`` of a global that holds it."""
        self._refresh()
        return self._objects

    def function_of(self, frame: types.FrameType) -> NamedFunction | None:
        """The named function that a frame runs; of those that a decorator made of one code, that with the frame's closure."""
        self._refresh()
        if frame.f_code not in self._functions and self._missed < _MAX_MISSED:
            self._missed, self._read = self._missed + 1, 0  # a wrapper may have been given other code
            self._refresh()
        for one in self._functions.get(frame.f_code, ()):
            cells = zip(frame.f_code.co_freevars, one.function.__closure__ or (), strict=True)
            if all(_same(frame, name, cell) for name, cell in cells):
                return one
        return None

    def _refresh(self) -> None:
        if len(sys.modules) == self._read:
            return
        self._read = len(sys.modules)
        self._functions, self._objects = {}, {}
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if not (isinstance(file, str) and file.startswith(self.root)):
                continue
            for key, value in list(vars(module).items()):
                self._objects.setdefault(id(value), f"{name}:{key}")
                for one in _functions_in(name, key, value):
                    self._functions.setdefault(one.function.__code__, []).append(one)


def _functions_in(module: str, name: str, value: object) -> Iterator[NamedFunction]:
    """The functions that a global is, wraps, or has as the methods of a class of this module."""
    if isinstance(value, type):
        if value.__module__ == module:
            for key, item in list(vars(value).items()):
                for function in _unwrapped(item):
                    yield NamedFunction(function, module, value, key, type(item))
    else:
        for function in _unwrapped(value):
            yield NamedFunction(function, module, None, name, types.FunctionType)


def _unwrapped(value: object) -> Iterator[types.FunctionType]:
    """The function that an object is, and those inside of it: of a property, a class method, a decorator."""
    for _ in range(_MAX_WRAPPERS):
        if isinstance(value, types.FunctionType):
            yield value
        value = next((one for name in _HOLDERS if (one := _held(value, name)) is not None), None)
        if value is None:
            return


_HOLDERS = ("__func__", "fget", "__wrapped__", "func")
"""Where class methods, properties, decorated functions and cached properties keep what they were made of."""


def _held(value: object, name: str) -> object:
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - an object of foreign code may raise anything when it is asked
        return None


def _same(frame: types.FrameType, name: str, cell: types.CellType) -> bool:
    try:
        return frame.f_locals.get(name) is cell.cell_contents
    except ValueError:  # the cell is empty
        return False
