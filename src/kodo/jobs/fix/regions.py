"""Whether the calls that a patch changes are told from those that it leaves by something that can be said of them.

A fix mends the empty lists, the texts with a space at an end, the numbers that another one divides, or what raised an error: a trait of
the values, or two of them together. Pure: the sources of values in, yes or no out.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Protocol, TypeGuard

from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value

FEW = 4
"""Calls that are changed, and as many that are left, without which nothing can be said."""
_WRONG = 0.1
"""The share of the calls of either kind that a trait may have wrong: borders are said a little differently than they are coded."""

_LARGE = 1e300
"""Integers above are no floats."""
_Row = str | list[object] | tuple[object, ...]
_ROW = (str, list, tuple)
_LETTERS: Mapping[str, Callable[[str], bool]] = {
    "space": str.isspace, "digit": str.isdigit, "capital": str.isupper, "small": str.islower, "word": str.isalnum,
}  # fmt: skip  # a table reads better in rows
_MADE: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum": sum,
    "largest": max,
    "smallest": min,
}
"""What code makes of a row of numbers, to compare it with another one."""


class NearCall(Protocol):
    """A call that ran in both versions; see ``generality.Trial``."""

    @property
    def values(self) -> Sequence[str]:
        """The sources of the arguments."""

    @property
    def before(self) -> str:
        """What the call gave before, or the name of its error."""

    @property
    def raised(self) -> bool:
        """Whether it was an error."""


def can_be_stated(own: Sequence[str], changed: Sequence[NearCall], left: Sequence[NearCall]) -> bool:
    """Whether one trait of the calls, or two together, tell those that changed from those that are left.

    Args:
        own: the sources of the arguments of the test's own call.
        changed, left: the calls; with fewer than ``FEW`` of either kind the answer is yes.
    """
    if min(len(changed), len(left)) < FEW:
        return True
    base = [_read(source) for source in own]
    traits = [set(_traits(one, base)) for one in (*changed, *left)]
    count = len(traits)
    every = (1 << count) - 1
    wanted = (1 << len(changed)) - 1
    masks = {sum((name in row) << at for at, row in enumerate(traits)) for name in set().union(*traits)}
    sides = {side for mask in masks for side in (mask, every ^ mask)} - {0, every}
    most = max(1, int(_WRONG * min(len(changed), len(left))))

    def fits(mask: int) -> bool:
        return (mask ^ wanted).bit_count() <= most

    return any(map(fits, sides)) or any(
        fits(one & other) or fits(one | other) for one, other in combinations(sides, 2)
    )


def _traits(ran: NearCall, own: Sequence[object]) -> Iterator[object]:
    """What can be said of a call: what it gave, of each value, and of each two."""
    if ran.raised:
        yield "raised", ran.before
    elif not _read(ran.before):
        yield "gave nothing"
    values = [_read(source) for source in ran.values]
    for at, value in enumerate(values):
        of = own[at] if at < len(own) else None
        yield from (
            (at, trait)
            for trait in (
                *_of_any(value, of),
                *_of_number(value),
                *_of_row(value),
                *_of_items(value),
                *_of_text(value),
            )
        )
    for (at, one), (other, second) in combinations(enumerate(values), 2):
        yield from ((at, other, trait) for trait in _of_two(one, second))


def _of_any(value: object, own: object) -> Iterator[str]:
    """What can be said of any value; that it lacks a trait is asked too, so of two that exclude each other one is enough."""
    yield type(value).__name__
    if value:
        yield "something"
    if value == own:
        yield "as the test's"
    if isinstance(value, int | float) and isinstance(own, int | float) and value > own:
        yield "more"
    if isinstance(value, (*_ROW, dict)) and isinstance(own, (*_ROW, dict)):
        yield _longer(len(value), len(own))


def _longer(one: float, other: float) -> str:
    return "more" if one > other else "as much" if one == other else "less"


def _of_number(value: object) -> Iterator[str]:
    if _is_moderate(value):
        if value < 0:
            yield "negative"
        if value == value // 1:
            yield "whole"
        yield from (f"a multiple of {by}" for by in (2, 3, 4, 5, 10) if value % by == 0)


def _of_row(value: object) -> Iterator[str]:
    """What can be said of a text or a row as a whole."""
    if not isinstance(value, _ROW):
        return
    shown = [repr(item) for item in value]
    facts = {
        "repeats": len(set(shown)) < len(shown),
        "one item": len(shown) == 1,
        "odd": len(shown) % 2 == 1,
        "a palindrome": shown == shown[::-1],
        "neighbours alike": any(first == second for first, second in pairwise(shown)),
        "rising": _is_sorted(value),
        "falling": _is_sorted(value[::-1]),
    }
    yield from (name for name, is_so in facts.items() if is_so)


def _is_sorted(row: _Row) -> bool:
    try:
        return list(row) == sorted(row)  # type: ignore[type-var]  # some have no order, and raise
    except TypeError:
        return False


def _of_items(value: object) -> Iterator[str]:
    """What can be said of the items of a row."""
    if not isinstance(value, _ROW):
        return
    if not all(value):
        yield "with nothing in it"
    yield from (f"with a {kind}" for kind in {type(item).__name__ for item in value})
    if numbers := _numbers(value):
        yield from (f"its {name} is nothing" for name, made in _MADE.items() if not made(numbers))
        if min(numbers) < 0:
            yield "with less than nothing"


def _of_text(value: object) -> Iterator[str]:
    if not isinstance(value, str) or not value:
        return
    for name, kind in _LETTERS.items():
        has = [kind(letter) for letter in value]
        facts = {
            f"a {name}": any(has),
            f"all {name}": all(has),
            f"{name} first": has[0],
            f"{name} last": has[-1],
        }
        yield from (what for what, is_so in facts.items() if is_so)
    yield from (f"with {letter!r}" for letter in set(value) if not letter.isalnum())


def _of_two(one: object, other: object) -> Iterator[str]:
    """What can be said of two values of one call."""
    if one == other:
        yield "alike"
    match one, other:
        case str(), str():
            facts = {
                "in it": one in other,
                "has it": other in one,
                "starts": one.startswith(other),
                "ends": one.endswith(other),
            }
            yield from (name for name, is_so in facts.items() if is_so)
        case _ if _is_moderate(one) and _is_moderate(other):
            if one < other:
                yield "less"
            pairs = {"divides": (one, other), "is divided by": (other, one)}
            yield from (name for name, (by, of) in pairs.items() if by and of % by == 0)
    yield from _of_row_and_item(one, other)
    yield from _of_row_and_item(other, one)
    if isinstance(one, (*_ROW, dict)) and isinstance(other, (*_ROW, dict)):
        yield _longer(len(one), len(other))


def _of_row_and_item(row: object, item: object) -> Iterator[str]:
    """Whether a row holds a value, and what is made of its numbers beside one."""
    if isinstance(row, list | tuple | dict | set) and _is_in(item, row):
        yield "holds it"
    if _is_moderate(item) and isinstance(row, (*_ROW, dict)):
        yield f"its length is {_longer(len(row), item)}"
    if _is_moderate(item) and (numbers := _numbers(row)):
        yield from (f"its {name} is {_longer(made(numbers), item)}" for name, made in _MADE.items())


def _is_in(item: object, row: Container[object]) -> bool:
    try:
        return item in row
    except TypeError:  # a list is no key
        return False


def _is_moderate(value: object) -> TypeGuard[float]:
    """Whether a value is a number that can be divided by any other."""
    return isinstance(value, int | float) and abs(value) < _LARGE


def _numbers(value: object) -> Sequence[float]:
    """The numbers of a row of nothing else."""
    items = list(value) if isinstance(value, list | tuple) else []
    return items if all(map(_is_moderate, items)) else []


def _read(source: str) -> object:
    try:
        return literal_value(source)
    except NoLiteral:
        return source
