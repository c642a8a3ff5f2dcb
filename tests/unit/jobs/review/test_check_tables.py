"""The tables behind the checks: every row has an example that it matches and one that it does not."""

from __future__ import annotations

import ast
import textwrap

import pytest

from kodo.jobs.review.checks.control_flow import FALLS_THROUGH, falls_through
from kodo.jobs.review.checks.inverted_logic import INVERSIONS
from kodo.jobs.review.checks.slow_loops import SLOW_PATTERNS, slow_in_loop
from kodo.jobs.review.python import parse

INVERTED = [
    # (kind, old expression, new expression, another change that is not of this kind)
    ("comparison", "a < b", "a <= b", "a < c"),
    ("comparison", "a is None", "a is not None", "b is not None"),
    ("and/or", "a and b", "a or b", "a and c"),
    ("condition", "ready", "not ready", "not done"),
    ("condition", "not ready", "ready", "done"),
    ("sign", "a + b", "a - b", "a - c"),
    ("bound", "n", "n + 1", "n + 2"),
    ("bound", "n - 1", "n", "m"),
    ("bound", "a + b", "a + b + 1", "a + b - 2"),
    ("truth value", "True", "False", "0"),
    ("order of arguments", "f(a, b)", "f(b, a)", "g(b, a)"),
    ("function", "min", "max", "sum"),
    ("function", "text.lstrip", "text.rstrip", "text.strip"),
]


@pytest.mark.parametrize(("kind", "old", "new", "other"), INVERTED)
def test_an_inversion_is_matched_by_its_row_alone(kind: str, old: str, new: str, other: str) -> None:
    """The row of a kind matches the inverted expression and not another change of the same expression."""
    was, now, elsewhere = (ast.parse(text, mode="eval").body for text in (old, new, other))
    assert [name for name, matches in INVERSIONS if matches(was, now)] == [kind]
    assert not dict(INVERSIONS)[kind](was, elsewhere)


def test_every_inversion_has_an_example() -> None:
    """No row of the table is without an example above."""
    assert {name for name, _ in INVERSIONS} == {row[0] for row in INVERTED}


def test_another_operator_before_one_is_no_bound() -> None:
    """``a * b`` to ``a * b + 1`` changes the formula and not only a bound."""
    was, now = (ast.parse(text, mode="eval").body for text in ("a * b", "a * b + 1"))
    assert [name for name, matches in INVERSIONS if matches(was, now)] == []


LEAVING = [
    # (last statement of the block, whether control can reach its end)
    ("return 1", False),
    ("raise E", False),
    ("continue", False),
    ("break", False),
    ("with a:\n    x = 1", False),
    ("async with a:\n    x = 1", False),
    ("if a:\n    return 1", True),
    ("if a:\n    return 1\nelse:\n    raise E", False),
    ("while True:\n    x = 1", False),
    ("while a:\n    x = 1", True),
    ("for a in b:\n    return 1", True),
    ("for a in b:\n    x = 1\nelse:\n    return 1", False),
    ("for a in b:\n    break\nelse:\n    return 1", True),
    ("async for a in b:\n    return 1", True),
    ("try:\n    return 1\nexcept E:\n    x = 1", True),
    ("try:\n    return 1\nexcept E:\n    raise", False),
    ("try:\n    x = 1\nfinally:\n    return 1", False),
    ("try:\n    x = 1\nexcept E:\n    raise\nelse:\n    return 1", False),
    ("try:\n    return 1\nexcept* E:\n    x = 1", True),
    ("match a:\n    case 1:\n        return 1\n    case _:\n        x = 1", True),
    ("match a:\n    case 1:\n        x = 1", False),
    ("stop()", False),
    ("'words'", True),
    ("assert False", False),
    ("assert a", True),
    ("x = 1", True),
]


@pytest.mark.parametrize(("statement", "falls"), LEAVING)
def test_control_reaches_the_end_of_a_block(statement: str, falls: bool) -> None:
    """Whether a block ends is decided by its last statement, by the row of that statement's type."""
    code = "async def f():\n    for _ in xs:\n" + textwrap.indent(statement, " " * 8)
    function = ast.parse(code).body[0]
    assert isinstance(function, ast.AsyncFunctionDef)
    loop = function.body[0]
    assert isinstance(loop, ast.For)
    assert falls_through(loop.body) is falls


def test_every_kind_of_statement_has_an_example() -> None:
    """No row of the table is without an example above."""
    code = "async def f():\n    for _ in xs:\n" + "".join(
        textwrap.indent(row[0], " " * 8) + "\n" for row in LEAVING
    )
    assert set(FALLS_THROUGH) <= {type(node) for node in ast.walk(ast.parse(code))}


SLOW = [
    # (rule, statement in a loop that is slow, one that is not)
    ("compiled-in-loop", "re.compile('a')", "re.compile(x)"),
    ("list-head", "todo.pop(0)", "todo.pop(1)"),
    ("list-head", "todo.insert(0, x)", "todo.insert(False, x)"),
    ("list-searched", "x in todo", "x in known"),
    ("text-grows", "text += x", "count += x"),
    ("list-copied", "todo = todo + [x]", "todo = other + [x]"),
]


def slow_rules(statement: str, loop: str) -> list[str]:
    """What `slow_in_loop` reports of a statement in a block that `loop` begins."""
    code = (
        "def f(xs, other):\n    todo = []\n    known = set()\n    text = ''\n    count = 0\n"
        f"    {loop}:\n        {statement}\n"
    )
    module = parse(code)
    assert module is not None
    return [candidate.rule.removeprefix("kodo/") for candidate in slow_in_loop(module)]


@pytest.mark.parametrize(("rule", "slow", "fast"), SLOW)
def test_a_slow_statement_is_reported_in_a_loop_only(rule: str, slow: str, fast: str) -> None:
    """The row of a rule matches its statement in a loop, not outside of one, and not the fast counterpart."""
    assert rule in slow_rules(slow, "for x in xs")
    assert slow_rules(slow, "if xs") == []
    assert rule not in slow_rules(fast, "for x in xs")


def test_every_slow_pattern_has_an_example() -> None:
    """No row of the table is without an example above."""
    assert {rule for _, rule, _ in SLOW_PATTERNS} == {row[0] for row in SLOW}


def test_a_growing_text_is_reported_once_in_a_function() -> None:
    """Two additions to one text are one finding."""
    assert slow_rules("text += x; text += 'b'", "for x in xs") == ["text-grows"]
