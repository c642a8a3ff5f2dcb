"""Which calls are tried on a mutant, and in which order: those that run the changed statement, the most different ones first."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest

from kodo.jobs.execution.model import Call, Observed, Origin
from kodo.jobs.testgen.select import Arc

_MAX_CALLS, _MAX_MORE = 150, 600
"""Calls that are tried on a mutant at first, and how many more where none of them told it."""
_DOCUMENTED: frozenset[Origin] = frozenset({"example", "claim"})
_MAX_OTHERS = 40
"""Calls of other functions that are tried at first where the calls of the mutant's own function leave room."""


def calls_to_try(
    function: str,
    calls: Sequence[Call],
    seen: Mapping[int, Observed],
    ran: Mapping[int, Collection[int]],
    statement: frozenset[int] | None,
    *,
    more: bool = False,
) -> tuple[int, ...]:
    """The numbers of the calls to try on a mutant of a function: those that run the statement, of the function, documented and short ones first.

    ``ran``: call -> the lines it runs. ``statement``: the lines of the changed statement; no call can tell a change of a
    statement that it does not run. None where it runs when the module is imported: any call of the function may tell.
    ``more``: those after the first ones.
    """
    reaching = _reaching(function, calls, ran, statement)
    own = [call for call in reaching if call.function == function]
    documented = [call for call in own if call.origin in _DOCUMENTED]
    varied = spread((call for call in own if call.origin not in _DOCUMENTED), seen)
    others = spread((call for call in reaching if call.function != function), seen)
    at_first = [*documented, *varied, *others[: _MAX_OTHERS if own else None]][:_MAX_CALLS]
    if not more:
        return tuple(call.id for call in at_first)
    tried = {call.id for call in at_first}
    return tuple(call.id for call in (*varied, *others) if call.id not in tried)[:_MAX_MORE]


def _reaching(
    function: str,
    calls: Sequence[Call],
    ran: Mapping[int, Collection[int]],
    statement: frozenset[int] | None,
) -> list[Call]:
    if statement is None:
        return [call for call in calls if call.function == function] or list(calls)
    return [call for call in calls if not statement.isdisjoint(ran[call.id])]


def statement_lines(tree: ast.Module) -> dict[int, frozenset[int]]:
    """Line -> the lines of the statement that it belongs to, in the bodies of functions; of a compound one, its head's."""
    out: dict[int, frozenset[int]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in (inner for part in node.body for inner in ast.walk(part)):
                if isinstance(statement, ast.stmt):
                    lines = frozenset(_head(statement))
                    out |= dict.fromkeys(lines, lines)
    return out


def _head(statement: ast.stmt) -> Iterator[int]:
    """The lines of a statement without those of the statements in it."""
    end = statement.end_lineno or statement.lineno
    inner = (
        part.lineno for part in ast.walk(statement) if part is not statement and isinstance(part, ast.stmt)
    )
    yield from range(statement.lineno, min((end, *(line - 1 for line in inner))) + 1)
    yield statement.lineno


def spread(calls: Iterable[Call], seen: Mapping[int, Observed]) -> list[Call]:
    """The calls in an order in which the first ones differ most: a short one of each path through the code in turn.

    Of one path, those of different outcomes come first.
    """
    paths: dict[tuple[Arc, ...], dict[tuple[str, str], list[Call]]] = {}
    for call in sorted(calls, key=size):
        one = seen[call.id]
        paths.setdefault(one.arcs, {}).setdefault((one.kind, one.text), []).append(call)
    rows = [_in_turn(list(outcomes.values())) for outcomes in paths.values()]
    return _in_turn(rows)


def _in_turn(rows: list[list[Call]]) -> list[Call]:
    """The first of each row, then the second of each, and so on."""
    return [one for turn in zip_longest(*rows) for one in turn if one is not None]


def size(call: Call) -> int:
    """How much there is to read in a call: characters, and a line more for each statement of setup."""
    return (
        len(call.expression)
        + sum(len(arg.source) for arg in call.args)
        + sum(len(line) + 10 for line in call.setup)
    )
