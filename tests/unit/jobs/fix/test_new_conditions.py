"""The conditions on a call that a patch brings, and natural ones, which a fix may bring."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.unit.jobs.fix.two_versions import Project

from kodo.jobs.fix.flows import touched
from kodo.jobs.fix.new_conditions import new_conditions

BEFORE = "def f(a, b):\n    if a > 3:\n        return 0\n    return a\n"


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ("a if sum(b) % 2 else 0", "sum(b) % 2"),
        ("a if any(one < 3 for one in b) else 0", "any((one < 3 for one in b))"),
        ("[a, 0][len({*b}) % 2]", "len({*b}) % 2"),
        ("a if key(b) else 0\n\n\nkey = lambda given: given[::2]", "key(b)"),
        ("a if b[::2] < b[1::2] else 0", "b[::2] < b[1::2]"),
        ("a if (half := b // 2) & 1 else half", "(half := (b // 2)) & 1"),
        ("0 if not b else a", "not b"),
        ("[one for row in [b] if row[:1] < row[1:] for one in row]", "row[:1] < row[1:]"),
        ("[one for one in b if one > 3]", ""),
        ("sorted(b, key=lambda one: one[0] > 3)", ""),
        ("b[max(0, len(b) - a) :][0]", ""),
        ("sum(b) + a", ""),
        ("a + b % 2", "b % 2"),
        ("a + b % a", ""),
        ("b and a", "b"),
    ],
)
def test_a_condition_on_the_call_is_found(after: str, found: str) -> None:
    """Also through a helper or a variable; not one on each item, nor what only takes a part of a row."""
    text = BEFORE.replace("return a\n", f"return {after}\n")
    assert new_conditions(ast.parse(BEFORE), ast.parse(text))[:1] == ((found,) if found else ())
    assert new_conditions(ast.parse(text), ast.parse(text)) == ()


def test_a_border_that_is_mended_is_no_new_condition() -> None:
    """Another number or operator; the same in another function is new."""
    assert new_conditions(ast.parse(BEFORE), ast.parse(BEFORE.replace("> 3", ">= 4"))) == ()
    assert new_conditions(ast.parse(BEFORE), ast.parse(BEFORE.replace("def f", "def g"))) == ("a > 3",)


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("return a / b", "return a / b if b else 0.0", "f(4, 0) == 0.0"),
        ("return a[0]", "return a[0] if a else None", "f([], 1) is None"),
        ("return b[a]", "return b[a] if a in b else 0", "f('k', {'x': 1}) == 0"),
        ("return a * b", "return 0 if a is None else a * b", "f(None, 3) == 0"),
        ("return int(a)", "try:\n        return int(a)\n    except ValueError:\n        return b", "f('x', 3) == 3"),
        ("return len(a.split(' '))", "return len(a.split()) if a.strip() else 0", "f(' ', 1) == 0"),
    ],
)  # fmt: skip  # one row each
def test_a_natural_condition_is_believed(tmp_path: Path, old: str, new: str, check: str) -> None:
    """One that mends an error, all of it, or one beside which nothing stays as it was."""
    assert objection(tmp_path, old, new, check) == ""


@pytest.mark.parametrize(
    ("old", "new", "one", "other"),
    [
        ("return a[:b]", "if b < 0:\n        raise ValueError(b)\n    return a[:b]", "f('ab', -1)", "f('abcd', -3)"),
        ("return list(range(a, b))", "if a > b:\n        a, b = b, a\n    return list(range(a, b))", "f(5, 2) == [2, 3, 4]", "f(3, 2) == [2]"),
        ("return a.title()", "return a if a.isupper() else a.title()", "f('NASA', 1) == 'NASA'", "f('IBM', 1) == 'IBM'"),
        ("return [a] + b", "return b if a in b else [a] + b", "f(2, [1, 2]) == [1, 2]", "f(5, [5]) == [5]"),
        ("return a", "return a[:b] + '...' if len(a) > b else a", "f('hello world', 5) == 'hello...'", "f('abc', 1) == 'a...'"),
        ("return [*a, b]", "return [*a, *b] if isinstance(b, list) else [*a, b]", "f([1], [2, 3]) == [1, 2, 3]", "f([4], [5]) == [4, 5]"),
    ],
)  # fmt: skip  # one row each
def test_a_guard_needs_a_second_example(tmp_path: Path, old: str, new: str, one: str, other: str) -> None:
    """What it changes can be said, but so could be many things that one call has; the same call twice is one."""
    assert "one example shows that" in objection(tmp_path, old, new, one)
    assert "one example shows that" in objection(tmp_path, old, new, one, one)
    assert objection(tmp_path, old, new, one, other) == ""


def objection(folder: Path, old: str, new: str, *checks: str) -> str:
    """What the calls say against a patch of one function; a check without a comparison expects a ValueError."""
    before, after = (f"def f(a, b):\n    {text}\n" for text in (old, new))
    lines = [
        f"assert {check}"
        if " " in check.rpartition(")")[2]
        else f"with pytest.raises(ValueError):\n        {check}"
        for check in checks
    ]
    test = "\n    ".join(["import pytest\nfrom m import *\n\n\ndef test_fault():", *lines, ""])
    assert new_conditions(ast.parse(before), ast.parse(after)) or "except" in new
    return Project({"m.py": before}, {"m.py": after}, test).objection(folder)


def test_only_what_a_patch_touches_is_read() -> None:
    """A changed function and those that name it, so that a large module takes no longer."""
    before = "def f(a):\n    return a\n\n\ndef g(a):\n    return f(a)\n\n\ndef h(a):\n    return a\n"
    assert touched(
        ast.parse(before), ast.parse(before.replace("return a\n\n\ndef g", "return 1\n\n\ndef g"))
    ) == {"", "f", "g"}
