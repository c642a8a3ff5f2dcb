"""Calls of public functions with the values by which a private one shows a difference: ``decode(encode({'aud': []}))`` for
``_validate_aud({'aud': []}, None)``.

A caller judges what a caller can do. The public calls that go through a changed function are known; whether a value gets from
there to it unchanged is a guess. Reads source only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.difference import is_private
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value

_MAX_CALLS = 240
"""Calls for one function."""
_OF_A_SEED = 12
"""Calls that one public call and one private one lead to."""


class CarriedValues:
    """The values that show one changed function inside, and the public calls that they were put into."""

    def __init__(self) -> None:
        self._shown: list[Sequence[Arg]] = []
        self._done: set[tuple[int, int]] = set()
        self._count = 0

    def show(self, call: Call) -> None:
        """Take a call of a private function that shows a difference."""
        given = [arg for arg in call.args if _value(arg.source) is not None]
        if given and given not in self._shown:
            self._shown.append(given)

    def calls(self, seeds: Iterable[Call]) -> Iterator[Call]:
        """The calls to make: each of ``seeds`` that a caller can make, with the values of each private call, once."""
        if not self._shown or self._count >= _MAX_CALLS:
            return
        for seed in seeds:
            if is_private(seed):
                continue
            for at, given in enumerate(self._shown):
                if (seed.id, at) not in self._done:
                    self._done.add((seed.id, at))
                    for made in _with_values(seed, given)[: max(0, _MAX_CALLS - self._count)]:
                        self._count += 1
                        yield made


def _with_values(call: Call, given: Sequence[Arg]) -> list[Call]:
    """The call with each of the values in the place of each of its literals that is of the same type, or beside what is in it."""
    found: dict[tuple[int, str], None] = {}
    for arg in given:
        for at, own in enumerate(call.args):
            for source in _put(own.source, arg):
                if source != own.source:
                    found[at, source] = None
    return [
        msgspec.structs.replace(
            call, args=(*call.args[:at], Arg(call.args[at].name, source), *call.args[at + 1 :]), expect=None
        )
        for at, source in list(found)[:_OF_A_SEED]
    ]


def _put(own: str, arg: Arg) -> Iterator[str]:
    """What a literal may become for the value of an argument: that, a dict with both, or a dict that has it by its name."""
    old, new = _value(own), _value(arg.source)
    if isinstance(old, dict):
        if isinstance(new, dict):
            yield repr({**old, **new})
            yield repr(new)
        elif arg.name in old:
            yield repr({**old, arg.name: new})
    elif type(old) is type(new) and not isinstance(new, bool):
        yield repr(new)


def _value(source: str) -> object:
    """The value of a literal; None for what is none, and for None itself, which stands in every call."""
    try:
        return literal_value(source)
    except NoLiteral:
        return None
