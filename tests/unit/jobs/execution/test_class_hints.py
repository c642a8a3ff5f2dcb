"""Parameters without annotations that are instances of a class: by the documentation, and by the attributes that are read."""

from __future__ import annotations

import pytest

from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.class_hints import classes_of, instance_attributes
from kodo.jobs.execution.model import Call
from kodo.jobs.execution.stated_facts import invariants
from kodo.jobs.execution.target import load

CODE = '''
class Shape:
    def __init__(self):
        self.sides = 3

    def area(self):
        return 1


class Box(Shape):
    def __init__(self):
        self.height = 2


class Node:
    name: str
    def copy(self): ...


class Leaf:
    name = "x"


class Root:
    name = "y"


class Tree:
    name = "z"


def documented(thing):
    """Doc.

    :param thing: the :class:`Node` to read
    """


def listed(thing):
    """Doc.

    Args:
        thing (pkg.Leaf): it is read
    """


def by_attributes(one):
    return one.height + one.sides


def by_name(node):
    return node.name


def common(one):
    return one.name


def typed(one: int):
    """one: a Node"""
    return one.height
'''


@pytest.fixture
def module(tmp_path):
    """The module, read."""
    path = tmp_path / "mod.py"
    path.write_text(CODE, encoding="utf-8")
    return load(path)


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("documented", ["Node"]),
        ("listed", ["Leaf"]),
        ("by_attributes", ["Box"]),
        ("by_name", ["Node"]),
        ("common", []),
        ("typed", []),
    ],
)
def test_the_class_of_a_parameter_is_known(module, name, classes):
    """The words come first, then what is read of it; what four classes have and an annotation say nothing."""
    (function,) = module.pick(name)
    found = classes_of(function.params[0], function, instance_attributes([module]))
    assert [one.text for one in found] == classes


def test_an_instance_has_what_its_base_class_sets(module):
    """Attributes and methods of both."""
    assert instance_attributes([module])["Box"] >= {"height", "sides", "area"}


def test_calls_give_instances_that_were_seen_to_work(module):
    """Most of the arguments are what a factory of the class gave."""
    generator = CandidateGenerator(module, 0, deep=True, attributes=instance_attributes([module]))
    assert "Node" in generator.needed_classes()
    generator.learn(
        [Call(0, "Node", "Node()")], [Call(1, "Node", "parse('a')"), Call(2, "Node", "parse('bc')")]
    )
    made = {call.args[0].source for call in generator.calls(module.pick("documented")[0], 60) if call.args}
    assert {"Node()", "parse('a')", "parse('bc')"} <= made


@pytest.mark.parametrize(("parameter", "count"), [("size: int", 1), ("size", 0), ("**options", 0)])
def test_an_instance_of_guessed_values_accuses_no_method(tmp_path, parameter, count):
    """What a property returns is what its instance was made with, and only an annotation says what that must be."""
    kept = "options.pop('size', None)" if "options" in parameter else "size"
    path = tmp_path / "mod.py"
    path.write_text(
        f"class Box:\n    def __init__(self, {parameter}):\n        self._size = {kept}\n\n"
        "    @property\n    def size(self) -> int:\n        return self._size\n",
        encoding="utf-8",
    )
    module = load(path)
    assert len(invariants(module, module.pick("Box.size")[0])) == count
