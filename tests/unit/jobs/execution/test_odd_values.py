"""Values of kinds that code rarely meets: which the changed code asks for, and where they are put."""

from __future__ import annotations

import ast
import datetime
import importlib
import io
import itertools
import math
import re
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import pytest

from kodo.jobs.execution import library_values
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.odd_values import odd_values
from kodo.jobs.execution.operators import answering
from kodo.jobs.execution.target import load
from kodo.jobs.execution.types_as_values import SOURCES, is_about_types, is_kind, retyped
from kodo.jobs.execution.worker.definition_variation import retyped_fields
from kodo.jobs.execution.worker.load import LIBRARY
from kodo.jobs.execution.worker.variation import Variations


def _odd(source: str) -> tuple[str, ...]:
    tree = ast.parse(source)
    return odd_values(tree, tree.body, LIBRARY)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("if x == '': pass", "mock.ANY"),
        ("callable(x)", "dict"),
        ("read = getattr(x, 'read', None)", "io.BytesIO()"),
        ("x.read(10)", "io.BytesIO()"),
        ("pools = tuple(map(tuple, x * 2))", "iter({0})"),
        ("for one in x: pass", "iter({0})"),
        ("if key == other: pass", "math.nan"),
        ("if key is other: pass", "math.nan"),
        ("if key == str or key == object: pass", "object"),
        ("text = 'Key %s' % key", "(1, 2)"),
        ("try:\n    for one in x: pass\nexcept ValueError: pass", "itertools.chain({0}, map(int, 'x'))"),
        ("def __add__(self, other): pass", "[1, 2]"),
        ("import inspect\ncount = len(inspect.signature(x).parameters)", "lambda a, *, b=1: (a, b)"),
        ("import operator as op\nisinstance(x, (int, op.itemgetter))", "operator.itemgetter(0)"),
        ("from decimal import Decimal\nisinstance(x, Decimal)", "decimal.Decimal('1.5')"),
    ],
)
def test_what_code_asks_for_it_gets(source: str, value: str) -> None:
    """One question, one kind of value; code that asks nothing gets none."""
    assert value in _odd(source)
    assert _odd("y = x + 1") == ()


def test_an_instance_has_one_of_the_attributes_that_are_asked_for() -> None:
    """``zone`` is read where only ``localize`` was asked for; a class of the project is left to its constructor."""
    source = """
from datetime import tzinfo as dt_tzinfo
from project import Zone
if isinstance(zone, dt_tzinfo) and hasattr(zone, "localize"):
    name = zone.zone
if isinstance(other, Zone) and hasattr(other, "x"):
    pass
"""
    (half,) = [one for one in _odd(source) if "Half" in one]
    made = eval(half)
    assert isinstance(made, datetime.tzinfo) and hasattr(made, "localize") and not hasattr(made, "zone")


QUESTIONS = """
x == 1; x == y; callable(x); x.read(); hasattr(x, 'keys'); '%s' % x
for y in x:
    try: pass
    except ValueError: pass
def __lt__(self, other): pass
"""


def test_every_odd_value_can_be_made() -> None:
    """The sources are expressions over the names that calls have."""
    for one in _odd(QUESTIONS):
        eval(one.replace("{0}", "[1]"), {"mock": mock, "io": io, "math": math, "itertools": itertools})


@pytest.mark.parametrize(
    "source", ["'%s' % (x,)", "'%s' % 1", "if type(x) is str: pass", "if x is None: pass"]
)
def test_what_is_sure_asks_for_nothing(source: str) -> None:
    """A tuple is formatted by itself, a type is asked for by its name, and nothing else is None."""
    assert not {"(1, 2)", "str", "math.nan"} & set(_odd(source))


def test_an_object_hands_on_the_attribute_that_is_asked_for() -> None:
    """``hasattr`` is true of it, and its class does not have the attribute."""
    (proxy,) = [one for one in _odd("hasattr(x, '__iter__')") if "Proxy" in one]
    made = eval(proxy, {"io": io})
    assert hasattr(made, "__iter__") and not isinstance(made, Iterable)
    assert not [one for one in _odd("hasattr(x, 'my_own')") if "Proxy" in one]


@pytest.mark.parametrize(
    ("method", "answers"), [("__add__", True), ("__iadd__", True), ("__lt__", True), ("add", False)]
)
def test_an_operand_answers_what_is_left_to_it(method: str, answers: bool) -> None:
    """A class that returns NotImplemented gives way to it; a function that is only called so has none."""
    source = answering(method)
    assert bool(source) is answers
    if answers:
        gives_way = type("Money", (), {method: lambda self, other: NotImplemented})()
        form = "money < other" if method == "__lt__" else "money + other"
        assert eval(form, {"money": gives_way, "other": eval(source)}) == "answer"


def test_what_the_changed_lines_ask_for_comes_first() -> None:
    """There is room for a dozen, and the rest of a long function would take it."""
    source = "def f(x):\n    for y in x: pass\n    callable(x)\n    return '%s' % x\n"
    tree = ast.parse(source)
    assert odd_values(tree, tree.body, LIBRARY, {4})[0] == "(1, 2)"
    assert odd_values(tree, tree.body, LIBRARY, {3})[0] == "dict"


SOURCE = """
def draw(*pools, repeat=1):
    return tuple(map(tuple, pools * repeat))

def show(value, default=None):
    return '""' if default == "" else str(default)

def build(cls, size: int):
    return cls(size)

def send(files):
    return [(name, content) for name, content in files]

class Money:
    def __init__(self, amount: int):
        self.amount = amount

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount + other.amount)

    def plus(self, other: "Money") -> "Money":
        return self + other
"""


def _sources(folder: Path, name: str, odd: tuple[str, ...] = ()) -> set[str]:
    (folder / "m.py").write_text(SOURCE)
    module = load(folder / "m.py")
    maker = CandidateGenerator(module, 0, deep=True, mocked=True, odd=odd)
    return {arg.source for call in maker.calls(module.every_function[name], 300) for arg in call.args}


def test_any_number_of_iterables_may_be_iterators(tmp_path: Path) -> None:
    """What ``tuple`` is mapped over are iterables."""
    assert [one for one in _sources(tmp_path, "draw") if one.startswith("iter(")]


def test_open_values_are_odd_now_and_then(tmp_path: Path) -> None:
    """What is asked for is among the values of a parameter of which nothing is known."""
    assert "mock.ANY" in _sources(tmp_path, "show", ("mock.ANY",))


def test_what_is_in_a_container_is_odd_too(tmp_path: Path) -> None:
    """A pair with one is in the list of pairs that is guessed."""
    assert [
        one for one in _sources(tmp_path, "send", ("mock.ANY",)) if re.search(r"\[.*\(.*, mock\.ANY\)", one)
    ]


def test_the_other_operand_may_be_anything(tmp_path: Path) -> None:
    """Whatever its annotation says, which holds for a method that is called by its name."""
    assert "mock.ANY" in _sources(tmp_path, "Money.__add__", ("mock.ANY",))
    assert "mock.ANY" not in _sources(tmp_path, "Money.plus", ("mock.ANY",))


def test_odd_values_are_tried_early(tmp_path: Path) -> None:
    """Among all boundaries of a parameter, of which there may be hundreds, they would be the last."""
    (tmp_path / "m.py").write_text(SOURCE)
    module = load(tmp_path / "m.py")
    maker = CandidateGenerator(module, 0, deep=True, mocked=True, odd=("mock.ANY", "math.nan"))
    made = [call.args[0].source for call in maker.calls(module.every_function["send"], 300) if call.args]
    assert max(map(made.index, ("mock.ANY", "math.nan", "[math.nan]"))) < 20


def test_a_parameter_for_types_gets_types(tmp_path: Path) -> None:
    """By its name or its annotation; of every form."""
    assert set(SOURCES) <= _sources(tmp_path, "build")
    assert (
        is_kind("cl", "")
        and is_kind("x", "type[T]")
        and not is_kind("cls", "str")
        and not is_kind("size", "")
    )


def test_a_literal_of_a_test_becomes_odd() -> None:
    """An iterator of the same items, or something that equals everything."""
    call = Call(0, "f", "f(_0)", (Arg("literal_0", "[1, 2]"),), origin="test")
    vary = Variations([call], (), odd=("mock.ANY", "iter({0})"))
    found = {made.args[0].source for number in range(400) if (made := vary.one(call, number)) is not None}
    assert {"mock.ANY", "iter([1, 2])"} <= found


def test_a_field_of_a_test_s_class_gets_another_type() -> None:
    """A form around its own type, or one of its own; a class without fields stays as it is."""
    import random

    call = Call(0, "f", "f(A(1))", (), ("import attrs", "@attrs.define\nclass A:\n    x: int"), origin="test")
    made = {one.setup[1] for seed in range(60) if (one := retyped_fields(call, 1, random.Random(seed)))}
    assert any("typing.Optional[int]" in one for one in made)
    assert any("typing.TypeVar('T')" in one for one in made)
    assert retyped("class A:\n    x = 1", random.Random(0)) is None


def test_code_is_about_types_where_it_asks_for_their_form() -> None:
    """Not where it asks values for their class."""
    assert is_about_types(["if isinstance(other, TypeVar): pass"])
    assert not is_about_types(["if isinstance(other, int): pass"])


def test_values_of_the_library_are_instances_of_the_classes_that_are_asked_for() -> None:
    """Each source makes one, by the names that calls have."""
    names = {name: importlib.import_module(name) for name in LIBRARY}
    for kind, source in library_values._OF_CLASSES.items():
        assert isinstance(eval(source, dict(names)), eval(kind, dict(names))), kind
    assert all(callable(eval(source, dict(names))) for source in library_values._CALLABLES)
