"""How inputs are found: instances that work, neighbours of calls that reached something, members of enums."""

from __future__ import annotations

import random

import pytest

from kodo.jobs.execution import doc_contracts
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.param_types import ANY, ParamType, from_use
from kodo.jobs.execution.target import load
from kodo.jobs.execution.values import Values

SOURCE = """
import enum

class Query:
    def __init__(self, text):
        if ":" not in text:
            raise ValueError(text)
        self.text = text
    def find(self, row: dict[str, int]) -> int:
        return row[self.text]

class Sub(Query):
    def run(self): ...

class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"
    def letter(self): return self.value
"""


@pytest.fixture
def generator(tmp_path):
    """A generator over SOURCE."""
    path = tmp_path / "mod.py"
    path.write_text(SOURCE)
    return CandidateGenerator(load(path), 0), load(path)


def test_instances_are_made_by_calls_that_worked(generator):
    """What was learned makes the receivers; without it they are made from types alone."""
    made, module = generator
    ways = made.constructors(20)
    assert {call.function for call in ways} == {"Query", "Sub", "Colour"}
    made.learn([Call(0, "Query", "Query('a:b')")])
    find = module.pick("Query.find")[0]
    assert made.calls(find, 5)[0].setup[0] == "query = Query('a:b')"


def test_a_class_is_made_with_the_constructor_it_inherits(generator):
    """A subclass without an __init__ takes the parameters of its base."""
    _, module = generator
    assert [param.name for param in module.classes["Sub"].init] == ["text"]
    assert module.classes["Sub"].bases == ("Query",)


def test_methods_of_an_enum_are_called_on_its_members(generator):
    """Every member is a receiver."""
    made, module = generator
    setups = {call.setup[0] for call in made.calls(module.pick("Colour.letter")[0], 30)}
    assert setups == {"colour = Colour.RED", "colour = Colour.BLUE"}


def test_neighbours_change_a_call_a_little_and_know_its_own_words(generator):
    """The receiver's text becomes a key of the argument, and the receiver is changed too."""
    made, module = generator
    find = module.pick("Query.find")[0]
    call = Call(
        7, "Query.find", "query.find(_0)", (Arg("row", "{'x': 1}"),), ("query = Query('key:1')",), "query"
    )
    found = made.neighbours(find, call, 200)
    assert any("'key:1'" in one.args[0].source for one in found)
    assert len({one.setup for one in found}) > 1
    assert all(one.expression == "query.find(_0)" for one in found)
    assert len({one.id for one in found}) == len(found)


def test_each_parameter_has_its_turn_before_the_budget_is_spent(tmp_path):
    """With many parameters the last one is varied as well, and some rows are boundaries alone."""
    path = tmp_path / "wide.py"
    names = [f"p{at}" for at in range(16)]
    path.write_text(f"def f({', '.join(f'{name}: str' for name in names)}): ...\n")
    module = load(path)
    calls = CandidateGenerator(module, 0).calls(module.functions[0], 120)
    values = {name: {call.args[at].source for call in calls} for at, name in enumerate(names)}
    assert min(map(len, values.values())) > 5
    assert any(all(arg.source != "'abc'" for arg in call.args) for call in calls)


@pytest.mark.parametrize("body", ["return x(1)", "return map(x, y)", "return list(filter(x, y))"])
def test_what_is_called_is_a_function(body, tmp_path):
    """A parameter that the body calls gets callables and nothing else."""
    import ast

    assert from_use("x", ast.parse(f"def f(x, y):\n    {body}").body) == ParamType("callable")
    path = tmp_path / "mod.py"
    path.write_text(f"def f(x, y):\n    {body}\n")
    assert load(path).functions[0].params[0].type == ParamType("union", (ParamType("callable"),))


def test_an_example_of_print_documents_the_printed_text():
    """The call inside is the example, so that the test needs no output."""
    (example,) = doc_contracts.examples('    >>> print(f("a"))\n    | a |\n', frozenset({"f"}))
    assert (example.expression, example.expect.kind, example.expect.text) == ("f('a')", "prints", "| a |")


def test_texts_are_changed_with_the_words_of_the_code():
    """A parser's own words are inserted and appended."""
    values = Values(random.Random(0), {}, ("expires=",))
    assert "'aexpires='" in values.near("'a'")
    assert any("expires=" in one for one in values.near("{'a': 1}"))
    assert values.plain(ANY) == "1"
