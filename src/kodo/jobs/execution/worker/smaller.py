"""Simpler calls and values: what to try next when a call is to be made smaller."""

import ast
import math
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from kodo.jobs.execution.calls import DEFINITIONS
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value

_ODD = ("mock.", "math.nan", "type(", "iter(", "itertools.")
"""How the sources of values begin that few callers give."""
_PLAIN = ("1", "'a'", "[1, 2]", "None")


def is_odd(call: Call) -> bool:
    """Whether a call is given a value that few callers give."""
    return any(arg.source.startswith(_ODD) for arg in call.args)


def smaller_calls(call: Call) -> Iterator[Call]:
    """The call with less setup, without an argument that has a name, or with one simpler argument."""
    yield from _without_options(call)
    for at in (at for at, line in enumerate(call.setup) if _may_go(line, call)):
        yield msgspec.structs.replace(call, setup=(*call.setup[:at], *call.setup[at + 1 :]))
    for at, arg in enumerate(call.args):
        try:
            value = literal_value(arg.source)
        except NoLiteral:
            if call.origin != "test" and arg.source.startswith(_ODD):
                yield from (_with(call, at, source) for source in _PLAIN)
            continue
        for one in smaller(value):
            yield _with(call, at, repr(one))


def _with(call: Call, at: int, source: str) -> Call:
    args = (*call.args[:at], Arg(call.args[at].name, source), *call.args[at + 1 :])
    return msgspec.structs.replace(call, args=args)


def _without_options(call: Call) -> Iterator[Call]:
    """The call without one of the arguments that have a name, of itself or of the statement that makes its receiver."""
    if call.origin == "test":
        return
    for kept, at in _without_keyword(call.expression):
        shorter = _with(call, at, "0") if at < len(call.args) else call
        yield msgspec.structs.replace(shorter, expression=kept)
    for number, line in enumerate(call.setup):
        start = f"{call.receiver} = "
        if call.receiver and line.startswith(start):
            for kept, _ in _without_keyword(line.removeprefix(start)):
                setup = (*call.setup[:number], start + kept, *call.setup[number + 1 :])
                yield msgspec.structs.replace(call, setup=setup)


def _without_keyword(source: str) -> Iterator[tuple[str, int]]:
    """A call without each of its arguments that have a name, and the number of the placeholder that this had, else a large one."""
    tree = ast.parse(source, mode="eval").body
    if not isinstance(tree, ast.Call):
        return
    for word in tree.keywords:
        others = [one for one in tree.keywords if one is not word]
        kept = ast.Call(tree.func, tree.args, others)
        is_place = isinstance(word.value, ast.Name) and word.value.id[1:].isdigit()
        yield ast.unparse(kept), int(ast.unparse(word.value)[1:]) if is_place else sys.maxsize


def size(call: Call) -> int:
    """How much there is to read in a call."""
    return (
        len(call.expression)
        + sum(len(arg.source) for arg in call.args)
        + sum(len(line) + 10 for line in call.setup)
    )


def _may_go(line: str, call: Call) -> bool:
    """Whether a call may do without a statement of its setup: one on its receiver; of a test's program, any but definitions."""
    if call.receiver:
        return line.startswith((f"{call.receiver}.", f"getattr({call.receiver}, "))
    return call.origin == "test" and not line.startswith(DEFINITIONS)


def smaller(value: object) -> Iterator[object]:
    """Simpler values of the same type, boldest first; nothing for the simplest."""
    for kind, simplify in SIMPLER:
        if isinstance(value, kind):
            yield from simplify(value)
            return


def _smaller_integer(value: int) -> Iterator[object]:
    sign = 1 if value > 0 else -1
    nearer = (0, sign * (abs(value) // 2), value - sign, -value if value < 0 else 0)
    return (one for one in dict.fromkeys(nearer) if abs(one) < abs(value) or one == -value > 0)


def _smaller_float(value: float) -> Iterator[object]:
    if math.isfinite(value):
        rounder = (0.0, float(int(value)), round(value, 1))
        yield from (one for one in rounder if abs(one) < abs(value))


def _smaller_text(value: str) -> Iterator[object]:
    yield from _shorter(value)
    for at, char in enumerate(value[:20]):
        if char not in "a ":
            yield value[:at] + "a" + value[at + 1 :]


def _smaller_sequence(value: list[object] | tuple[object, ...]) -> Iterator[object]:
    yield from _shorter(value)
    for at, item in enumerate(value[:20]):
        yield from (type(value)((*value[:at], one, *value[at + 1 :])) for one in smaller(item))


def _smaller_dict(value: dict[object, object]) -> Iterator[object]:
    return ({key: item for key, item in value.items() if key != gone} for gone in value)


def _shorter(value: str | bytes | list[object] | tuple[object, ...]) -> Iterator[object]:
    size = len(value)
    if size:
        yield value[:0]
    if size > 3:
        yield value[: size // 2]
        yield value[size // 2 :]
    for at in range(min(size, 40)):
        yield value[:at] + value[at + 1 :]  # type: ignore[operator] # both halves are of one type


SIMPLER: tuple[tuple[type | types.UnionType, Callable[[Any], Iterator[object]]], ...] = (
    (bool, lambda value: iter([False] if value else [])),
    (int, _smaller_integer),
    (float, _smaller_float),
    (str, _smaller_text),
    (bytes, _shorter),
    (list | tuple, _smaller_sequence),
    (dict, _smaller_dict),
    (set, lambda value: (value - {gone} for gone in value)),
)
"""Type -> its simpler values; bool is an int, so it comes first."""
