"""Values of kinds that code rarely meets: which the changed code asks for, and where they are put."""

from __future__ import annotations

import ast
import datetime
import io
from pathlib import Path
from unittest import mock

import pytest

from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.odd_values import odd_values
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


def test_every_odd_value_can_be_made() -> None:
    """The sources are expressions over the names that calls have."""
    for one in _odd("x == 1; callable(x); x.read()\nfor y in x: pass"):
        eval(one.replace("{0}", "[1]"), {"mock": mock, "io": io})


SOURCE = """
def draw(*pools, repeat=1):
    return tuple(map(tuple, pools * repeat))

def show(value, default=None):
    return '""' if default == "" else str(default)

def build(cls, size: int):
    return cls(size)
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
