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
        ("return a[:b]", "if b < 0:\n        raise ValueError(b)\n    return a[:b]", ""),
        ("return list(range(a, b))", "if a > b:\n        a, b = b, a\n    return list(range(a, b))", "f(5, 2) == [2, 3, 4]"),
        ("return a.title()", "return a if a.isupper() else a.title()", "f('NASA', 1) == 'NASA'"),
        ("return a * b", "return 0 if a is None else a * b", "f(None, 3) == 0"),
        ("return [a] + b", "return b if a in b else [a] + b", "f(2, [1, 2]) == [1, 2]"),
        ("return len(a.split(' '))", "return len(a.split()) if a.strip() else 0", "f(' ', 1) == 0"),
        ("return a", "return a[:b] + '...' if len(a) > b else a", "f('hello world', 5) == 'hello...'"),
        ("return [*a, b]", "return [*a, *b] if isinstance(b, list) else [*a, b]", "f([1], [2, 3]) == [1, 2, 3]"),
    ],
)  # fmt: skip  # one row each
def test_a_natural_condition_is_believed(tmp_path: Path, old: str, new: str, check: str) -> None:
    """What it changes can be said: nothing, the wrong order, an end, a kind of letters, a multiple, an error before."""
    before, after = (f"def f(a, b):\n    {text}\n" for text in (old, new))
    test = f"from m import *\n\n\ndef test_fault():\n    assert {check}\n"
    if not check:
        test = "import pytest\nfrom m import *\n\n\ndef test_fault():\n    with pytest.raises(ValueError):\n        f('ab', -1)\n"
    assert new_conditions(ast.parse(before), ast.parse(after))
    assert Project({"m.py": before}, {"m.py": after}, test).objection(tmp_path) == ""


def test_only_what_a_patch_touches_is_read() -> None:
    """A changed function and those that name it, so that a large module takes no longer."""
    before = "def f(a):\n    return a\n\n\ndef g(a):\n    return f(a)\n\n\ndef h(a):\n    return a\n"
    assert touched(
        ast.parse(before), ast.parse(before.replace("return a\n\n\ndef g", "return 1\n\n\ndef g"))
    ) == {"", "f", "g"}
