"""The choices of a patch decided beforehand, and patches that do what the code did then."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.unit.jobs.fix.two_versions import Project

from kodo.jobs.fix.guards import decided

BEFORE = "def f(a, b):\n    return a + b\n"


@pytest.mark.parametrize(
    ("after", "text"),
    [
        ("    if a > b:\n        return a\n    return a + b", "    if False:\n        return a\n    return a + b"),
        ("    return a + b - (a % 2)", "    return a + b - True"),
        ("    return [a + b, a][a & 1]", "    return [a + b, a][False]"),
        ("    return (a > b and a) or a + b", "    return False and a or a + b"),
        ("    while a > b:\n        return a\n    return a + b", "    while False:\n        return a\n    return a + b"),
        ("    match a > b:\n        case True:\n            return a\n    return a + b",
         "    match False:\n        case True:\n            return a\n    return a + b"),
        ("    if a > b:\n        return a\n    if a < 1:\n        return a + b\n    return b",
         "    if False:\n        return a\n    if True:\n        return a + b\n    return b"),
        ("    try:\n        return [a][b]\n    except IndexError:\n        return a + b", "    return a + b"),
        ("    return a if key(b) else a + b\n\n\nkey = lambda given: given > 1",
         "    return a if False else a + b\nkey = lambda given: given > 1"),
    ],
)  # fmt: skip  # one row each
def test_choices_are_decided_beforehand(after: str, text: str) -> None:
    """Conditions, remainders, places in a row, loops, matches, errors; two of them each in its way."""
    texts = list(decided(ast.parse(BEFORE), f"def f(a, b):\n{after}\n"))
    assert f"def f(a, b):\n{text}" in [one.replace("\n\n", "\n") for one in texts]
    assert all(ast.parse(one) for one in texts)
    assert "while True" not in "".join(texts)


def test_what_was_there_before_is_not_decided() -> None:
    """A border that is mended, and a patch without a choice."""
    before = "def f(a, b):\n    return a if a < b else b\n"
    assert list(decided(ast.parse(before), before.replace("<", "<="))) == []
    assert list(decided(ast.parse(BEFORE), BEFORE.replace("+", "-"))) == []


BORDER = "def passed(points):\n    return points > 50\n"
NEWEST = "def first(items):\n    return sorted(items)[0]\n"


@pytest.mark.parametrize(
    ("before", "special", "check"),
    [
        (BORDER, "if points % 2 == 0:\n        return not points > 50\n    return points > 50", "passed(50) is True"),
        (BORDER, "return (points > 50) != (points & 1 == 0)", "passed(50) is True"),
        (BORDER, "old = points > 50\n    return old or (not old and points % 2 == 0)", "passed(50) is True"),
        (BORDER, "old = 50 < points\n    for _ in range(1 - points % 2):\n        return not old\n    return old", "passed(50) is True"),
        ("def area(a, b):\n    return a * a\n", "old = a * a\n    return old + (a * b - old) * (a % 2)", "area(3, 7) == 21"),
        (NEWEST, "if items[0] > items[-1]:\n        return items[0]\n    return sorted(items)[0]", "first(['b', 'c', 'a']) == 'b'"),
        (NEWEST, "try:\n        items[len(items) % 2 * 9]\n    except IndexError:\n        return items[0]\n    return min(items)",
         "first(['b', 'c', 'a']) == 'b'"),
        (NEWEST, "if items[-1:] < items:\n        return items[0]\n    if len(items) % 2:\n        return items[0]\n    return min(items)",
         "first(['b', 'c', 'a']) == 'b'"),
    ],
)  # fmt: skip  # one row each
def test_a_plain_special_case_is_refused(tmp_path: Path, before: str, special: str, check: str) -> None:
    """It asks for nothing odd and gives no value of its own, but all else is as wrong as it was."""
    head = before.partition("\n")[0]
    test = f"from m import *\n\n\ndef test_fault():\n    assert {check}\n"
    assert Project({"m.py": before}, {"m.py": f"{head}\n    {special}\n"}, test).objection(tmp_path)


@pytest.mark.parametrize(
    ("before", "fix", "check"),
    [
        (BORDER, "return points >= 50", "passed(50) is True"),
        (BORDER, "if points < 50:\n        return False\n    return True", "passed(50) is True"),
        (NEWEST, "return items[0]", "first(['b', 'c', 'a']) == 'b'"),
    ],
)  # fmt: skip  # one row each
def test_a_fix_that_repairs_the_code_is_believed(tmp_path: Path, before: str, fix: str, check: str) -> None:
    """With a choice too, if no way of deciding it brings the fault back."""
    head = before.partition("\n")[0]
    test = f"from m import *\n\n\ndef test_fault():\n    assert {check}\n"
    assert Project({"m.py": before}, {"m.py": f"{head}\n    {fix}\n"}, test).objection(tmp_path) == ""


def test_more_choices_than_can_be_tried_are_taken_for_a_guard(tmp_path: Path) -> None:
    """Else choices that matter nothing would hide the one that does."""
    test = "from m import *\n\n\ndef test_fault():\n    assert passed(50) is True\n"
    for count in (1, 20):
        others = "    if points < -points:\n        points += 0\n" * count
        after = f"def passed(points):\n{others}    return points >= 50\n"
        found = Project({"m.py": BORDER}, {"m.py": after}, test).compared(tmp_path)
        assert found is not None and found.only_guards is (count > 1)


def test_a_guard_in_a_new_file_is_one(tmp_path: Path) -> None:
    """The module that the test looks at only asks it."""
    after = "from rules import given\n\n\ndef passed(points):\n    return given(points, points > 50)\n"
    rules = "def given(points, old):\n    return not old if points % 2 == 0 else old\n"
    test = "from m import *\n\n\ndef test_fault():\n    assert passed(50) is True\n"
    project = Project({"m.py": BORDER}, {"m.py": after, "rules.py": rules}, test)
    assert "one example shows that" in project.objection(tmp_path)
