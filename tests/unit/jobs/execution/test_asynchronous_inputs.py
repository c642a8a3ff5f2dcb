"""Inputs that are awaited or read asynchronously, and how the results of such code are read."""

from __future__ import annotations

import ast
import asyncio

import pytest

from kodo.jobs.execution.call_arguments import asynchronous
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.model import Arg, Call, Observed
from kodo.jobs.execution.param_types import ParamType, from_annotation, from_use
from kodo.jobs.execution.stated_facts import invariants
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.call import observe
from kodo.jobs.testgen import render

COUNTS = '''
from collections.abc import AsyncIterable, Awaitable


async def taken(items: AsyncIterable[int], count: int):
    """Doc."""
    async for one in items:
        if count:
            yield one


async def waited(one: Awaitable[int]) -> int:
    """Doc."""
    return await one
'''


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        ("AsyncIterator[int]", "async"),
        ("AsyncIterable", "async"),
        ("Awaitable[str]", "awaitable"),
        ("type[int]", "kind"),
    ],
)
def test_annotations_of_what_is_awaited_are_types(annotation, kind):
    """With and without what they are generic in."""
    type_ = from_annotation(ast.parse(annotation, mode="eval").body, frozenset())
    assert type_ is not None
    assert type_.kind == kind


def test_a_function_that_returns_what_is_awaited_is_given_as_a_mock():
    """No expression makes an asynchronous function but this one."""
    type_ = from_annotation(ast.parse("Callable[[int], Awaitable[int]]", mode="eval").body, frozenset())
    assert type_ == ParamType("literal", text="mock.AsyncMock(return_value=1)")


@pytest.mark.parametrize(
    "body", ["async for one in x:\n        pass", "return [one async for one in x]", "return await anext(x)"]
)
def test_the_body_says_that_a_parameter_is_read_asynchronously(body):
    """A loop, a comprehension and the function for the next item."""
    found = from_use("x", ast.parse(f"async def f(x):\n    {body}").body)
    assert found is not None
    assert found.kind == "async"


def test_an_asynchronous_iterator_is_made_of_a_list_in_the_call():
    """The argument stays a plain list, so that cases fit one table; the setup defines what reads it."""
    args, passed, setup = asynchronous([Arg("items", "each([1, 2])"), Arg("count", "3")], ["_0", "count=_1"])
    assert args == [Arg("items", "[1, 2]"), Arg("count", "3")]
    assert passed == ["each(_0)", "count=_1"]
    assert setup == ("async def each(values):\n    for value in values:\n        yield value",)
    assert asynchronous([Arg("a", "1")], ["_0"]) == ([Arg("a", "1")], ["_0"], ())


def test_what_an_asynchronous_generator_yields_is_observed_and_written_down(tmp_path):
    """The items are read in the call, and the test that is written passes on the function and not on another one."""
    call = Call(
        0,
        "taken",
        "taken(each(_0), _1)",
        (Arg("items", "[1, 2]"), Arg("count", "1")),
        asynchronous([Arg("a", "each([])")], ["_0"])[2],
    )
    space: dict[str, object] = {"asyncio": asyncio}
    exec(COUNTS, space)
    seen = observe(call, space, {}, (), 5.0, None)
    assert (seen.kind, seen.text, seen.wrap) == ("value", "[1, 2]", "async list")
    lines = render.body(call, seen, "pytest")
    exec("\n".join(lines), space)
    space["taken"] = space["waited"]
    with pytest.raises(TypeError):
        exec("\n".join(lines), space)


def test_more_than_can_be_written_down_is_no_test():
    """An asynchronous generator without an end is left."""
    space: dict[str, object] = {}
    exec("async def count():\n    at = 0\n    while True:\n        yield at\n        at += 1", space)
    seen = observe(Call(0, "count", "count()"), space, {}, (), 5.0, None)
    assert (seen.kind, seen.text) == ("unusable", "it yields more than 50 values")


def test_an_error_of_a_generator_is_caught_around_its_reading():
    """The error comes when the items are read, and so the reading stands in the block that expects it."""
    lines = render.body(Call(0, "f", "f()"), Observed(0, "raises", "ValueError", "async list"), "pytest")
    assert lines[-2:] == ["with pytest.raises(ValueError):", "    asyncio.run(read_all())"]


def test_what_is_awaited_vouches_for_its_result(tmp_path):
    """The annotation of a function that waits for a value says nothing of the values that are made up."""
    path = tmp_path / "mod.py"
    path.write_text(COUNTS, encoding="utf-8")
    module = load(path)
    assert invariants(module, module.pick("waited")[0]) == ()
    made = CandidateGenerator(module, 0, deep=True).calls(module.pick("taken")[0], 40)
    assert all(one.args[0].source.startswith("[") for one in made if one.args and one.args[0].name == "items")
