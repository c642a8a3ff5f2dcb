"""What a special case can ask of a call's values: traits of one argument, of its parts, and relations of several.

Pure: a trait is of the source of a value and has a hash; None where the value has no such trait. Whether calls share one, and
whether that says anything, is judged in ``generality``.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import lru_cache, partial, reduce
from itertools import combinations, pairwise
from operator import xor
from typing import TypeGuard

from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value

_MAX_PLACES = 12
_LARGE = 1e300
Trait = Callable[[str], Hashable]
Values = Sequence[str]
"""The sources of a call's values."""
Relation = Callable[[Sequence[float]], tuple[float, ...] | None]


def _value(source: str) -> object:
    try:
        return literal_value(source)
    except NoLiteral:
        return None


def constants(source: str) -> set[str]:
    """The constants in a source, as sources; none of what does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return set()
    return {repr(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)}


@lru_cache(maxsize=4096)
def items_of(source: str) -> tuple[object, ...]:
    """The items of a text, a list or a tuple; none of anything else."""
    value = _value(source)
    return tuple(value) if isinstance(value, str | list | tuple) else ()


def _end(at: int) -> Trait:
    def end(source: str) -> Hashable:
        items = items_of(source)
        return repr(items[at]) if items else None

    return end


def letters(source: str) -> int:
    """The sum of a text's characters."""
    return sum(map(ord, source))


def whole(source: str) -> int | None:
    """A number without what stands behind its point: 7 and 7.0 are one value to ``==``, and 7.2 lies beside it."""
    match _value(source):
        case int() as number:
            return number
        case float() as number if math.isfinite(number):
            return math.floor(number)
    return None


@lru_cache(maxsize=4096)
def numbers_of(source: str) -> tuple[float, ...]:
    """The numbers among several arguments, or where these are not two, their numbers and lengths; none for one argument."""
    values = _value(f"({source},)")
    if not isinstance(values, tuple):
        return ()
    numbers = tuple(one for one in values if _is_moderate(one))
    sizes = tuple(size for one in values if (size := _size(one)) is not None)
    found = numbers if len(numbers) > 1 else sizes
    return found if len(found) > 1 else ()


def _size(value: object) -> float | None:
    if isinstance(value, str | bytes | list | tuple | dict | set):
        return len(value)
    return value if _is_moderate(value) else None


def _is_moderate(value: object) -> TypeGuard[float]:
    """Whether a value is a number that can be added to any other: an integer above 1e308 is no float."""
    return isinstance(value, int | float) and abs(value) < _LARGE


@lru_cache(maxsize=4096)
def lengths_of(source: str) -> tuple[int, ...]:
    """How long several arguments are as texts; none for one argument."""
    values = _value(f"({source},)")
    return tuple(len(str(one)) for one in values) if isinstance(values, tuple) and len(values) > 1 else ()


def related(relation: Relation, numbers: Callable[[str], Sequence[float]], source: str) -> Hashable:
    """The relation of the numbers, or lengths, among several arguments, as a trait of all of them."""
    return relation(numbers(source))


def are_known(numbers: Sequence[float], known: frozenset[str]) -> bool:
    """Whether each number is 0 or, without its sign, one of the ``known`` constants."""
    return {repr(abs(one)) for one in numbers} <= known | {"0"}


def _steps(numbers: Sequence[float]) -> tuple[float, ...] | None:
    return tuple(after - before for before, after in pairwise(numbers)) or None


def _sum(numbers: Sequence[float]) -> tuple[float, ...] | None:
    return (sum(numbers),) if numbers else None


def _product(numbers: Sequence[float]) -> tuple[float, ...] | None:
    found = math.prod(numbers) if numbers else None
    return (found,) if found is not None and _is_moderate(found) else None


def _exclusive_or(numbers: Sequence[float]) -> tuple[float, ...] | None:
    whole = [one for one in numbers if isinstance(one, int)]
    return (reduce(xor, whole),) if len(whole) > 1 else None


def _remainder_turned(numbers: Sequence[float]) -> tuple[float, ...] | None:
    return _remainder(numbers[::-1])


def _remainder(numbers: Sequence[float]) -> tuple[float, ...] | None:
    """What each number leaves by the next one; None where one of these is a border of its own: nothing, one, or one less."""
    found = tuple(one % by for one, by in pairwise(numbers) if by)
    if not found or len(found) < len(numbers) - 1:
        return None
    borders = any(left in (0, 1, by - 1) for left, by in zip(found, numbers[1:], strict=True))
    return None if borders else found


def is_part(source: str, other: str) -> bool:
    """Whether a value is there in another argument: a text as a part of it, a number as a number of its own."""
    value = _value(source)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(abs(value)) in constants(other)
    return source.strip("'\"") in other


def parts_of(own: str) -> Iterator[tuple[str, Trait]]:
    """What a special case can ask of parts of a value: two letters, an item, a letter at its place, how often it is there, two that are alike."""
    items = items_of(own)
    for piece in _pieces(own)[:_MAX_PLACES]:
        yield f"the part {piece!r}", partial(_has, piece)
    for at in range(1, min(len(items) - 1, _MAX_PLACES)):
        yield f"item {at}", partial(_item, at)
    for item in [one for at, one in enumerate(items) if one not in items[:at]][:_MAX_PLACES]:
        yield f"the count of {item!r}", partial(_count, item)
    for first, second in combinations(range(min(len(items), _MAX_PLACES)), 2):
        if items[first] == items[second]:
            apart = second - first
            yield (
                f"that {items[first]!r} is there twice, {apart} apart",
                partial(_is_twice, items[first], apart),
            )
            yield from (
                (f"that items {one} and {other} are alike", partial(_are_alike, one, other))
                for one in (first, first - len(items))
                for other in (second, second - len(items))
            )


def _has(piece: object, source: str) -> bool:
    return piece in _pieces(source)


def _item(at: int, source: str) -> str:
    return repr(items_of(source)[at : at + 1])


def _is_twice(item: object, apart: int, source: str) -> bool:
    items = items_of(source)
    return any(one == item == other for one, other in zip(items, items[apart:], strict=False))


def _count(item: object, source: str) -> int:
    return items_of(source).count(item)


def _are_alike(first: int, second: int, source: str) -> bool:
    """Whether two items are equal; places below 0 are counted from the end."""
    items = items_of(source)
    places = [at if at >= 0 else at + len(items) for at in (first, second)]
    return all(0 <= at < len(items) for at in places) and items[first] == items[second]


def _number_of(kind: Callable[[str], bool], source: str) -> int | None:
    """How many letters of a text are of a kind; None for none, which most texts have."""
    value = _value(source)
    return sum(map(kind, value)) or None if isinstance(value, str) else None


def _digits(source: str) -> str:
    """The digits of a whole number; empty for anything else, and for 0, which is a border of much."""
    return str(abs(number)) if (number := whole(source)) else ""


def _pieces(source: str) -> list[object]:
    """Two neighbouring letters of a text; each item of a list or tuple."""
    items = items_of(source)
    if isinstance(_value(source), str):
        return [f"{first}{second}" for first, second in pairwise(items)]
    return list(items)


_KINDS: Mapping[str, Callable[[str], bool]] = {
    "capital letters": str.isupper,
    "small letters": str.islower,
    "digits": str.isdigit,
    "spaces": str.isspace,
    "vowels": lambda letter: letter.lower() in "aeiou",
    "other signs": lambda letter: not letter.isalnum() and not letter.isspace(),
}
TRAITS: Mapping[str, Trait] = {
    "the value": lambda source: source,
    "the number": lambda source: whole(source) or None,  # 0 is a border of much
    "the sum of the characters": letters,
    "the first item": _end(0),
    "the last item": _end(-1),
}
"""What a special case can ask of one argument, given its source; None where it has no such trait."""
SIZES: Mapping[str, Trait] = {
    "the length": len,
    "the number of items": lambda source: len(items_of(source)) or None,
}
"""The same of how long it is."""
REMAINDERS: Mapping[str, Trait] = {
    "the length, even or odd,": lambda source: len(source) % 2,
    "the length, by three,": lambda source: len(source) % 3,
    "the sum of the characters, even or odd,": lambda source: letters(source) % 2,
    "the sum of the characters, by three,": lambda source: letters(source) % 3,
}
"""The same for texts and lists, of what many have, so that more calls have to say so: small numbers are all of one length."""
TRAITS_BY_CHANCE: Mapping[str, Trait] = {
    "the number of different items": lambda source: len({repr(item) for item in items_of(source)}) or None,
    **{f"the number of {name}": partial(_number_of, kind) for name, kind in _KINDS.items()},
    "the first digit": lambda source: _digits(source)[:1] or None,
    "the last digit": lambda source: _digits(source)[-1:].strip("0") or None,  # round numbers are many
}
"""The same for any value; None where it has no such trait."""
RELATIONS: Mapping[str, Relation] = {
    "the steps between": _steps,
    "the sum": _sum,
    "the product": _product,
    "the exclusive or": _exclusive_or,
    "the remainder": _remainder,
    "the remainder the other way round": _remainder_turned,
}
"""The same of the numbers among all arguments, else of their sizes; a step of 0, and what the module names, is a border of its own.
Of how long all are as texts, more calls have to say so."""
