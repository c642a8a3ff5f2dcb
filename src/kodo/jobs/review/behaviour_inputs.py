"""What both versions of a changed module are run on: the calls of each function, and what further calls are made of.

Those of both versions' generators in turn, the preferred ones first. Runs nothing.
"""

from __future__ import annotations

import ast
import builtins
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from kodo.jobs.execution.calls_of_values import state_of
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.changed import Affected, has_other_decorators
from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.model import Call
from kodo.jobs.execution.odd_values import odd_values
from kodo.jobs.execution.relevant_words import relevant_options, relevant_texts
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.execution.types_as_values import is_about_types
from kodo.jobs.execution.worker.compare import Group
from kodo.jobs.execution.worker.load import LIBRARY
from kodo.jobs.execution.worker.next_calls import About
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.touched import touched_comparisons, touched_in, touched_names, touched_texts

INPUTS = 300
CALLER_INPUTS = 120
"""Those of a function that leads to a changed one, or is one of many."""
_MANY = 12
_FIRST = 40
"""The calls of a function that are made in the order of their preference."""
_NAME = re.compile(r"[A-Za-z_]\w+")


def input_groups(
    before: TargetModule,
    after: TargetModule,
    affected: Iterable[Affected],
    file: ChangedFile,
    instances: Mapping[str, tuple[str, ...]],
    settings: Mapping[str, tuple[str, ...]],
) -> Iterator[Group]:
    """Each function with the calls to make, those of both versions; optional parameters on changed lines of the ``file`` matter most.

    A function of which no call can be made comes without any.
    """
    affected = list(affected)
    are_many = len(affected) > _MANY
    makers = _generators(before, after, affected, file, instances, settings)
    for one in affected:
        function = one.function
        new, old = makers[one.depth == 0]
        in_both = function.qualname in before.every_function and function.qualname in after.every_function
        count = INPUTS if one.depth == 0 and not are_many else CALLER_INPUTS
        if in_both or function.name == "__init__":
            calls = new.calls(function, count)
        elif _may_be_inherited(function, before) and _may_be_inherited(function, after):
            calls = _where_inherited(
                (new if function.qualname in after.every_function else old).calls(function, count)
            )
        else:
            calls = []
        earlier = before.every_function.get(function.qualname)
        if earlier is not None and one.depth == 0 and not (are_many and _is_same(earlier, function)):
            calls = _in_turn(calls, old.calls(earlier, count))
        if one.depth == 0 and has_other_decorators(function.qualname, before, after):
            calls = [state_of(function.qualname), *calls]
        yield function.qualname, tuple(_numbered(calls))


def what_it_is_about(
    file: ChangedFile,
    both: tuple[TargetModule, TargetModule],
    affected: Mapping[str, Affected],
    roots: Iterable[str],
) -> About:
    """What the change of a module is about: what the next calls of a search are made of, beside those that worked.

    Args:
        file: the changed file.
        both: the module before and after.
        affected: the functions that the change may alter, by name.
        roots: the names of what was changed itself.
    """
    changed = [name for name, one in affected.items() if one.depth == 0]
    lines = touched_texts(file)
    errors = (name for name in _NAME.findall("\n".join(lines)) if _is_error(name))
    return About(
        relevant_texts(lines, both, list(affected)),
        tuple(dict.fromkeys(errors)),
        relevant_options(lines, both),
        touched_names(file, *both),
        _odd_values(*both, changed, file),
        is_about_types(_sources(both, changed)),
        any(name.endswith(".__get__") for name in changed),
        touched_in(file, *both, roots),
        touched_comparisons(file, *both),
    )


def _is_error(name: str) -> bool:
    """Whether a name is that of a built-in error, which a function of a test can raise without an import."""
    value = getattr(builtins, name, None)
    return isinstance(value, type) and issubclass(value, Exception)


def _numbered(calls: Sequence[Call]) -> Iterator[Call]:
    """The calls without repeats, in the order in which they are made."""
    unique = {(call.setup, call.expression, call.args): call for call in reversed(calls)}
    for number, call in enumerate(_mixed(list(reversed(unique.values())))):
        yield msgspec.structs.replace(call, id=number)


def _generators(
    before: TargetModule,
    after: TargetModule,
    affected: Iterable[Affected],
    file: ChangedFile,
    instances: Mapping[str, tuple[str, ...]],
    settings: Mapping[str, tuple[str, ...]],
) -> dict[bool, tuple[CandidateGenerator, CandidateGenerator]]:
    """What makes the calls of the version after and of the one before, for changed functions (True) and for those that lead there."""
    focus = frozenset(re.findall(r"[A-Za-z_]\w{2,}", "\n".join(touched_texts(file))))
    odd = _odd_values(before, after, [one.function.qualname for one in affected if one.depth == 0], file)

    def made(module: TargetModule, *, deep: bool) -> CandidateGenerator:
        return CandidateGenerator(
            module, 0, focus, instances, compares=True, deep=deep, mocked=True, odd=odd, settings=settings
        )

    return {deep: (made(after, deep=deep), made(before, deep=deep)) for deep in (True, False)}


def _is_same(one: Function, other: Function) -> bool:
    """Whether the text of two functions means the same, whatever they use of their modules."""
    return ast.dump(one.node) == ast.dump(other.node)


def _odd_values(
    before: TargetModule, after: TargetModule, functions: Iterable[str], file: ChangedFile
) -> tuple[str, ...]:
    """The odd values that changed functions ask for in either version, those first for which the changed lines ask."""
    names = list(functions)
    rows = touched_in(file, before, after, names).values()
    found = [
        odd_values(
            module.tree,
            [node for name in names for node in module.definitions.get(name, ())],
            LIBRARY,
            {line for row in rows for line in row[at]},
        )
        for at, module in ((1, after), (0, before))
    ]
    return tuple(dict.fromkeys(source for sources in found for source in sources))


def _sources(modules: Iterable[TargetModule], functions: Sequence[str]) -> Iterator[str]:
    """The texts of functions in both versions."""
    return (
        ast.unparse(node)
        for module in modules
        for name in functions
        for node in module.definitions.get(name, ())
    )


def _mixed(calls: Sequence[Call]) -> list[Call]:
    """The first calls as they are, then random ones in turn with the others, so that a slow function gets both."""
    first, rest = calls[:_FIRST], calls[_FIRST:]
    return [
        *first,
        *_in_turn(
            (call for call in rest if call.origin != "random"),
            (call for call in rest if call.origin == "random"),
        ),
    ]


def _in_turn(one: Iterable[Call], other: Iterable[Call]) -> list[Call]:
    """The calls of two lists in turn, so that the preferred ones of both come first."""
    pairs = itertools.zip_longest(one, other)
    return [call for pair in pairs for call in pair if call is not None]


def _may_be_inherited(function: Function, module: TargetModule) -> bool:
    """Whether a class may have a method that it does not define itself: every object has some of the special ones."""
    owner = module.classes.get(function.owner)
    return owner is not None and (function.name.startswith("__") or bool(owner.bases))


def _where_inherited(calls: Iterable[Call]) -> list[Call]:
    """The calls of a method that one version's class has itself, for where the other's inherits one of that name."""
    return [
        msgspec.structs.replace(
            call, setup=(*call.setup, f"getattr({holder}, {call.function.rpartition('.')[2]!r})")
        )
        for call in calls
        if (holder := call.receiver or call.function.rpartition(".")[0])
    ]
