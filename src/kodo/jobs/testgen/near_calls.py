"""Calls near one that runs a changed line: with what was compared there, and with what other calls of the function are given.

Both are steps that a random change seldom takes: to the boundary of a comparison, and to two arguments that matter together.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from kodo.jobs.execution.model import INDIRECT, Arg, Call, Origin
from kodo.jobs.execution.worker.operand_variation import matched, nearest_first
from kodo.jobs.execution.worker.operands import Sides

Key = tuple[tuple[str, ...], str, tuple[Arg, ...]]
_PLACEHOLDER = re.compile(r"\b_\d+\b")
_MAX_DONORS = 60


def key(call: Call) -> Key:
    """What tells two calls apart that would do the same."""
    return call.setup, call.expression, call.args


def with_operands(call: Call, pairs: Iterable[Sides], line: int) -> Iterator[Call]:
    """The call with a value that was compared in the place of the one that it was compared with, those of the line first.

    In its arguments, and in what its receiver is made of. The numbers of the calls are 0.
    """
    at = _receiver_line(call)
    asked = call
    if at is not None:
        made = call.setup[at].partition(" = ")[2]
        asked = msgspec.structs.replace(call, args=(*call.args, Arg(call.receiver, made)))
    for one in matched(asked, nearest_first(pairs, {line})):
        args, setup = one.args, call.setup
        if at is not None:
            setup = (*setup[:at], f"{call.receiver} = {args[-1].source}", *setup[at + 1 :])
            args = args[:-1]
        yield _changed(call, args, setup)


def crossed(call: Call, others: Sequence[Call], rng: random.Random) -> Iterator[Call]:
    """The call with one argument, or its receiver, of another call of the function; without an end.

    Of many others, some from all over the list. The numbers of the calls are 0.
    """
    chosen = others[:: max(1, len(others) // _MAX_DONORS)]
    given: dict[str, list[str]] = {}
    for other in chosen:
        for arg in other.args:
            given.setdefault(arg.name, []).append(arg.source)
    setups = [
        other.setup
        for other in chosen
        if other.receiver == call.receiver and other.setup != call.setup and not _holds_arguments(other)
    ]
    can_swap = bool(call.receiver and setups) and not _holds_arguments(call)
    choices = {
        at: [one for one in given.get(arg.name, ()) if one != arg.source] for at, arg in enumerate(call.args)
    }
    places = [at for at, found in choices.items() if found]
    while places or can_swap:
        if can_swap and (not places or rng.random() < 1 / (1 + len(places))):
            yield _changed(call, call.args, rng.choice(setups))
        else:
            at = rng.choice(places)
            changed = Arg(call.args[at].name, rng.choice(choices[at]))
            yield _changed(call, (*call.args[:at], changed, *call.args[at + 1 :]), call.setup)


def _changed(call: Call, args: tuple[Arg, ...], setup: tuple[str, ...]) -> Call:
    origin: Origin = call.origin if call.origin in INDIRECT else "near example"
    return msgspec.structs.replace(call, id=0, args=args, setup=setup, origin=origin, expect=None)


def _receiver_line(call: Call) -> int | None:
    """The number of the statement that makes the receiver; None where there is none without arguments of the call."""
    lines = [at for at, line in enumerate(call.setup) if line.startswith(f"{call.receiver} = ")]
    return lines[-1] if call.receiver and lines and not _PLACEHOLDER.search(call.setup[lines[-1]]) else None


def _holds_arguments(call: Call) -> bool:
    return any(_PLACEHOLDER.search(line) for line in call.setup)
