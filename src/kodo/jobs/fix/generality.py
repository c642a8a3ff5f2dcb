"""Whether a patch changes more than the frozen test's own case, judged by what both versions gave for calls near it.

A patch for the test alone asks for something that the test's call has: its values, how long their text is, their first
letter. So either it gives the test's own result wherever it changes one, or all calls that it changes share a trait
with the test's call that the calls without it do not have. A fix is believed where neither is so. Values in, reasons
out: nothing is run here.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial, reduce
from itertools import combinations, pairwise
from operator import xor
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from kodo.jobs.fix.cross_check import Recorded

ENOUGH = 6
"""Calls with other values that must have run before their results say anything."""
_MAX_PLACES = 12
_LARGE = 1e300
MANY = 8
"""The same for a trait that a call may have by chance."""
_SHARED = frozenset(
    {"None", "True", "False", "0", "1", "-1", "0.0", "1.0", "''", "[]", "()", "{}", "b''", "set()"}
)
_EMPTY = _SHARED - {"0", "1", "-1", "0.0", "1.0"}
Trait = Callable[[str], Hashable]


@dataclass(frozen=True, slots=True)
class Trial:
    """One call that ran in both versions.

    Attributes:
        values: the sources of the test's literals, or of what stands in their places.
        aside: whether something was changed besides what is looked at, so that the result may be another one by that.
        differs: whether the versions do something else.
        before, after: the source of the result, or the name of the error.
        raised, raises: whether these are errors.
        accident: whether the one after is an operation's own on a value that it is not made for, as of ``^`` on a float.
    """

    values: tuple[str, ...]
    aside: bool = False
    differs: bool = False
    before: str = ""
    after: str = ""
    raised: bool = False
    raises: bool = False
    accident: bool = False

    def is_changed_like(self, own: Trial) -> bool:
        """Whether the patch changes this as it may have mended ``own``: an error where that has none is the condition's own.

        So is one that an operation raises by itself and that is not the test's, as ``%`` does for 0.
        """
        strange = self.raises and (not own.raises or (self.accident and self.after != own.after))
        return self.differs and not strange

    def is_common(self, known: frozenset[str]) -> bool:
        """Whether the result says nothing by itself: an error, one that many calls have, or one of ``known`` constants."""
        if self.raises or self.after in _SHARED:
            return True
        parts = _constants(self.after)
        return bool(parts) and parts <= known | _SHARED


@dataclass(frozen=True, slots=True)
class _Question:
    """A trait of the argument ``at`` a place, or of all; it explains so many ``changed`` calls, where so many ``left`` lack it.

    One ``of_numbers`` says nothing of a call that an operation of the condition itself ends, as ``^`` does on a float.
    """

    name: str
    trait: Trait
    at: int | None = None
    changed: int = 1
    left: int = ENOUGH
    of_numbers: bool = False

    def answer(self, values: Sequence[str]) -> Hashable:
        """The trait of a call, given the sources of its values."""
        return self.trait(", ".join(values) if self.at is None else values[self.at])


@dataclass(frozen=True, slots=True)
class Family:
    """A call of the test, and calls near it.

    ``varied`` are the places of the literals that were changed; ``direct`` says that these are arguments of what is looked at.
    """

    own: Trial
    near: tuple[Trial, ...]
    varied: frozenset[int]
    direct: bool = True

    def shared_traits(self, known: frozenset[str], *, has_means: bool = False) -> Iterator[str]:
        """What all calls that the patch changes have of the test's, and too many lack that it leaves as bad as they were.

        ``has_means``: the patch brings what a special case is made of, so nothing is taken for a border that was there.
        """
        near = [one for one in self.near if not one.aside]
        changed = [one for one in near if (one.is_changed_like(self.own) if has_means else one.differs)]
        left = [one.values for one in near if not one.differs and self._is_as_bad(one)]
        for question in self._questions(known, has_means=has_means):
            own = question.answer(self.own.values)
            like = [one.values for one in changed if not (question.of_numbers and one.accident)]
            if own is None or len(like) < question.changed:
                continue
            if sum(question.answer(values) != own for values in left) >= question.left and all(
                question.answer(values) == own for values in like
            ):
                yield question.name

    def gives_one_result(self, known: frozenset[str]) -> bool:
        """Whether each call that the patch changes gives the test's own result, which is none that many calls have.

        Some right patches do so too, where nothing of what is looked at was changed, or nothing stays as bad as it was.
        """
        near = [one for one in self.near if not one.aside]
        changed = [one for one in near if one.is_changed_like(self.own)]
        if {one.after for one in changed} != {self.own.after} or self.own.is_common(known):
            return False
        left = sum(not one.differs and self._is_as_bad(one) for one in near)
        several = len({one.before for one in changed}) > 1 and len(changed) >= ENOUGH
        return left >= ENOUGH or (several and self.direct)

    def _is_as_bad(self, trial: Trial) -> bool:
        """Whether a call that gives what it gave could have been mended: it gives a value, or the fault's own error."""
        return not trial.raises or (self.own.raised and trial.after == self.own.before)

    def _questions(self, known: frozenset[str], *, has_means: bool) -> Iterator[_Question]:
        """What a special case can have asked for."""
        own = self.own.values
        known = frozenset() if has_means else known
        for at in sorted(self.varied):
            others = own[:at] + own[at + 1 :]
            if own[at] in known | _EMPTY or any(own[at].strip("'\"") in other for other in others):
                continue  # the name of a mode, an empty container, the key of another argument
            where = f"of {own[at][:40]}"
            yield from (_Question(f"{name} {where}", trait, at) for name, trait in TRAITS.items())
            if _items(own[at]):
                yield from (
                    _Question(f"{name} {where}", trait, at, MANY, MANY)
                    for name, trait in TRAITS_BY_CHANCE.items()
                )
            if has_means:
                yield from (_Question(f"{name} {where}", trait, at) for name, trait in _means_of(own[at]))
        for name, relation in RELATIONS.items():
            numbers = relation(", ".join(own))
            if (
                numbers is not None
                and any(numbers)
                and not {repr(abs(one)) for one in numbers} <= known | {"0"}
            ):
                yield _Question(f"{name} of all arguments", relation, of_numbers=True)
        yield from (_Question(f"{name} of all arguments", trait) for name, trait in TRAITS_OF_ALL.items())


@dataclass(frozen=True, slots=True)
class Comparison:
    """What ran in both versions.

    Attributes:
        families: the calls of the test, each with those near it.
        wider: calls with arguments where the test gives none.
        known: the constants of the module before the patch, as sources.
        added: what the patch brings that a special case is made of (``special_means``).
        finished: whether the time was enough for calls with other values.
        expects_error: whether the test may ask for an error.
        recorded: what the calls did with the patch, for ``cross_check``; nothing is judged by it here.
    """

    families: tuple[Family, ...]
    wider: tuple[Trial, ...] = ()
    known: frozenset[str] = frozenset()
    added: tuple[str, ...] = ()
    finished: bool = True
    expects_error: bool = False
    recorded: Recorded | None = None

    def objection(self) -> str:
        """What this says against the patch; empty for nothing."""
        return next(self._objections(), "")

    def _objections(self) -> Iterator[str]:
        changed = [family for family in self.families if family.own.differs]
        if not self.finished:
            yield "what the test looks at could not be run with other values in time"
        if self.families and not changed:
            yield "outside of pytest the patch changes nothing of what the test looks at"
        if raising := [
            family.own.after for family in changed if family.own.raises and not self.expects_error
        ]:
            yield f"outside of pytest what the test looks at raises {raising[0]} with the patch"
        near = [one for family in self.families for one in family.near]

        def is_changed(one: Trial) -> bool:
            return any(one.is_changed_like(family.own) for family in changed)

        for tried, what in (
            (self.wider, "call only: with {} other arguments"),
            (near, "values only: with {} others near them"),
        ):
            if changed and len(tried) >= ENOUGH and not any(is_changed(one) for one in tried):
                yield f"the patch is for the test's own {what.format(len(tried))} all is as before"
        yield from self._one_result(changed, [one for one in (*near, *self.wider) if is_changed(one)])
        if trait := self._shared_trait(changed):
            yield f"the patch is for calls like the test's own only: {trait} is the same in all that it changes"

    def _one_result(self, changed: Sequence[Family], others: Sequence[Trial]) -> Iterator[str]:
        for family in changed:
            if family.gives_one_result(self.known):
                yield f"the patch gives the test's own result, {family.own.after[:60]}, for all values that it changes"
        results = {family.own.after for family in changed}
        if not others or not {one.after for one in others} <= results:
            return
        shown = ", ".join(sorted(results))[:60]
        if not all(family.own.is_common(self.known) for family in changed):
            yield f"the patch gives the test's own result, {shown}, where it changes one for other values"
        elif self.added:
            yield (
                f"the patch gives the test's own result, {shown}, where it changes one, and has "
                f"{', '.join(self.added)[:80]}, which neither the code nor the test names"
            )

    def _shared_trait(self, changed: Sequence[Family]) -> str:
        """A trait that explains the changes near each of the test's calls; empty where those near one have no such trait."""
        telling = [family for family in changed if any(one.differs and not one.aside for one in family.near)]
        found = [next(family.shared_traits(self.known, has_means=bool(self.added)), "") for family in telling]
        return found[0] if found and all(found) else ""


def _value(source: str) -> object:
    try:
        return ast.literal_eval(source)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _constants(source: str) -> set[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return set()
    return {repr(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)}


@lru_cache(maxsize=4096)
def _items(source: str) -> tuple[object, ...]:
    """The items of a text, a list or a tuple; none of anything else."""
    value = _value(source)
    return tuple(value) if isinstance(value, str | list | tuple) else ()


def _end(at: int) -> Trait:
    def end(source: str) -> Hashable:
        items = _items(source)
        return repr(items[at]) if items else None

    return end


def _letters(source: str) -> int:
    return sum(map(ord, source))


def _whole(source: str) -> int | None:
    """A number without what stands behind its point: 7 and 7.0 are one value to ``==``, and 7.2 lies beside it."""
    match _value(source):
        case int() as number:
            return number
        case float() as number if math.isfinite(number):
            return math.floor(number)
    return None


@lru_cache(maxsize=4096)
def _numbers(source: str) -> tuple[float, ...]:
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


def _steps(source: str) -> tuple[float, ...] | None:
    return tuple(after - before for before, after in pairwise(_numbers(source))) or None


def _sum(source: str) -> tuple[float, ...] | None:
    numbers = _numbers(source)
    return (sum(numbers),) if numbers else None


def _product(source: str) -> tuple[float, ...] | None:
    numbers = _numbers(source)
    found = math.prod(numbers) if numbers else None
    return (found,) if found is not None and _is_moderate(found) else None


def _exclusive_or(source: str) -> tuple[float, ...] | None:
    numbers = [one for one in _numbers(source) if isinstance(one, int)]
    return (reduce(xor, numbers),) if len(numbers) > 1 else None


def _remainder(source: str) -> tuple[float, ...] | None:
    return _remainders(_numbers(source))


def _remainder_turned(source: str) -> tuple[float, ...] | None:
    return _remainders(_numbers(source)[::-1])


def _remainders(numbers: Sequence[float]) -> tuple[float, ...] | None:
    """What each number leaves by the next one; None where one of these is a border of its own: nothing, one, or one less."""
    found = tuple(one % by for one, by in pairwise(numbers) if by)
    if not found or len(found) < len(numbers) - 1:
        return None
    borders = any(left in (0, 1, by - 1) for left, by in zip(found, numbers[1:], strict=True))
    return None if borders else found


def _means_of(own: str) -> Iterator[tuple[str, Trait]]:
    """What a special case can ask of parts of a value, if it is made of something: 0, two letters, an item, a letter at its place, two that are alike."""
    yield "the number", _whole
    for piece in _pieces(own)[:_MAX_PLACES]:
        yield f"the part {piece!r}", partial(_has, piece)
    for at in range(1, min(len(_items(own)) - 1, _MAX_PLACES)):
        yield f"item {at}", partial(_item, at)
    items = _items(own)
    for first, second in combinations(range(min(len(items), _MAX_PLACES)), 2):
        if items[first] == items[second]:
            yield from (
                (f"that items {one} and {other} are alike", partial(_are_alike, one, other))
                for one in (first, first - len(items))
                for other in (second, second - len(items))
            )


def _has(piece: object, source: str) -> bool:
    return piece in _pieces(source)


def _item(at: int, source: str) -> str:
    return repr(_items(source)[at : at + 1])


def _are_alike(first: int, second: int, source: str) -> bool:
    """Whether two items are equal; places below 0 are counted from the end."""
    items = _items(source)
    places = [at if at >= 0 else at + len(items) for at in (first, second)]
    return all(0 <= at < len(items) for at in places) and items[first] == items[second]


def _pieces(source: str) -> list[object]:
    """Two neighbouring letters of a text; each item of a list or tuple."""
    items = _items(source)
    if isinstance(_value(source), str):
        return [f"{first}{second}" for first, second in pairwise(items)]
    return list(items)


TRAITS: Mapping[str, Trait] = {
    "the value": lambda source: source,
    "the number": lambda source: _whole(source) or None,  # 0 is a border of much
    "the length": len,
    "the sum of the characters": _letters,
    "the number of items": lambda source: len(_items(source)) or None,
    "the first item": _end(0),
    "the last item": _end(-1),
}
"""What a special case can ask of one argument, given its source; None where it has no such trait."""
TRAITS_BY_CHANCE: Mapping[str, Trait] = {
    "the length, even or odd,": lambda source: len(source) % 2,
    "the length, by three,": lambda source: len(source) % 3,
    "the sum of the characters, even or odd,": lambda source: _letters(source) % 2,
    "the sum of the characters, by three,": lambda source: _letters(source) % 3,
}
"""The same for texts and lists, of what many have: small numbers are all of one length."""
RELATIONS: Mapping[str, Callable[[str], tuple[float, ...] | None]] = {
    "the steps between": _steps,
    "the sum": _sum,
    "the product": _product,
    "the exclusive or": _exclusive_or,
    "the remainder": _remainder,
    "the remainder the other way round": _remainder_turned,
}
"""The same of the numbers among all arguments, else of their lengths; a step of 0, and what the module names, is a border of its own."""
TRAITS_OF_ALL: Mapping[str, Trait] = {"the length": len, "the sum of the characters": _letters}
"""The same of all arguments together."""
