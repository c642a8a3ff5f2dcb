"""Classes of fields, whatever library makes their constructors: how instances are made, and written down again."""

from __future__ import annotations

import dataclasses
import random
import sys
from pathlib import Path

import attrs
import msgspec
import pydantic
import pytest

from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.target import load
from kodo.jobs.execution.values import Values
from kodo.jobs.execution.worker import literal
from kodo.jobs.execution.worker.data_fields import data_fields

BASES = """
import msgspec
from pydantic import BaseModel, Field

class Frozen(msgspec.Struct, frozen=True):
    pass

class Model(BaseModel):
    name: str
"""
ROWS = """
from bases import Frozen, Model
from pydantic import Field

class Row(Frozen, kw_only=True):
    id: str
    size: int = 3

class Order(Model):
    count: int = Field(ge=1, default=2)
    price: float = Field(..., ge=0)
"""
SOURCE = """
from rows import Row, Order
import attrs

@attrs.define(kw_only=True)
class Item:
    size: int
    notes: list[str] = attrs.field(factory=list)

def of_row(row: Row) -> int:
    return row.size

def of_order(order: Order) -> str:
    return order.name

def of_item(item: Item) -> int:
    return item.size
"""


@pytest.mark.parametrize("name", ["of_row", "of_order", "of_item"])
def test_instances_are_made_by_inherited_and_keyword_fields(tmp_path: Path, name: str) -> None:
    """Also where the base that says so is in a module which the module under test does not import."""
    for file, text in (("bases", BASES), ("rows", ROWS), ("m", SOURCE)):
        (tmp_path / f"{file}.py").write_text(text)
    module = load(tmp_path / "m.py")
    calls = CandidateGenerator(module, 0).calls(module.every_function[name], 20)
    sys.path.insert(0, str(tmp_path))
    try:
        space: dict[str, object] = {"__name__": "m"}
        exec(SOURCE, space)
        made = [eval(call.args[0].source, space) for call in calls[:1]]
    finally:
        sys.path.remove(str(tmp_path))
        for file in ("bases", "rows"):
            sys.modules.pop(file, None)
    assert [type(one).__name__ for one in made] == [name.removeprefix("of_").capitalize()]


class Struct(msgspec.Struct):
    """A struct of msgspec."""

    a: int
    b: str = "x"


class Model(pydantic.BaseModel):
    """A model whose second field is set by another name."""

    a: int
    b: str = pydantic.Field(default="x", alias="B")


@attrs.define
class Attrs:
    """A class of attrs, which takes a private field without its underscore."""

    a: int
    _b: str = "x"


@dataclasses.dataclass
class Data:
    """A dataclass with a field that the constructor does not take."""

    a: int
    b: str = dataclasses.field(default="x", init=False)


@pytest.mark.parametrize(
    "value", [Struct(1, "y"), Model(a=1, B="y"), Attrs(1, "y"), Data(1)], ids=lambda one: type(one).__name__
)
def test_the_source_of_an_instance_makes_an_equal_one(value: object) -> None:
    """By the names that its constructor takes."""
    fields = data_fields(value)
    assert fields is not None
    assert type(value)(**fields) == value
    assert eval(literal.source(value, {type(value).__name__: type(value)})) == value
    assert data_fields(3) is None


def test_an_unknown_class_in_an_annotation_with_none_is_a_mock(tmp_path: Path) -> None:
    """Nothing is left of ``Unknown | None`` but None, which is no object to talk to."""
    (tmp_path / "m.py").write_text(
        "from nowhere import Unknown\nfrom dataclasses import dataclass\n@dataclass\nclass Page:\n"
        "    state: Unknown | None\n    view: Unknown\n    other: None\n"
    )
    module = load(tmp_path / "m.py")
    made = Values(random.Random(0), module.constructible, mocked=frozenset()).instance("Page", 0, plain=True)
    assert made == "Page(mock.MagicMock(), mock.MagicMock(), None)"
    assert "mock" not in Values(random.Random(0), module.constructible).instance("Page", 0, plain=True)
