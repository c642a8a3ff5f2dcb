"""What comparisons compare is written down by the functions themselves, which do what they did."""

from __future__ import annotations

import datetime
import importlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from kodo.jobs.execution.worker.marks import Looking, Marks
from kodo.jobs.execution.worker.operands import Operands, Sides

_TEXT = """TABLE = {"a": 1, "b": 2}


class Text:
    def low(self, text):
        return text.lower()


class Own(Text):
    def low(self, text):
        return super().low(text) == "x"


def between(x):
    return 0 <= x < 10


def begins(text):
    return text.startswith(("pre", "q")) and not text.endswith("z")


def within(text, part):
    return part in text


def known(name):
    return TABLE[name] if name in TABLE else TABLE.get(name.lower())


def matched(x):
    match x:
        case 5 | 7:
            return [one for one in range(9) if one == x]
    return None


def later(text):
    return len(text) == 4 and (lambda: text == "abcd")()


def dated(day, last):
    return day < last


def once(items):
    return items.pop() == items.pop() == 3


def waits(x):
    got = (yield x) == 4
    yield got
"""
_NAMES = (
    "Own.low", "between", "begins", "within", "known", "matched", "later", "dated", "once", "waits",
)  # fmt: skip


@pytest.fixture
def module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[types.ModuleType]:
    """The text as a module."""
    name = f"compared_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(_TEXT)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module(name)
    del sys.modules[name]


def _watched(module: types.ModuleType) -> tuple[Marks, Operands]:
    operands = Operands()
    marks = Marks(str(module.__file__), _NAMES, operands)
    assert marks.put()
    return marks, operands


@pytest.mark.parametrize(
    ("call", "result", "pairs"),
    [
        ("between(12)", False, [("0", "12"), ("12", "10")]),
        ("between(-1)", False, [("0", "-1"), ("-1", "10")]),
        ("begins('ab')", False, [("'ab'", "'preab'"), ("'ab'", "'qab'")]),
        ("begins('qab')", True, [("'qab'", "'preqab'"), ("'qab'", "'qqab'"), ("'qab'", "'qabz'")]),
        ("within('ab', 'c')", False, [("'ab'", "'abc'")]),
        ("within([1, 'k'], 'c')", False, [("'c'", "1"), ("'c'", "'k'")]),
        ("known('A')", 1, [("'A'", "'a'"), ("'A'", "'b'"), ("'a'", "'b'")]),
        ("matched(3)", None, [("3", "5"), ("3", "7")]),
        ("later('abcd')", True, []),
        ("later('abce')", False, [("'abce'", "'abcd'")]),
        ("Own().low('Y')", False, [("'y'", "'x'")]),
        ("next(waits(1))", 1, []),
    ],
)
def test_the_values_on_both_sides_are_known(
    module: types.ModuleType, call: str, result: object, pairs: list[tuple[str, str]]
) -> None:
    """Chains as far as they went, parts of texts with what would have them, keys of tables, cases, what is inside a lambda."""
    marks, operands = _watched(module)
    marks.clear()
    assert eval(call, dict(vars(module))) == result
    assert [(one.one, one.other) for one in operands.pairs] == pairs


def test_dates_are_written_down_and_what_has_no_source_is_not(module: types.ModuleType) -> None:
    """The lines are those of the comparisons."""
    marks, operands = _watched(module)
    day, last = datetime.date(2024, 1, 2), datetime.date(2024, 1, 31)
    assert module.dated(day, last)
    line = 1 + _TEXT[: _TEXT.index("return day < last")].count("\n")
    assert operands.pairs == (Sides(line, "datetime.date(2024, 1, 2)", "datetime.date(2024, 1, 31)"),)
    marks.clear()
    assert not module.dated(float("inf"), 3.0) and not module.dated({2}, {1})
    assert operands.pairs == ()


def test_an_operand_is_evaluated_once_and_errors_are_the_same(module: types.ModuleType) -> None:
    """Also where it has an effect, or the comparison raises."""
    _watched(module)
    items = [1, 3, 3]
    assert module.once(items) and items == [1]
    with pytest.raises(TypeError, match="not supported between instances of 'int' and 'str'"):
        module.between("x")


def test_what_a_loop_compares_again_and_again_has_an_end(module: types.ModuleType) -> None:
    """Of one comparison a few pairs are kept."""
    marks, operands = _watched(module)
    marks.clear()
    for number in range(100, 200):
        module.between(number)
    assert 2 <= len(operands.pairs) <= 10


def test_looking_puts_other_code_where_a_call_begins(module: types.ModuleType) -> None:
    """Until then the functions are as fast as they were."""
    looking = Looking(str(module.__file__), _NAMES)
    before = module.between.__code__
    module.between(3)
    assert looking.pairs == () and module.between.__code__ is before
    looking.begin()
    module.between(3)
    assert [(one.one, one.other) for one in looking.pairs] == [("0", "3"), ("3", "10")]
    looking.begin()
    assert looking.pairs == ()
