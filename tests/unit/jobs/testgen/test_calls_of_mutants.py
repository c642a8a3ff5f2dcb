"""A mutant is tried on the calls that run the changed statement, and on no others."""

from __future__ import annotations

import ast

from kodo.jobs.execution.model import Call, Observed
from kodo.jobs.testgen.calls_of_mutants import calls_to_try, statement_lines

SOURCE = """\
def f(a, b=3):
    if (a and
            b):
        return total(
            a,
            1)
    for one in a:
        total(one)
    return 2
"""


def seen(*rows: tuple[str, int]) -> dict[int, Observed]:
    """Observations of calls by what they ran: (function, line)."""
    return {at: Observed(at, "value", "1", arcs=((-1, line),)) for at, (_, line) in enumerate(rows)}


def tried(line: int, *rows: tuple[str, int]) -> tuple[int, ...]:
    """The calls that are tried on a mutant of f in a line, of calls that run one line each."""
    calls = [Call(at, function, "f()") for at, (function, _) in enumerate(rows)]
    ran = {at: {row[1]} for at, row in enumerate(rows)}
    lines = statement_lines(ast.parse(SOURCE)).get(line)
    return calls_to_try("f", calls, seen(*rows), ran, lines)


def test_the_lines_of_a_statement_are_those_of_its_head():
    """A changed constant in a later line of a statement is run where the statement is; the body is another statement."""
    lines = statement_lines(ast.parse(SOURCE))
    assert lines[2] == lines[3] == {2, 3}
    assert lines[4] == lines[6] == {4, 5, 6}
    assert (lines[7], lines[8], lines[9]) == ({7}, {8}, {9})
    assert 1 not in lines


def test_no_call_is_tried_where_none_runs_the_statement():
    """None could tell the change."""
    assert tried(6, ("f", 2), ("f", 9), ("g", 9)) == ()


def test_calls_of_the_function_come_before_others_that_run_the_statement():
    """A call of another function is tried too: it may show what no call of the function does."""
    assert tried(6, ("g", 4), ("f", 9), ("f", 4)) == (2, 0)


def test_a_default_is_read_when_the_module_is_imported():
    """So any call of the function may tell."""
    assert tried(1, ("g", 2), ("f", 9), ("f", 2)) == (1, 2)


def test_one_line_holds_a_condition_and_what_it_guards():
    """Both run in the same line."""
    assert statement_lines(ast.parse("def f(a):\n    if a: return 1\n")) == {2: {2}}


def test_the_calls_after_the_first_ones_are_tried_where_those_told_nothing():
    """None is tried twice, and those of the function come first."""
    calls = [Call(at, "f" if at < 200 else "g", f"f({at})") for at in range(300)]
    of_each = {call.id: Observed(call.id, "value", "1", arcs=((-1, 9),)) for call in calls}
    ran = {call.id: {9} for call in calls}
    first, more = (
        calls_to_try("f", calls, of_each, ran, frozenset({9}), more=more) for more in (False, True)
    )
    assert len(first) == 150
    assert set(first) | set(more) == set(range(300))
    assert not set(first) & set(more)
    assert set(more[:50]) <= set(range(200))
