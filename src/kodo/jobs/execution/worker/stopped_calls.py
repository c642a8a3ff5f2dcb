"""Calls that one version makes and the other one does not get to: a statement before the call raises there.

What differs is what that statement does, so it is made the call itself. Reads source only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.outcome import Outcome

_Key = tuple[tuple[str, ...], str, tuple[str, ...]]


class StoppedCalls:
    """Finds them among outcomes; each statement with what is before it is handed out once."""

    def __init__(self) -> None:
        self._known: set[_Key] = set()
        self._new: list[Call] = []

    def see(self, calls: Iterable[Call], seen: Mapping[int, tuple[Outcome, Outcome]]) -> None:
        """Look at what both versions did with some calls."""
        for call in calls:
            for at in _stops(seen.get(call.id, ())):
                shorter = ended_at(call, at)
                if shorter is not None and (key := _key(shorter)) not in self._known:
                    self._known.add(key)
                    self._new.append(shorter)

    def taken(self) -> list[Call]:
        """The calls to make because of what was seen since the last time."""
        new, self._new = self._new, []
        return new


def _stops(pair: Iterable[Outcome]) -> Iterator[int]:
    """The statement at which one version stopped where the other one went on."""
    stops = {one.stopped for one in pair}
    if len(stops) > 1:
        yield min(stop for stop in stops if stop >= 0)


def _key(call: Call) -> _Key:
    return call.setup, call.expression, tuple(arg.source for arg in call.args)


def ended_at(call: Call, at: int) -> Call | None:
    """The call that statement ``at`` of a call's setup is, or binds a name to, after the statements before it; None for what is
    neither.
    """
    statement = ast.parse(call.setup[at].lstrip()).body[0]
    match statement:
        case ast.Expr(value=value) | ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            setup = call.setup[:at]
            is_made = any(line.startswith(f"{call.receiver} = ") for line in setup)
            return msgspec.structs.replace(
                call,
                setup=setup,
                expression=ast.unparse(value),
                receiver=call.receiver if is_made else "",
                expect=None,
            )
        case _:
            return None
