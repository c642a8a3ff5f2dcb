"""Methods of Python's data model: each is called by its operator, and what sets something reads as a statement."""

from __future__ import annotations

import copy  # noqa: F401 - expressions name it
import math  # noqa: F401 - expressions name it
import operator  # noqa: F401 - expressions name it

import pytest

from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.operators import FORMS, GIVES_OTHER, statement
from kodo.jobs.execution.stated_facts import invariants
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.variation import Variations

BAG = '''
class Bag:
    """A bag."""

    def __init__(self, size: int = 1):
        self._size = size

    def __setitem__(self, key: str, value: int) -> None:
        self._size = value

    def __ror__(self, other):
        return other

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self) -> tuple:
        return Bag, ()

    @property
    def size(self) -> int:
        return self._size

    @size.setter
    def size(self, value: int) -> None:
        if value < 0:
            raise ValueError("size")
        self._size = value
'''


def calls(folder, name, code=BAG):
    """The calls that are made for a method."""
    path = folder / "mod.py"
    path.write_text(code, encoding="utf-8")
    module = load(path)
    (function,) = module.pick(f"Bag.{name}")
    return CandidateGenerator(module, 0, deep=True).calls(function, 60)


@pytest.mark.parametrize(
    "method", sorted(set(FORMS) - {*GIVES_OTHER, "__missing__", "__aexit__", "__aenter__", "__anext__"})
)
def test_the_form_of_a_method_calls_it(method):
    """An instance whose class defines this method alone runs it, whatever the form is."""
    seen = []

    def called(self, *given):
        seen.append(method)
        return {"__len__": 1, "__str__": "a", "__repr__": "a", "__bool__": True, "__bytes__": b"a", "__int__": 1,
                "__float__": 1.0, "__complex__": 1j, "__index__": 1, "__format__": "a", "__next__": 1}.get(method, 1)  # fmt: skip

    members = {method: called} | ({"__getitem__": called} if method == "__len__" else {})
    bag = type("Bag", (), members)()
    given = 3 if FORMS[method].startswith("_0 ") else "a"
    eval(FORMS[method].format("bag"), {**globals(), "bag": bag, "_0": given, "_1": 1})
    assert method in seen


def test_an_item_is_set_with_both_arguments(tmp_path):
    """The key and the value are the arguments of one call."""
    (form,) = {one.expression for one in calls(tmp_path, "__setitem__") if len(one.args) == 2}
    assert form == "operator.setitem(bag, _0, _1)"


def test_the_other_operand_stands_before_the_instance(tmp_path):
    """A reflected method is called with its argument on the left."""
    assert {one.expression for one in calls(tmp_path, "__ror__")} == {"_0 | bag"}


def test_an_argument_without_a_place_is_left_out(tmp_path):
    """A copy is made without the memo that the method takes."""
    made = calls(tmp_path, "__deepcopy__")
    assert made and not any(one.args for one in made)


def test_a_copy_is_asked_for_what_its_class_offers(tmp_path):
    """One that is made of the state alone may lack what a constructor sets, and its text does not show that."""
    assert {one.expression for one in calls(tmp_path, "__reduce__")} == {
        "copy.deepcopy(bag)",
        "copy.deepcopy(bag).size",
    }
    assert FORMS["__setstate__"] == "copy.deepcopy({0})" and FORMS["__copy__"] == "copy.copy({0})"


FIELD = """
class Bag:
    def __init__(self, name: str = "a"):
        self.name = name

    def __get__(self, holder, kind=None):
        return holder.__dict__[self.name]
"""


def test_a_descriptor_is_read_through_the_class_too(tmp_path):
    """There is no object then, which code that only thinks of objects does not expect."""
    (one, other) = sorted({each.expression for each in calls(tmp_path, "__get__", FIELD)})
    assert (one, other) == (
        "type('Owner', (), {'field': bag})().field",
        "type('Owner', (), {'field': bag}).field",
    )


def test_a_test_s_call_asks_the_class(tmp_path):
    """Where the change is of a descriptor, and not of other functions."""
    call = Call(1, "f", "bag.size(_0)", (Arg("a", "1"),), ("bag = Bag()",), origin="test")
    for is_one in (True, False):
        vary = Variations([call], (), descriptors=is_one)
        made = {one.expression for number in range(200) if (one := vary.one(call, number)) is not None}
        assert ("type(bag).size" in made) is is_one


def test_a_property_is_set_as_well_as_read(tmp_path):
    """Its calls read it and set it, and those that set it give it a value."""
    made = calls(tmp_path, "size")
    assert {one.expression for one in made} == {"bag.size", "setattr(bag, 'size', _0)"}
    assert "-1" in {one.args[0].source for one in made if one.args}


def test_nothing_is_demanded_of_an_expression_that_gives_something_else(tmp_path):
    """What ``__reduce__`` returns is not what a copy is, so that its annotation accuses nobody."""
    path = tmp_path / "mod.py"
    path.write_text(BAG, encoding="utf-8")
    module = load(path)
    assert invariants(module, module.pick("Bag.__reduce__")[0]) == ()
    assert invariants(module, module.pick("Bag.__setitem__")[0]) != ()


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("operator.setitem(bag, 'a', 1)", "bag['a'] = 1"),
        ("operator.delitem(bag, 0)", "del bag[0]"),
        ("setattr(bag, 'size', 3)", "bag.size = 3"),
        ("setattr(bag, 'a b', 3)", "setattr(bag, 'a b', 3)"),
        ("setattr(bag, name, 3)", "setattr(bag, name, 3)"),
        ("delattr(bag, 'size')", "del bag.size"),
        ("bag.size", "bag.size"),
    ],
)
def test_what_sets_or_deletes_is_written_as_a_statement(expression, written):
    """The statement of Python where there is one, and the expression itself where there is none."""
    assert statement(expression) == written
