"""Calls in which a value that was compared gives way to the one that it was compared with.

Where a call is given ``'2014-04-10T00:00'`` and ``0`` was compared with ``24``, it is made with ``'2014-04-10T24:00'`` too. That
a value comes from an input is a guess: it stands in it, as it is or as its text, is its length, or changes with it.
"""

from __future__ import annotations

import ast
import copy
import itertools
import math
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value
from kodo.jobs.execution.worker.operands import Sides

_MAX_OF_A_CALL = 60
_MAX_PLACES = 24
_MAX_PAIRS = 80
_LONGEST = 200
_LONGEST_TEXT = 3000
_LARGEST = 10**60
_MAX_NUMBERS = 4
_NUMBER = re.compile(r"(?<![\d.])\d{1,18}(?![\d.])")
_SAME, _TEXT, _LENGTH, _NEAR = range(4)
"""How sure it is that a value comes from a place of the input; smaller is surer."""
Key = tuple[tuple[str, ...], str, tuple[Arg, ...]]


@dataclass(frozen=True, slots=True)
class _Made:
    """A value that a call makes, by the source of that call: a date."""

    source: str


class Matches:
    """The calls of one changed function to make because of what others compared; those of the newest ones first."""

    def __init__(self) -> None:
        self._asked: set[int] = set()
        self._calls: deque[Call] = deque()
        self._made: set[Key] = set()

    def unasked(self, calls: Iterable[Call], count: int) -> list[Call]:
        """At most ``count`` of the calls whose comparisons were not looked at; each is handed out once."""
        new = {call.id: call for call in calls if call.id not in self._asked}
        chosen = list(new.values())[:count]
        self._asked.update(call.id for call in chosen)
        return chosen

    def put(self, call: Call, pairs: Iterable[Sides]) -> None:
        """Take the calls that what ``call`` compared leads to."""
        new = [one for one in matched(call, pairs) if _key(one) not in self._made]
        self._made.update(map(_key, new))
        self._calls.extendleft(reversed(new))

    def take(self, count: int, number: int) -> list[Call]:
        """At most ``count`` calls to make next, numbered from one above ``number``."""
        chosen = [self._calls.popleft() for _ in range(min(count, len(self._calls)))]
        return [msgspec.structs.replace(call, id=number + 1 + at) for at, call in enumerate(chosen)]


def _value(source: str) -> object:
    """What a source means."""
    try:
        return literal_value(source)
    except NoLiteral:
        return _Made(source)


def _key(call: Call) -> Key:
    return call.setup, call.expression, call.args


def nearest_first(pairs: Iterable[Sides], touched: Collection[int]) -> list[Sides]:
    """The pairs without repeats, those from lines that the change touched first."""
    return sorted(dict.fromkeys(pairs), key=lambda one: one.line not in touched)


def matched(call: Call, pairs: Iterable[Sides]) -> Iterator[Call]:
    """The variations of a call by what was compared in it, the surest of the first pairs first."""
    rows: list[tuple[int, int, int, str]] = []
    for number, pair in enumerate(list(pairs)[:_MAX_PAIRS]):
        one, other = _value(pair.one), _value(pair.other)
        for at, arg in enumerate(call.args):
            for old, new in ((one, other), (other, one)):
                rows += [(sure, number, at, source) for sure, source in replaced(arg.source, old, new)]
    rows.sort(key=lambda row: row[:3])
    chosen = dict.fromkeys((at, source) for _, _, at, source in rows if source != call.args[at].source)
    for at, source in list(chosen)[:_MAX_OF_A_CALL]:
        args = (*call.args[:at], Arg(call.args[at].name, source), *call.args[at + 1 :])
        yield msgspec.structs.replace(call, args=args)


def replaced(source: str, old: object, new: object) -> Iterator[tuple[int, str]]:
    """Sources like ``source`` with ``new`` in the place of ``old``, and how sure each is that it is the right place."""
    if len(source) > _LONGEST_TEXT:
        return
    tree = ast.parse(source, mode="eval")
    for place, value in _places(tree)[:_MAX_PLACES]:
        for sure, other in _others(value, old, new):
            yield sure, ast.unparse(_with(tree, place, _node(other)))


def _places(tree: ast.Expression) -> list[tuple[ast.expr, object]]:
    """The literals and calls in an expression and their values, the outermost first; a minus sign belongs to its number."""
    out: list[tuple[ast.expr, object]] = []
    todo: deque[ast.AST] = deque([tree])
    while todo:
        node = todo.popleft()
        if isinstance(node, ast.Constant) or (
            isinstance(node, ast.UnaryOp)
            and isinstance(node.op, ast.USub)
            and isinstance(node.operand, ast.Constant)
        ):
            out.append((node, literal_value(node)))
        else:
            if isinstance(node, ast.List):
                out.append((node, node.elts))
            elif isinstance(node, ast.Call):
                out.append((node, _Made(ast.unparse(node))))
            todo.extend(ast.iter_child_nodes(node))
    return out


def _with(node: ast.AST, place: ast.AST, made: ast.AST) -> ast.AST:
    """A copy of a tree with another node at one place."""
    if node is place:
        return made
    new = copy.copy(node)
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            setattr(new, name, _with(value, place, made))
        elif isinstance(value, list):
            parts = [_with(one, place, made) if isinstance(one, ast.AST) else one for one in value]
            setattr(new, name, parts)
    return new


def _node(value: object) -> ast.expr:
    """The expression of a value."""
    if isinstance(value, list):
        return ast.List(value, ast.Load())
    return ast.parse(value.source if isinstance(value, _Made) else repr(value), mode="eval").body


def _others(value: object, old: object, new: object) -> Iterator[tuple[int, object]]:
    """What a literal may become where ``new`` is to be instead of ``old``."""
    if type(value) is type(old) and value == old:
        yield _SAME, new
        if type(new) is int:
            yield from ((_TEXT, new + step) for step in (1, -1))
    elif isinstance(value, str):
        yield from ((_TEXT, text) for text in _texts(value, old, new))
        yield from ((_NEAR, text) for text in _texts_of_numbers(value, old, new))
    elif isinstance(value, bytes):
        given, put = (one.decode("latin-1") if isinstance(one, bytes) else one for one in (old, new))
        for text in _texts(value.decode("latin-1"), given, put):
            if text.isascii():
                yield _TEXT, text.encode("ascii")
    elif type(value) in (int, float):
        yield from ((_NEAR, number) for number in _numbers(value, old, new))
    if isinstance(value, str | bytes | list) and type(old) is type(new) is int and old == len(value):
        yield from (
            (_LENGTH, made) for size in (new, new + 1) if (made := _of_length(value, size)) is not None
        )


def _texts(value: str, old: object, new: object) -> Iterator[str]:
    """A text with the text of one value in the place of another's; a number keeps the digits of the one that it replaces."""
    if isinstance(old, str) and isinstance(new, str):
        if old:
            for found in _some(re.finditer(re.escape(old), value, re.IGNORECASE)):
                yield value[: found.start()] + new + value[found.end() :]
    elif type(old) is int and type(new) in (int, float):
        for found in _some(re.finditer(rf"(?<![\d.])0*{abs(old)}(?![\d.])", value)):
            text = str(new).zfill(len(found[0])) if type(new) is int else str(new)
            yield value[: found.start()] + text + value[found.end() :]


def _texts_of_numbers(value: str, old: object, new: object) -> Iterator[str]:
    """A text with another whole number in it, as far from the one that it replaces as ``new`` is from ``old``."""
    for found in list(_NUMBER.finditer(value))[:_MAX_NUMBERS]:
        for number in itertools.islice(_numbers(int(found[0]), old, new), 1):
            if number >= 0:
                yield value[: found.start()] + str(number).zfill(len(found[0])) + value[found.end() :]


def _some(found: Iterable[re.Match[str]]) -> list[re.Match[str]]:
    """The first matches and the last one."""
    every = list(found)
    return every if len(every) <= 3 else [*every[:2], every[-1]]


def _numbers(value: object, old: object, new: object) -> Iterator[float]:
    """Numbers for which ``new`` may be compared where it was ``old`` for ``value``: as far away, or in the same proportion."""
    assert isinstance(value, int | float)  # noqa: S101 - its type was just asked
    numbers = [one for one in (old, new) if type(one) in (int, float)]
    if len(numbers) < 2 or not -_LARGEST < value < _LARGEST:
        return
    before, after = numbers
    assert isinstance(before, int | float) and isinstance(after, int | float)  # noqa: S101 - only these were taken
    found: list[float] = [value + (after - before)]
    if before and value:
        exact = all(type(one) is int for one in (value, before, after))
        found.append(value * after // before if exact else value * after / before)
    for one in found:
        if math.isfinite(one) and abs(one) < _LARGEST:
            yield int(one) if type(value) is int else float(one)


def _of_length(value: str | bytes | list[ast.expr], size: int) -> object:
    """The value cut, or lengthened by itself, to a number of items; None where it has none or they are too many."""
    if not value or not 0 <= size <= _LONGEST:
        return None
    whole: Sequence[object] = value * (size // len(value) + 1)
    return whole[:size]
