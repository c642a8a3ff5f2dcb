"""What a call returned is used: called, asked by its methods, and asked again."""

from __future__ import annotations

import functools
import random

from kodo.jobs.execution.calls import filled, filled_setup
from kodo.jobs.execution.follow_ups import follow_ups
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.values import Values
from kodo.jobs.execution.worker.result_uses import uses


def _factory(base: int):
    def inner(number: int, *more: int, loud: bool = False) -> int:
        return base + number

    inner.reset = lambda: None
    return inner


class Base:
    """Stands for a base class of another module."""

    def inherited(self, text): ...


Base.__module__ = "elsewhere"


class Own(Base):
    """A public class of the module under test."""

    def tested(self): ...


class _Private:
    def size(self, unit="cm"): ...

    def __call__(self, x): ...


def test_a_function_is_used_by_its_parameters_and_by_what_it_holds():
    """Those by keyword alone are left out; a function kept on it is used too."""
    assert uses(_factory(1), {}) == ("(number, *more)", ".reset()")
    assert uses(functools.partial(_factory(1), 5), {}) == ("(*more)",)


def test_an_object_of_a_private_class_is_called_and_asked():
    """Its public methods are uses, whether or not a test could name its class."""
    assert uses(_Private(), {}) == uses(_Private(), {"_Private": _Private}) == ("(x)", ".size(unit)")


def test_of_an_instance_of_a_tested_class_only_what_it_inherits_is_used():
    """Its own methods have tests of their own."""
    assert uses(Own(), {"Own": Own}) == (".inherited(text)",)


def test_values_and_classes_have_no_uses():
    """A class is made by its constructor, a module by nobody, and what cannot be looked at has none."""
    assert uses(int, {}) == uses(random, {}) == uses(5, {}) == ()


def _values() -> Values:
    return Values(random.Random(0), {})


def test_a_use_binds_the_result_and_adds_its_arguments():
    """The arguments of the first call keep their numbers, those of the use follow."""
    call = Call(4, "make", "make(_0)", (Arg("base", "1"),))
    first = next(follow_ups(call, ("(number)",), _values(), 3))
    assert first.setup[0] == "made = make(_0)"
    assert first.expression.startswith("made(_")
    assert first.args[0] == Arg("base", "1") and first.args[-1].name == "number"
    assert filled_setup(first)[0] == "made = make(1)" and filled(first) == "made(3)"
    assert first.origin == "follow-up" and first.function == "make"


def test_a_method_without_arguments_is_asked_after_a_call():
    """What a decorated function counts shows only then."""
    calls = follow_ups(Call(0, "cache", "cache()"), ("(x)", ".info()"), _values(), 1)
    found = [one for one in calls if one.expression == "made.info()"]
    assert len(found) == 1 and found[0].setup[1].startswith("made(_")


def test_the_result_of_a_use_is_used_once_more_and_no_further():
    """A decorator with options returns a decorator, whose result is the function."""
    call = Call(0, "cache", "cache()")
    once = next(follow_ups(call, ("(func)",), _values(), 1))
    twice = next(follow_ups(once, ("(x)",), _values(), 1))
    assert any(line.startswith("made_2 = made(") for line in twice.setup) and twice.expression.startswith(
        "made_2("
    )
    assert not list(follow_ups(twice, ("(x)",), _values(), 1))


def test_what_nothing_is_known_of_is_also_given_bytes():
    """A decoder takes nothing else, and bytes have neighbours of their own kind."""
    calls = list(follow_ups(Call(0, "make", "make()"), ("(input)",), _values(), 60))
    assert any(arg.source.startswith("b'") for call in calls for arg in call.args)
    near = _values().near("b'ab'")
    assert near and all(one.startswith(("b'", 'b"')) for one in near)
