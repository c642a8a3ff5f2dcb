"""Calls of a function with what other functions gave: a decoder with what the encoder writes, a reader with what is written.

What one function makes is seldom met by guessing, and the other way round it is what a person would test it with. That two
functions belong together is not asked: which results lead further, a run shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from kodo.jobs.execution.model import INDIRECT, Arg, Call, Observed
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value
from kodo.jobs.testgen.calls_of_mutants import spread

_RESULTS = 24
"""Results of one function that another one is given."""
_BASES = 3
"""Calls of a function whose arguments are replaced."""
_SHORTEST, _LONGEST = 2, 200
"""Characters of a result's source; a shorter one is a value that is tried anyway."""
_KINDS = (str, bytes, list, dict, tuple)


def fed(names: Iterable[str], calls: Iterable[Call], seen: Mapping[int, Observed]) -> Iterator[Call]:
    """Calls of each of the functions ``names`` with the results of every other one of ``calls``, in the place of arguments of their kind.

    A few of each in turn, those of different paths first; the numbers of the calls are 0.
    """
    by_function: dict[str, list[Call]] = {}
    for call in spread(calls, seen):
        by_function.setdefault(call.function, []).append(call)
    results = {name: _results(made, seen) for name, made in by_function.items()}
    for name in names:
        bases = [one for one in by_function.get(name, ()) if one.args and one.origin not in INDIRECT]
        for other, found in results.items():
            if other != name:
                yield from _given(bases, found)


def _results(calls: Sequence[Call], seen: Mapping[int, Observed]) -> dict[str, type]:
    """Sources of what the calls gave, without repeats, and the kind of each."""
    out: dict[str, type] = {}
    for call in calls:
        one = seen[call.id]
        if one.kind == "value" and not one.wrap and _SHORTEST < len(one.text) <= _LONGEST:
            kind = _kind(one.text)
            if kind is not None:
                out[one.text] = kind
        if len(out) >= _RESULTS:
            break
    return out


def _given(bases: Sequence[Call], results: Mapping[str, type]) -> Iterator[Call]:
    used = 0
    for base in bases:
        places = [(at, kind) for at, arg in enumerate(base.args) if (kind := _kind(arg.source)) is not None]
        made = [
            msgspec.structs.replace(
                base,
                id=0,
                args=(*base.args[:at], Arg(base.args[at].name, source), *base.args[at + 1 :]),
                origin="near example",
                expect=None,
            )
            for at, wanted in places
            for source, kind in results.items()
            if kind is wanted
        ]
        yield from made
        used += bool(made)
        if used >= _BASES:
            return


def _kind(source: str) -> type | None:
    """The type of a literal that may be handed on; None for any other value."""
    try:
        value = literal_value(source)
    except NoLiteral:
        return None
    return type(value) if type(value) in _KINDS else None
