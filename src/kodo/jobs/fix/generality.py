"""Whether a patch changes more than the frozen test's own case, judged by what both versions gave for calls near it.

A patch for the test alone asks for something that the test's call has: its values, how long their text is, their first
letter. So either it gives the test's own result wherever it changes one, or all calls that it changes share a trait
with the test's call that the calls without it do not have. A fix is believed where neither is so. Values in, reasons
out: nothing is run here.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kodo.jobs.fix.regions import can_be_stated
from kodo.jobs.fix.traits import (
    RELATIONS,
    REMAINDERS,
    SIZES,
    TRAITS,
    TRAITS_BY_CHANCE,
    Trait,
    Values,
    are_known,
    constants,
    is_part,
    items_of,
    lengths_of,
    letters,
    numbers_of,
    parts_of,
    related,
    whole,
)

if TYPE_CHECKING:
    from kodo.jobs.fix.cross_check import Recorded

ENOUGH = 6
"""Calls with other values that must have run before their results say anything."""
MANY = 8
"""The same for a trait that a call may have by chance."""
_SHARED = frozenset(
    {"None", "True", "False", "0", "1", "-1", "0.0", "1.0", "''", "[]", "()", "{}", "b''", "set()"}
)
_EMPTY = _SHARED - {"0", "1", "-1", "0.0", "1.0"}


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
        parts = constants(self.after)
        return bool(parts) and parts <= known | _SHARED


@dataclass(frozen=True, slots=True)
class _Question:
    """A trait of the argument ``at`` a place, or of all; it explains so many ``changed`` calls, where so many ``left`` lack it.

    One ``of_numbers`` says nothing of a call that an operation of the condition itself ends, as ``^`` does on a float; one
    ``of_sizes`` asks how long something is.
    """

    name: str
    trait: Trait
    at: int | None = None
    changed: int = 1
    left: int = ENOUGH
    of_numbers: bool = False
    of_sizes: bool = False

    @property
    def is_by_chance(self) -> bool:
        """Whether it is of what many calls have."""
        return self.changed >= MANY

    def answer(self, values: Values) -> Hashable:
        """The trait of a call, given the sources of its values."""
        return self.trait(", ".join(values) if self.at is None else values[self.at])

    def explains(self, own: Hashable, changed: Sequence[Values], left: Sequence[Values]) -> bool:
        """Whether enough changed calls, and all of them, have the trait as it is in the test's own call, and enough others lack it."""
        return (
            len(changed) >= self.changed
            and sum(self.answer(values) != own for values in left) >= self.left
            and all(self.answer(values) == own for values in changed)
        )


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
        for question in self._asked([one.values for one in changed], known, has_means=has_means):
            like = [one.values for one in changed if not (question.of_numbers and one.accident)]
            own = question.answer(self.own.values)
            if own is not None and question.explains(own, like, left):
                yield question.name

    def _asked(
        self, changed: Sequence[Values], known: frozenset[str], *, has_means: bool
    ) -> Iterator[_Question]:
        """The questions but those that a border in the module answers."""
        named = frozenset() if has_means else known
        bordered = not has_means and self._have_border(changed, known)
        for question in self._questions(known, has_means=has_means):
            own = question.answer(self.own.values)
            is_border = bordered and (question.of_sizes or question.is_by_chance)
            is_named = question.is_by_chance and type(own) is int and repr(own) in named
            if not is_border and not is_named:
                yield question

    def _have_border(self, changed: Sequence[Values], known: frozenset[str]) -> bool:
        """Whether all changed calls have a size of the test's that the module names, or its relation of arguments, if that is 0 too."""
        own = numbers_of(", ".join(self.own.values))
        sizes = ((at, len(items_of(self.own.values[at]))) for at in self.varied)
        return any(
            size and repr(size) in known and all(len(items_of(values[at])) == size for values in changed)
            for at, size in sizes
        ) or any(
            (numbers := relation(own)) is not None
            and are_known(numbers, known)
            and all(relation(numbers_of(", ".join(values))) == numbers for values in changed)
            for relation in RELATIONS.values()
        )

    def has_region(self) -> bool:
        """Whether something that can be said tells the calls that the patch changes from those that it leaves."""
        near = [one for one in self.near if not one.aside]
        changed = [one for one in near if one.is_changed_like(self.own)]
        return can_be_stated(self.own.values, changed, [one for one in near if not one.differs])

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

    def may_be_a_guard(self) -> bool:
        """Whether the patch leaves calls as they were, and does more than mend one wrong answer wherever it was given.

        Such as an error: each call that the patch changes raised one, and none that it leaves raises the test's own.
        """
        own = (self.own.before, self.own.raised)
        near = [one for one in self.near if not one.aside]
        left = [one for one in near if not one.differs and self._is_as_bad(one)]
        wrong = all(
            (one.before, one.raised) == own or (one.raised and self.own.raised) for one in near if one.differs
        )
        return bool(left) and not (wrong and all((one.before, one.raised) != own for one in left))

    def _is_as_bad(self, trial: Trial) -> bool:
        """Whether a call that gives what it gave could have been mended: it gives a value, or the fault's own error."""
        return not trial.raises or (self.own.raised and trial.after == self.own.before)

    def _questions(self, known: frozenset[str], *, has_means: bool) -> Iterator[_Question]:
        """What a special case can have asked for."""
        own = self.own.values
        known = frozenset() if has_means else known
        for at in sorted(self.varied):
            others = own[:at] + own[at + 1 :]
            if own[at] in known | _EMPTY or any(is_part(own[at], other) for other in others):
                continue  # the name of a mode, an empty container, the key of another argument
            where = f"of {own[at][:40]}"
            yield from (_Question(f"{name} {where}", trait, at) for name, trait in TRAITS.items())
            yield from (
                _Question(f"{name} {where}", trait, at, of_sizes=True) for name, trait in SIZES.items()
            )
            for name, trait in (
                *TRAITS_BY_CHANCE.items(),
                *(REMAINDERS.items() if items_of(own[at]) else ()),
            ):
                yield _Question(f"{name} {where}", trait, at, MANY, MANY)
            if has_means:
                yield _Question(f"the number {where}", whole, at)
            enough = (1, ENOUGH) if has_means else (MANY, MANY)
            yield from (_Question(f"{name} {where}", trait, at, *enough) for name, trait in parts_of(own[at]))
        yield from self._relations(known)
        yield _Question("the length of all arguments", len, of_sizes=True)
        yield _Question("the sum of the characters of all arguments", letters)

    def _relations(self, known: frozenset[str]) -> Iterator[_Question]:
        """What a special case can have asked of several arguments together."""
        own = ", ".join(self.own.values)
        for name, relation in RELATIONS.items():
            numbers = relation(numbers_of(own))
            if numbers and any(numbers) and not are_known(numbers, known):
                yield _Question(
                    f"{name} of all arguments", partial(related, relation, numbers_of), of_numbers=True
                )
            if any(relation(lengths_of(own)) or ()):
                trait = partial(related, relation, lengths_of)
                yield _Question(f"{name} of the lengths of all arguments", trait, None, MANY, MANY)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What ran in both versions.

    Attributes:
        families: the calls of the test, each with those near it.
        wider: calls with arguments where the test gives none.
        known: the constants of the module before the patch, as sources.
        added: what the patch brings that a special case is made of (``special_means``).
        asked: the conditions that the patch brings (``new_conditions``).
        only_guards: whether the patch with its choices decided beforehand does what the code before does (``guards``).
        finished: whether the time was enough for calls with other values.
        expects_error: whether the test may ask for an error.
        recorded: what the calls did with the patch, for ``cross_check``; nothing is judged by it here.
    """

    families: tuple[Family, ...]
    wider: tuple[Trial, ...] = ()
    known: frozenset[str] = frozenset()
    added: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    only_guards: bool = False
    finished: bool = True
    expects_error: bool = False
    recorded: Recorded | None = None

    def objection(self) -> str:
        """What this says against the patch; empty for nothing."""
        return next(self._objections(), "")

    def is_shown_once(self) -> bool:
        """Whether one call of the test alone shows a change that may be a guard."""
        changed = [family for family in self.families if family.own.differs]
        return len({family.own.values for family in changed}) == 1 and changed[0].may_be_a_guard()

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

        for tried, why in (
            (
                self.wider,
                "the patch is for the test's own call only: with {} other arguments all is as before",
            ),
            (near, "the patch is for the test's own values only: with {} others near them all is as before"),
        ):
            if changed and len(tried) >= ENOUGH and not any(is_changed(one) for one in tried):
                yield why.format(len(tried))
        yield from self._one_result(changed, [one for one in (*near, *self.wider) if is_changed(one)])
        if trait := self._shared_trait(changed):
            yield f"the patch is for calls like the test's own only: {trait} is the same in all that it changes"
        yield from self._no_region(changed)
        yield from self._guard()

    def _guard(self) -> Iterator[str]:
        if self.only_guards and self.is_shown_once():
            yield (
                f"the patch leaves the code as it was but where it asks for {', '.join(self.asked[:1])[:80] or 'an error'}, "
                "and one example shows that: a test of a second one has to"
            )

    def _no_region(self, changed: Sequence[Family]) -> Iterator[str]:
        if self.asked and not all(family.has_region() for family in changed):
            yield (
                f"the patch asks for {self.asked[0][:80]}, and nothing that can be said of the values tells the calls "
                "that it changes from those that it leaves"
            )

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
