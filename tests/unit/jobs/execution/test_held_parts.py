"""What a result holds of a package's objects, and how these become instances."""

from __future__ import annotations

import sys
import types

import pytest

from kodo.jobs.execution.worker.held_parts import parts

CODE = """
class Hidden:
    pass

class Node:
    def __init__(self, *children):
        self.children = list(children)
        self.parent = None
        self._hidden = Hidden()
        for one in children:
            one.parent = self

class Name(Node):
    pass

class Table:
    __slots__ = ("rows", "empty")
    def __init__(self):
        self.rows = {"first": Node(), 2: (Node(), Name())}

    @property
    def loaded(self):
        raise RuntimeError("a property ran")
"""


@pytest.fixture
def package():
    """A module of a package with trees and tables."""
    module = types.ModuleType("treepkg.nodes")
    exec(CODE, module.__dict__)
    return module


def test_the_children_of_a_tree_are_found_by_the_way_to_them(package):
    """Each once, with its classes, the nearest first; what an object keeps to itself is left alone."""
    tree = package.Node(package.Name(), package.Node(package.Name()))
    assert parts(tree, "treepkg") == (
        ("", ("Node",)),
        (".children[0]", ("Name", "Node")),
        (".children[-1]", ("Node",)),
        (".children[-1].children[0]", ("Name", "Node")),
    )


def test_slots_dicts_and_tuples_are_followed_and_no_property_runs(package):
    """A slot that is empty holds nothing."""
    ways = [way for way, _ in parts(package.Table(), "treepkg")]
    assert ways == ["", ".rows['first']", ".rows[2][0]", ".rows[2][-1]"]


def test_what_is_not_of_the_package_is_no_part(package):
    """Neither a class nor another package's object."""
    assert parts([package.Node, sys, 3, "text"], "treepkg") == ()
    assert parts([package.Node()], "other") == ()


def test_objects_of_one_class_are_few(package):
    """A tree of one kind of node does not use up the room of the others."""
    tree = package.Node()
    for _ in range(5):
        tree = package.Node(package.Node(), tree)
    assert len(parts(tree, "treepkg")) == 3
