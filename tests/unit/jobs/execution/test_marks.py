"""Functions say themselves which of their statements ran, and do what they did."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import traceback
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from kodo.jobs.execution.worker.marks import Marks

_TEXT = '''from __future__ import annotations

import functools


def price(item, discount=0):
    """What an item costs."""
    if item > 3:
        return item - discount
    for one in range(item):
        try:
            {}[one]
        except KeyError:
            discount += 1
    return -discount


def other(item):
    return price(item)


class Shop:
    """It sells."""

    def __init__(self, title):
        super().__init__()
        self.title = title

    @property
    def name(self):
        return (
            self.title
            .upper()
        )

    @staticmethod
    def make():
        class Inner(Shop):
            def own(self):
                """Its own."""
                return __class__.__name__

        return Inner("inner")


@functools.lru_cache
def kept(item):
    match item:
        case 1:
            return "one"
        case _:
            return [x for x in range(item)]


def counted(items):
    for one in items:
        yield one


async def late(item):
    return item


try:
    import nothing_of_that_name
except ImportError:
    def only(item):
        return lambda: item


def part(item, other):
    return item > 1 and (other or "no") if item else other


def broken(item):
    item += 1
    raise ValueError(item)


def _closed():
    held = 3

    def inner(item):
        nonlocal held
        held += item
        return held

    return inner


closed = _closed()
'''
_NAMES = (
    "price", "Shop.__init__", "Shop.name", "Shop.make", "kept", "counted", "late", "only", "part", "broken", "_closed",
)  # fmt: skip


@pytest.fixture
def module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[types.ModuleType]:
    """The text as a module."""
    name = f"marked_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(_TEXT)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module(name)
    del sys.modules[name]


def _line(text: str) -> int:
    return 1 + _TEXT[: _TEXT.index(text)].count("\n")


def test_what_ran_is_known_and_what_it_does_is_the_same(module: types.ModuleType) -> None:
    """The function and the first line of each of its statements; what is not watched is not seen."""
    marks = Marks(str(module.__file__), _NAMES)
    assert marks.put()
    assert module.other(5) == 5
    assert marks.reached == ("price",)
    assert marks.lines == (_line("if item > 3"), _line("return item - discount"))
    marks.clear()
    assert marks.reached == marks.lines == ()
    assert module.price(2, discount=1) == -3
    assert _line("discount += 1") in marks.lines and _line("return item - discount") not in marks.lines


@pytest.mark.parametrize(
    ("call", "result", "function", "text"),
    [
        ("Shop('a').name", "A", "Shop.name", "return (\n"),
        ("Shop('a').title", "a", "Shop.__init__", "super().__init__()"),
        ("Shop.make().own()", "Inner", "Shop.make", "return __class__"),
        ("kept(1)", "one", "kept", 'return "one"'),
        ("list(counted([1, 2]))", [1, 2], "counted", "yield one"),
        ("asyncio.run(late(4))", 4, "late", "    return item\n\n\ntry"),
        ("only(2)()", 2, "only", "return lambda"),
        ("closed(4)", 7, "_closed", "held += item"),
    ],
)
def test_every_kind_of_function_says_so(
    module: types.ModuleType, call: str, result: object, function: str, text: str
) -> None:
    """Properties, methods with ``super()``, cached ones, generators, coroutines, closures that were made before."""
    marks = Marks(str(module.__file__), _NAMES)
    assert marks.put()
    found = eval(call, {**vars(module), "asyncio": asyncio})
    assert found == result
    assert function in marks.reached and _line(text) + (text[0] == "\n") in marks.lines


def test_a_function_keeps_its_lines_its_text_and_its_documentation(module: types.ModuleType) -> None:
    """What looks at a function or at an error sees nothing of the marks."""
    before = inspect.signature(module.price), module.price.__code__.co_names, module.Shop.make().own.__doc__
    marks = Marks(str(module.__file__), _NAMES)
    assert marks.put()
    after = inspect.signature(module.price), module.price.__code__.co_names, module.Shop.make().own.__doc__
    assert before == after and module.price.__doc__ == "What an item costs."
    with pytest.raises(ValueError, match="2") as error:
        module.broken(1)
    last = traceback.extract_tb(error.value.__traceback__)[-1]
    assert (last.lineno, last.line) == (_line("raise ValueError"), "raise ValueError(item)")


def test_where_nothing_is_watched_nothing_is_put(module: types.ModuleType) -> None:
    """A file without such a function, or that is gone, has to be watched otherwise."""
    assert not Marks(str(module.__file__), ("nothing",)).put()
    assert not Marks("/nowhere/m.py", _NAMES).put()


def test_parts_of_expressions_are_told_apart(module: types.ModuleType) -> None:
    """One statement, and a way of its own for every part that is reached; the values are the same."""
    marks = Marks(str(module.__file__), _NAMES)
    assert marks.put()
    ways = {}
    for item, other in ((0, 3), (1, 3), (2, 3), (2, 0)):
        marks.clear()
        ways[item, other] = (module.part(item, other), marks.lines)
    assert [value for value, _ in ways.values()] == [3, False, 3, "no"]
    assert len({lines for _, lines in ways.values()}) == 4
    assert all(lines[0] == _line("return item > 1") for _, lines in ways.values())
