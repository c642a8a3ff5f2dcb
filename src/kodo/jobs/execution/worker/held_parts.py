"""The objects of a package that a result holds, each by the way to it: the children of a tree, the fields of a table.

What only a parser makes, with its parents and neighbours, is found there. Attributes are read where they are stored, so that
no property runs.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator

_DEPTH, _MAX_LOOKED_AT = 5, 400
"""Steps on the way to an object, and objects that are looked at."""
_EACH, _MAX_PARTS = 3, 30
"""Objects of one class, and of all."""
_KEYS = 3
"""Entries of a dict that are followed."""


def parts(result: object, package: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The way to each object, such as ``.children[0]``, and the names of its classes in the package, the nearest first.

    The way to the result itself is empty. Ways to the objects that are fewer steps away come first.
    """
    counts: dict[type, int] = {}
    looked_at: set[int] = set()
    out: list[tuple[str, tuple[str, ...]]] = []
    left: deque[tuple[str, object, int]] = deque([("", result, 0)])
    while left and len(out) < _MAX_PARTS and len(looked_at) < _MAX_LOOKED_AT:
        way, one, depth = left.popleft()
        if id(one) in looked_at:
            continue
        looked_at.add(id(one))
        names = _class_names(one, package)
        if names:
            counts[type(one)] = counts.get(type(one), 0) + 1
            if counts[type(one)] <= _EACH:
                out.append((way, names))
        if depth < _DEPTH:
            left += ((way + step, inner, depth + 1) for step, inner in _held(one, is_own=bool(names)))
    return tuple(out)


def _class_names(one: object, package: str) -> tuple[str, ...]:
    if isinstance(one, type):
        return ()
    classes = [kind for kind in type(one).__mro__ if kind.__module__.partition(".")[0] == package]
    return tuple(kind.__name__ for kind in classes)


def _held(one: object, *, is_own: bool) -> Iterator[tuple[str, object]]:
    """The first and last item of a list, some values of a dict, the stored public attributes of an object of the package."""
    kind = type(one)
    if isinstance(one, list | tuple) and kind in (list, tuple) and one:
        yield from (("[0]", one[0]), ("[-1]", one[-1]))
    elif kind is dict and isinstance(one, dict):
        for key, value in list(one.items())[:_KEYS]:
            if type(key) in (str, int):
                yield f"[{key!r}]", value
    elif is_own:
        slots = (name for base in kind.__mro__ for name in vars(base).get("__slots__", ()))
        for name in dict.fromkeys([*getattr(one, "__dict__", {}), *slots]):
            if isinstance(name, str) and name.isidentifier() and not name.startswith("_"):
                with contextlib.suppress(Exception):  # a slot that is empty, or what foreign code raises
                    yield f".{name}", getattr(one, name)
