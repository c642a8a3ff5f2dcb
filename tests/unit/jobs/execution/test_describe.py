"""Values without source text are compared by type, text and public attributes."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kodo.jobs.execution.worker.describe import describe, printed


class Point:
    """A class without equality."""

    def __init__(self, x, inner=None):
        self.x = x
        self.inner = inner
        self._hidden = object()


class Rude:
    """Its repr and a property raise."""

    def __repr__(self):
        raise ValueError("no")

    @property
    def broken(self):
        """Never there."""
        raise KeyError("no")


def test_a_value_with_source_is_its_source():
    """Nothing is added to what has a source text."""
    assert describe([1, "a"], {}, "/r") == {"result": "[1, 'a']"}


def test_an_object_is_its_type_text_and_public_attributes():
    """Addresses are removed and hidden attributes are not looked at, so equal objects have equal parts."""
    one, other = describe(Point(1, Point(2)), {}, "/r"), describe(Point(1, Point(2)), {}, "/r")
    assert one == other
    assert one["result.x"] == "1"
    assert "x=2" in one["result.inner"]
    assert "result._hidden" not in one
    assert describe(Point(1, Point(3)), {}, "/r") != one


def test_objects_inside_containers_are_described():
    """A list of objects without source differs where an item's attribute does."""
    assert describe([Point(1)], {}, "/r") != describe([Point(2)], {}, "/r")


def test_a_repr_or_property_that_raises_is_said():
    """Foreign code may raise anything while it is looked at."""
    parts = describe(Rude(), {}, str(Path(__file__).parent))
    assert "whose repr raises ValueError" in parts["result"]
    assert "raises KeyError" in parts["result.broken"]


def test_properties_of_other_projects_classes_are_not_asked():
    """They may cost seconds and say nothing of the change."""
    assert "result.broken" not in describe(Rude(), {}, "/somewhere/else")


def test_the_versions_own_folder_is_not_a_difference():
    """A path below the version's folder reads the same on both sides."""
    assert printed("/p/before/m.py at 0x7f00aa", "/p/before") == printed(
        "/p/after/m.py at 0x7fbbcc", "/p/after"
    )


@pytest.mark.parametrize(
    "place",
    [
        lambda root: f"{root}/data/a.csv",
        lambda root: Path(root) / "a.csv",
        lambda root: [Path(root), f"in {root}"],
        lambda root: {"at": Path(root)},
        lambda root: (Point(1), f"{root}/a.csv"),
    ],
)
def test_a_place_below_the_versions_own_folder_is_one_in_both(place: Callable[[str], object]) -> None:
    """A value with source text may be such a place too, or hold one."""
    sides = [describe(place(root), {}, root) for root in ("/project/before", "/project/after")]
    assert sides[0] == sides[1]
    assert "<project>" in sides[0]["result"] and "/project/before" not in str(sides[0])


class Basket:
    """A collection that keeps its items to itself, and gives two views of them."""

    def __init__(self, *items):
        self._items = items

    def __len__(self):
        return len(self._items)

    def __iter__(self):
        return iter(self._items)

    @functools.cached_property
    def total(self):
        """What all of them cost."""
        return sum(self._items)


def test_a_collection_of_the_project_is_compared_by_what_is_in_it():
    """Its items and what it gives once are part of it; a collection of another project is left alone."""
    here = str(Path(__file__).parent)
    one, other = describe(Basket(1, 2), {}, here), describe(Basket(2, 1), {}, here)
    assert one["list(result)"] == "[1, 2]" and other["list(result)"] == "[2, 1]"
    assert one["result.total"] == "3"
    assert "list(result)" not in describe(Basket(1, 2), {}, "/somewhere/else")


def test_an_iterator_is_not_used_up():
    """What can be gone through only once is not read to be compared, nor is what has no end that is known."""

    class Once(Basket):
        def __next__(self):
            raise AssertionError("it was read")

        __iter__ = None

    here = str(Path(__file__).parent)
    assert "list(result)" not in describe(Once(1), {}, here)


def test_two_copies_of_a_file_have_one_status(tmp_path):
    """The number, the times and the owner of a file are not the project's; its size and mode are, alone and inside a tuple."""
    for name, text in (("a", "1"), ("b", "1"), ("c", "12")):
        (tmp_path / name).write_text(text)
    os.utime(tmp_path / "a", (1, 1))
    one, copy, longer = ((tmp_path / name).stat() for name in "abc")
    assert describe(one, {}, "/project") == describe(copy, {}, "/project") != describe(longer, {}, "/project")
    assert (
        describe(("f", one), {}, "/project")
        == describe(("f", copy), {}, "/project")
        != describe(("f", longer), {}, "/project")
    )
    assert describe(one, {}, "/project") != describe(tmp_path.stat(), {}, "/project")
