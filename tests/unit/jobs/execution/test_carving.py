"""Calls that running tests make into a project become programs that stand without the tests."""

from __future__ import annotations

import sys
import types

import pytest

from kodo.jobs.execution.calls import filled, filled_setup
from kodo.jobs.execution.worker.carving import Recorder
from kodo.jobs.execution.worker.places import Places

SHOP = """
import asyncio
import dataclasses
import functools


@dataclasses.dataclass
class Label:
    text: str
    cost: int = 1
    items: list = dataclasses.field(default_factory=list)


def late(item):
    return price(item)


def make_late():
    space = dict(globals())
    exec("def late(item):\\n    return price(item)\\n", space)
    late.__code__ = space["late"].__code__


class Item:
    def __init__(self, name, cost=1):
        self.name, self.cost = name, cost


class Shop:
    def __init__(self, title):
        self.title, self.items = title, []

    def add(self, item):
        self.items.append(item)

    def total(self, discount=0):
        return sum(price(one) for one in self.items) - discount

    @property
    def mean(self):
        return self.total() / len(self.items)

    @classmethod
    def empty(cls):
        return cls("empty")

    def __len__(self):
        return len(self.items) + price(Item("", 0))


def doubled(function):
    @functools.wraps(function)
    def wrapper(*args, **options):
        return function(*args, **options) * 2

    return wrapper


def price(item, *, factor=1):
    return item.cost * factor


@doubled
def twice(item):
    return price(item)


@doubled
def never(item):
    return 0


def tag(name, **attributes):
    return price(Item(name))


class Odd:
    cost = 1

    def own(self):
        return price(self)


setattr(Odd, "total-cost", property(Odd.own))


def each(items):
    for item in items:
        yield price(item)


async def ordered(item, *, times=1):
    for _ in range(times):
        await asyncio.sleep(0)
    return Item("ordered", price(item))


async def failed(item):
    await asyncio.sleep(0)
    raise KeyError(price(item))
"""


@pytest.fixture
def carve(tmp_path, monkeypatch, request):
    """Run a text as a test of the shop; the calls through ``price``, each as its statements."""
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"shop_{abs(hash(request.node.name))}"
    file = tmp_path / f"{name}.py"
    file.write_text(SHOP)
    __import__(name)

    def run(text: str) -> list[list[str]]:
        test = tmp_path / "test_shop.py"
        watched = {file.name: ("price",)}
        recorder = Recorder(Places(tmp_path, file.name, name), watched, lambda path: path == test.name)
        before = sys.gettrace()
        test.write_text(text)
        module = types.ModuleType("test_shop")
        module.__file__ = str(test)
        monkeypatch.setitem(sys.modules, "test_shop", module)
        space = vars(module)
        space |= {key: value for key, value in vars(sys.modules[name]).items() if not key.startswith("_")}
        exec(compile(text, str(test), "exec"), space)
        sys.settrace(recorder.trace)
        try:
            space["test"]()
        finally:
            sys.settrace(before)
        calls = [call for call, _ in recorder.carved(0)]
        return [[line.replace(name, "m") for line in (*filled_setup(call), filled(call))] for call in calls]

    yield run
    del sys.modules[name]


def test_a_call_comes_with_what_made_its_objects_and_worked_on_them(carve):
    """Helpers and loops of the test are gone; the statements on other objects are left out."""
    found = carve(
        "def fill(shop, costs):\n    for cost in costs:\n        shop.add(Item('a', cost))\n"
        "def test():\n    other = Shop('b')\n    other.add(Item('x'))\n    shop = Shop('a')\n    fill(shop, [2, 3])\n"
        "    assert shop.total(discount=4) == 1\n"
    )
    assert found == [
        [
            "import m", "shop = m.Shop('a')", "item = m.Item('a', 2)", "shop.add(item)",
            "item2 = m.Item('a', 3)", "shop.add(item2)", "shop.total(4)",
        ]
    ]  # fmt: skip


def test_a_call_that_does_not_reach_the_change_is_not_carved(carve):
    """Only what goes through the watched function is worth a run."""
    assert carve("def test():\n    Shop('a').add(1)\n") == []


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("shop.mean", "shop.mean"),
        ("len(shop)", "len(shop)"),
        ("Shop.empty().__len__()", "len(shop)"),
        ("twice(shop.items[0])", "m.twice(item)"),
        ("list(each(shop.items))", "m.each([item])"),
        ("price(Label('x'))", "m.price(label)"),
        ("make_late(); late(shop.items[0])", "m.late(item)"),
        ("price(shop.items[0], factor=2)", "m.price(item, factor=2)"),
    ],
)
def test_every_kind_of_call_has_its_form(carve, text, expression):
    """Properties, operators, class methods, decorated functions, generators and keyword-only arguments."""
    found = carve(f"def test():\n    shop = Shop('a')\n    shop.add(Item('x'))\n    {text}\n")
    assert found and found[-1][-1] == expression


def test_what_ends_in_an_error_is_carved_and_not_put_before_others(carve):
    """A call that raised is a call to make; the next one does not stand on it."""
    found = carve(
        "def test():\n    item = Item('x')\n    try:\n        price(item, factor={})\n    except TypeError:\n        pass\n"
        "    price(item)\n"
    )
    assert [one[1:] for one in found] == [
        ["item = m.Item('x')", "m.price(item, factor={})"],
        ["item = m.Item('x')", "m.price(item)"],
    ]


def test_what_has_no_expression_is_left_out(carve):
    """A bare object, and a class whose instances hold more than their attributes, cannot be made again."""
    text = (
        "def test():\n    class Local:\n        __slots__ = ('cost',)\n    local = Local()\n    local.cost = 3\n"
        "    price(local)\n    price(Item(object()))\n    price(Item('a'))\n"
    )
    assert [one[-1] for one in carve(text)] == ["m.price(item)"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "    base = 2\n    price(Item(lambda n: n + base))\n",
            ["item = m.Item(lambda n: n + 2)"],
        ),
        (
            "    item = Item('a')\n    def made(n, *, by=1):\n        return item\n    price(Item(made))\n",
            ["def made(n, *, by=1):\n    return item", "item = m.Item('a')", "item2 = m.Item(made)"],
        ),
        (
            "    class Local:\n        cost = 3\n    local = Local()\n    local.title = 'x'\n    price(local)\n",
            [
                "class Local:\n    cost = 3",
                "local = object.__new__(Local)",
                "vars(local).update({'title': 'x'})",
            ],
        ),
        (
            "    class Dear(Item):\n        def double(self):\n            return Shop(self.cost)\n    price(Dear('a', 2))\n",
            [
                "class Dear(m.Item):\n\n    def double(self):\n        return m.Shop(self.cost)",
                "dear = Dear('a', 2)",
            ],
        ),
        (
            "    seen = []\n    def note(x):\n        seen.append(x)\n    price(Item([note, lambda: seen]))\n",
            [
                "shared = []",
                "def note(x):\n    shared.append(x)",
                "item = m.Item([note, lambda: shared])",
            ],
        ),
        ("    price(Item(ValueError('bad', 1)))\n", ["item = m.Item(ValueError('bad', 1))"]),
    ],
)
def test_what_a_test_makes_of_its_own_comes_with_its_source(carve, text, lines):
    """Lambdas, inner functions and classes, their instances, what they share, and errors."""
    (found,) = carve(f"def test():\n{text}")
    assert [line for line in found if not line.startswith("import ")][:-1] == lines


@pytest.mark.parametrize(
    "inner",
    [
        "count = 0\n    def made():\n        nonlocal count\n        count += 1",
        "made = [lambda: 1, lambda: 1][0] if True else None\n    made = eval('lambda: 2')",
    ],
)
def test_a_definition_that_stands_nowhere_else_is_left_out(carve, inner):
    """A function that binds names around it, and one whose source is not in the file."""
    text = f"def test():\n    {inner}\n    price(Item(made))\n    price(Item('a'))\n"
    assert [one[-2:] for one in carve(text)] == [["item = m.Item('a')", "m.price(item)"]]


def test_files_of_a_test_come_with_their_texts(carve, tmp_path_factory):
    """A temporary file is written again; a file of the project is found from its module."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "a.txt").write_text("one")
    text = f"""
def test():
    price(Item('a'), factor={str(folder / "a.txt")!r})
    price(Item(['b', __file__]))
"""
    first, second = carve(text)
    assert first[2:] == [
        "(tmp_path / 'a.txt').write_text('one')",
        "item = m.Item('a')",
        "m.price(item, factor=str(tmp_path / 'a.txt'))",
    ]
    assert second[2:] == [
        "item = m.Item(['b', str(pathlib.Path(m.__file__).parents[0] / 'test_shop.py')])",
        "m.price(item)",
    ]


def test_names_that_are_no_python_cost_only_their_own_call(carve):
    """A keyword with a hyphen and a property's name with one are left out; the other calls are there."""
    text = "def test():\n    tag('a', **{'data-id': 1})\n    getattr(Odd(), 'total-cost')\n    tag('b', data=1)\n"
    assert [one[-1] for one in carve(text)] == ["m.tag('b', data=1)"]


def test_a_program_that_does_not_parse_is_left_out(carve, monkeypatch):
    """Whatever text a foreign object brings in, the other calls of the run are kept."""
    monkeypatch.setattr(
        "kodo.jobs.execution.worker.carving._source", lambda frame, named, writing: f"{named.name}("
    )
    assert carve("def test():\n    price(Item('a'))\n") == []


_LOOP = ["import asyncio", "import m", "loop = asyncio.new_event_loop()", "asyncio.set_event_loop(loop)"]


def test_what_a_test_awaits_runs_in_one_loop(carve):
    """A coroutine's result is that of its end, however often it waits; what stands on it comes after it, in the same loop."""
    found = carve(
        "async def steps():\n    item = await ordered(Item('a'), times=3)\n    return await ordered(item)\n"
        "def test():\n    import asyncio\n    asyncio.run(steps())\n"
    )
    made = "item2 = loop.run_until_complete(m.ordered(item, times=3))"
    assert found == [
        [*_LOOP, "item = m.Item('a')", "loop.run_until_complete(m.ordered(item, times=3))"],
        [*_LOOP, "item = m.Item('a')", made, "loop.run_until_complete(m.ordered(item2))"],
    ]


def test_a_coroutine_that_raises_is_carved_and_nothing_stands_on_it(carve):
    """Its error is its outcome, also after it has waited."""
    found = carve(
        "async def steps():\n    item = Item('a')\n    try:\n        await failed(item)\n    except KeyError:\n        pass\n"
        "    await ordered(item)\ndef test():\n    import asyncio\n    asyncio.run(steps())\n"
    )
    assert [one[-1] for one in found] == [
        "loop.run_until_complete(m.failed(item))",
        "loop.run_until_complete(m.ordered(item))",
    ]
    assert all(len(one) == 6 for one in found)
