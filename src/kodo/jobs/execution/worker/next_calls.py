"""The calls to make next of a changed function: its seeds with what they compared put in, and a little different.

Knows what was seen of the seeds; neither what differs nor what there is time for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.combination import Arguments, Combinations
from kodo.jobs.execution.worker.operand_variation import Matches, nearest_first
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.execution.worker.seeds import Exploration, Lines, Seeds, Two
from kodo.jobs.execution.worker.variation import Variations

_GROWN = 1.5
"""How many times as many calls out of tests there are when their parts go into variations again."""
_ASKED, _MATCHED = 12, 40
"""The calls whose comparisons are looked at together, and how many calls that these lead to are made together."""
Look = Callable[[Sequence[Call]], Mapping[int, Two]]
"""Makes calls and tells what they compared."""


class About(msgspec.Struct, frozen=True):
    """What a change is about."""

    words: tuple[str, ...] = ()
    """Texts that the changed code is about."""
    errors: tuple[str, ...] = ()
    """The names of errors in the changed code."""
    options: tuple[str, ...] = ()
    """The options of the module's command lines, the nearest to the change first."""
    names: tuple[str, ...] = ()
    """The names on the changed lines, and in the conditions around these, by which an option may be called."""
    odd: tuple[str, ...] = ()
    """Sources of odd values for what the changed functions ask; a hole stands for the value that one takes the place of."""
    types: bool = False
    """Whether the changed functions ask of what form a type is."""
    descriptors: bool = False
    """Whether a changed function is what a descriptor does when it is read."""
    touched: dict[str, Lines] = {}
    """The lines of changed functions that the change touched, before it and after it. Calls that run them matter most."""
    compared: dict[str, tuple[str, ...]] = {}
    """The sources of constants that names are compared with on the changed lines: what an option of that name may be."""


class NextCalls:
    """Those of all changed functions. Calls out of tests that are read are what variations are combined of."""

    def __init__(self, about: About) -> None:
        self._about = about
        self._tests: list[Call] = []
        self._arguments = Arguments()
        self._matches: dict[str, Matches] = {}
        self._explorations: dict[str, tuple[int, Exploration]] = {}

    def read(self, calls: Sequence[Call]) -> None:
        """Take calls out of tests."""
        self._tests += calls
        self._arguments.read(calls)

    def forget(self) -> None:
        """Begin the explorations anew that do not know all calls out of tests."""
        known = len(self._tests)
        self._explorations = {root: row for root, row in self._explorations.items() if row[0] == known}

    def of(self, seeds: Seeds, number: int, look: Look) -> list[Call]:
        """The next calls, numbered from one above ``number``; none when nothing new is found or it is enough. What the documentation says
        of a seed it does not say of them.
        """
        made = self._matched(seeds, number, look)
        made += self._exploration(seeds).batch(number + len(made))
        return [msgspec.structs.replace(one, function=seeds.function, expect=None) for one in made]

    def learn(self, seeds: Seeds, batch: Sequence[Call], seen: Mapping[int, Two]) -> None:
        """Keep in mind which changes still led to the function."""
        self._exploration(seeds).learn(batch, seen)

    def _matched(self, seeds: Seeds, number: int, look: Look) -> list[Call]:
        """Calls in which a value takes the place of the one that it was compared with in a seed, those of new seeds first."""
        matches = self._matches.setdefault(seeds.function, Matches())
        asked = matches.unasked([*seeds.near, *seeds.calls], _ASKED)
        seen = look(asked) if asked else {}
        before, after = self._about.touched.get(seeds.function, ((), ()))
        for call in asked:
            outcomes: tuple[Outcome, ...] = seen.get(call.id, ())
            pairs = [pair for one in outcomes for pair in one.compared]
            matches.put(call, nearest_first(pairs, {*before, *after}))
        return matches.take(_MATCHED, number)

    def _exploration(self, seeds: Seeds) -> Exploration:
        """That of a function; a new one when many more calls out of tests have come, whose parts go into variations."""
        known, exploration = self._explorations.get(seeds.function, (-1, None))
        if exploration is None or len(self._tests) > _GROWN * known:
            about = self._about
            calls = [*self._tests, *seeds.calls]
            combine = Combinations(self._arguments, about.names, about.compared)
            vary = Variations(
                calls,
                about.words,
                combine,
                about.errors,
                about.options,
                about.names,
                about.odd,
                types=about.types,
                descriptors=about.descriptors,
            )
            exploration = Exploration(seeds, vary)
            self._explorations[seeds.function] = len(self._tests), exploration
        return exploration
