"""Calls of what a call returned: the function of a decorator or a factory, the methods of an object of a private class.

The first call becomes a statement that binds ``made``, and the use of it is the call under test; now and then it has been
used before, because what holds state shows it the second time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.param_types import ANY, ParamType, from_name
from kodo.jobs.execution.values import Values

MADE = "made"
_USE = re.compile(r"(\.\w+)?\((.*)\)")
_AGAIN = 0.3  # of the calls, those of a result that was used before
_OPEN = ParamType("union", (ParamType("int"), ParamType("str"), ParamType("bytes"), ANY))


def follow_ups(call: Call, uses: tuple[str, ...], values: Values, count: int) -> Iterator[Call]:
    """At most ``count`` calls for each use of a call's result, the plainest first; none of a call that is deep already.

    ``uses`` are those of ``worker/result_uses.py``. The numbers of the calls are 0.
    """
    name = f"{MADE}_{depth + 1}" if (depth := _depth(call)) else MADE
    if depth > 1:
        return
    made = f"{name} = {call.expression}"
    calls = [use for use in uses if use.startswith("(")]
    for use in uses:
        for at in range(count if "()" not in use else 1):
            args = list(call.args)
            expression = _used(name, use, args, values, plain=not at)
            before = [made]
            if values.rng.random() < _AGAIN or "()" in use:
                before += [_used(name, one, args, values, plain=True) for one in calls]
            yield Call(0, call.function, expression, tuple(args), (*call.setup, *before), "", "follow-up")


def _depth(call: Call) -> int:
    """How many results are bound in a call's setup."""
    return sum(line.startswith(MADE) and " = " in line for line in call.setup)


def _used(name: str, use: str, args: list[Arg], values: Values, *, plain: bool) -> str:
    """An expression of one use; its arguments are added to ``args``."""
    found = _USE.fullmatch(use)
    assert found is not None  # noqa: S101 - a use is written in this form
    given: list[str] = []
    for param in filter(None, found.group(2).split(", ")):
        repeats = values.rng.randint(1 if plain else 0, 2) if param.startswith("*") else 1
        bare = param.lstrip("*")
        for _ in range(repeats):
            type_ = from_name(bare)
            source = values.plain(type_) if plain else values.random(_OPEN if type_ == ANY else type_)
            given.append(f"_{len(args)}")
            args.append(Arg(bare, source))
    return f"{name}{found.group(1) or ''}({', '.join(given)})"
