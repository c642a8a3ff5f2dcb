"""Values as expressions: each gives an equal value again, and what has none says so."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import io
import re
import types
from pathlib import Path
from typing import NamedTuple

import pytest

from kodo.jobs.execution.worker.expressions import Expressions, Unwritable, Variables
from kodo.jobs.execution.worker.local_definitions import LocalDefinitions
from kodo.jobs.execution.worker.places import Places


class Colour(enum.Enum):
    RED = 1


class Point(NamedTuple):
    x: int
    y: object


@dataclasses.dataclass
class Box:
    side: int
    tags: list[str] = dataclasses.field(default_factory=list)
    area: int = dataclasses.field(init=False, default=0)


class Word(str):
    __slots__ = ()


class Held:
    def __init__(self, inside: object) -> None:
        self.inside = inside


SHARED = Held(None)


def _writing(variables: Variables | None = None) -> Expressions:
    found = {id(SHARED): f"{__name__}:SHARED"}
    places = Places(Path("/nowhere"), "m.py", "m")
    return Expressions(variables or Variables(), lambda: found, places, LocalDefinitions(lambda path: False))


def _again(value: object) -> object:
    writing = _writing()
    source = writing.write(value)
    space: dict[str, object] = {"datetime": datetime}
    for name in writing.modules:
        exec(f"import {name}", space)
    return eval(source, space)


@pytest.mark.parametrize(
    "value",
    [
        None, "a\n", 1.5, [1, (2,), {"a": {3}}], Colour.RED, [Colour.RED], Point(1, [Colour.RED]), Box(2, ["a"]),
        {Colour.RED: Point}, frozenset([Colour.RED]), (Colour.RED,), datetime.date(2020, 1, 2), re.compile("a+", re.I),
        types.SimpleNamespace(a=Box(1)), Word("w"), re, len, _again, SHARED, [SHARED],
    ],
)  # fmt: skip  # one row of values
def test_an_expression_gives_the_value_again(value):
    """Literals, containers, plain data, classes, functions, modules, objects that a module holds."""
    again = _again(value)
    assert again == value and type(again) is type(value)


def test_buffers_and_partial_calls_are_made_of_their_parts():
    """They compare by identity, so their parts are looked at."""
    buffer, made = _again(io.StringIO("text")), _again(functools.partial(Point, 1, y=2))
    assert isinstance(buffer, io.StringIO) and buffer.getvalue() == "text"
    assert isinstance(made, functools.partial) and made() == Point(1, 2)


def test_what_hangs_on_a_named_object_is_found_from_there():
    """An attribute, an item of it, and a method bound to it."""
    inner = Held(3)
    outer = Held({"a": [inner]})
    variables = Variables()
    assert variables.bind(outer) == variables.bind(outer) == "held"
    writing = _writing(variables)
    assert writing.write(inner) == "held.inside['a'][0]" and writing.uses == {"held"}
    assert writing.write(["x", outer]) == "['x', held]"


@pytest.mark.parametrize(
    "value", [Held(1), [Held(1)], lambda: 1, object(), iter([1]), "/nowhere/" + "x\n", "x" * 9000]
)
def test_what_has_no_expression_says_so(value):
    """Objects that only this run knows, places of this run inside of texts, long texts."""
    with pytest.raises(Unwritable):
        _writing().write(value)


@pytest.mark.parametrize("name", ["data-id", "class", "", "a b"])
def test_an_argument_whose_name_is_no_identifier_has_no_expression(name):
    """Such a name comes in through ``**``; a call with it would be no Python."""
    with pytest.raises(Unwritable):
        _writing().call("m.tag", ["a"], {name: 1})
    with pytest.raises(Unwritable):
        _writing().write(types.SimpleNamespace(**{name: 1}))
