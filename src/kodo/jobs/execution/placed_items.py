"""Sequences that meet what a condition asks of their items by place: ``buf[0] == 0x89 and buf[1] == 0x50``, ``text[4:5] == "-"``.

A signature of several bytes is not found by chance, and stands whole in the condition. Reads source only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from kodo.jobs.execution.worker.literal_value import literal_value

_MAX_PLACE, _MAX_WITNESSES, _MAX_NEAR = 600, 24, 10
_MIN_LENGTH = 16
Placed = dict[int, object]
"""Place -> the item that has to stand there: a number of a byte, or a character."""


@lru_cache(maxsize=512)
def placed_items(node: ast.AST) -> tuple[str, ...]:
    """The sources of the sequences, for each condition one that meets it and then some with one item changed, and one too short."""
    whole: dict[str, None] = {}
    near: dict[str, None] = {}
    inner = {
        id(part)
        for one in ast.walk(node)
        if isinstance(one, ast.BoolOp)
        for part in ast.walk(one)
        if part is not one
    }
    for one in ast.walk(node):
        for found in _alternatives(one) if id(one) not in inner else ():
            if found:
                whole[_source(found)] = None
                near |= dict.fromkeys(_near(found))
    return (*list(whole)[:_MAX_WITNESSES], *list(near)[: _MAX_WITNESSES * 2])


def _alternatives(node: ast.AST) -> list[Placed]:
    """What the sides of an outermost condition ask for together; of an ``or`` each of them alone."""
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            out: list[Placed] = [{}]
            for value in values:
                sides = _alternatives(value) or [{}]
                out = [one | side for one in out for side in sides][:_MAX_WITNESSES]
            return out
        case ast.BoolOp(op=ast.Or(), values=values):
            return [found for value in values for found in _alternatives(value)]
        case ast.Compare(left=ast.Subscript(slice=at), ops=[ast.Eq() | ast.In()], comparators=[right]):
            return [found for item in _items(right) if (found := _at(at, item))]
    return []


def _items(node: ast.expr) -> Iterator[object]:
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        for one in node.elts:
            yield from _items(one)
    elif isinstance(node, ast.Call) and node.args:  # bytearray([0x89, 0x50])
        try:
            value = literal_value(node.args[0])
            if isinstance(value, list | tuple):
                yield bytes(value)
        except (ValueError, TypeError):  # no literal, or its items are no bytes
            return
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | str | bytes):
        yield node.value


def _at(place: ast.expr, item: object) -> Placed:
    """The items that a comparison of one place, or of a slice, asks for."""
    if isinstance(place, ast.Slice):
        start = (
            literal_value(place.lower)
            if isinstance(place.lower, ast.Constant)
            else 0
            if place.lower is None
            else None
        )
        if isinstance(start, int) and isinstance(item, str | bytes) and 0 <= start < _MAX_PLACE:
            return dict(enumerate(item, start))
        return {}
    number = getattr(place, "value", None)
    is_byte = isinstance(item, int) and not isinstance(item, bool) and item in range(256)
    is_item = is_byte or (isinstance(item, str) and len(item) == 1)
    if type(number) is int and 0 <= number < _MAX_PLACE and is_item:
        return {number: item}
    return {}


def _source(placed: Placed, length: int = 0) -> str:
    """A sequence with those items: a text where they are characters, else bytes."""
    length = length or max(_MIN_LENGTH, max(placed) + 2)
    if any(isinstance(one, str) for one in placed.values()):
        return repr("".join(str(placed.get(at, "a")) for at in range(length)))
    numbers = (placed.get(at, 0) for at in range(length))
    return repr(bytes(one if isinstance(one, int) else 0 for one in numbers))


def _near(placed: Placed) -> Iterator[str]:
    for at, item in list(placed.items())[:_MAX_NEAR]:
        yield _source(
            placed
            | {at: item + 1 if isinstance(item, int) and item < 255 else 0 if isinstance(item, int) else "~"}
        )
    yield _source(placed, max(placed)) if max(placed) else repr(b"")
