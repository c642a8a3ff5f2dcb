"""Whose calls are made next, and that none is given up for which a turn had no time. No process runs here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from kodo.jobs.execution.model import Arg, Call, Expectation
from kodo.jobs.execution.worker.both_versions import BothVersions, Compared
from kodo.jobs.execution.worker.function_calls import FIRST, FunctionCalls
from kodo.jobs.execution.worker.next_calls import About, NextCalls
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.execution.worker.seeds import Seeds, Two
from kodo.jobs.execution.worker.test_calls import TestCalls
from kodo.jobs.execution.worker.turns import Turns
from kodo.jobs.execution.worker.varied_calls import VariedCalls


class _StandIn:
    """In the place of both versions: makes at most ``most`` calls a turn, and none after a call of ``slow``, which do not end; those
    of ``through`` go through the changed function.
    """

    def __init__(self, most: int = 1000, through: Iterable[str] = (), slow: Iterable[str] = ()) -> None:
        self.made: list[str] = []
        self.sources: list[str] = []
        self.judged: list[tuple[str, int]] = []
        self.roots = ("f0",)
        self.seeds = {"f0": Seeds("f0")}
        self.shown: set[str] = set()
        self.settled: set[str] = set()
        self.last_number = 0
        self._most, self._through, self._slow = most, frozenset(through), frozenset(slow)

    def numbered(self, calls: Iterable[Call]) -> list[Call]:
        return BothVersions.numbered(cast("BothVersions", self), calls)

    def make(self, calls: Sequence[Call], until: float) -> dict[int, Two]:
        seen: dict[int, Two] = {}
        for call in calls[: self._most]:
            self.made.append(call.function)
            self.sources.append(call.args[0].source)
            if call.function in self._slow:
                one = Outcome(call.id, "timeout")
                seen[call.id] = one, one
                break
            reached = ("f0",) if call.function in self._through else ()
            one = Outcome(call.id, "value", {"result": "1"}, reached=reached, lines=(1,))
            seen[call.id] = one, one
        self.seeds["f0"].keep(calls, seen)
        return seen

    def compared(self, calls: Sequence[Call], watched: Sequence[str], until: float) -> dict[int, Two]:
        return {}

    def is_near(self, pair: Two) -> bool:
        return False

    def is_dry(self, function: str) -> bool:
        return False

    def is_better(self, functions: Iterable[str], call: Call, pair: Two) -> bool:
        return False

    def judge(self, function: str, calls: Sequence[Call], seen: dict[int, Two]) -> Compared:
        self.judged.append((function, len(seen)))
        return Compared(function, len(seen), 0, ())

    def may_look_inside(self) -> bool:
        return False


def _calls(function: str, count: int) -> list[Call]:
    return [Call(0, function, f"{function}(_0)", (Arg("x", repr(f"t{at}")),)) for at in range(count)]


def test_the_time_is_divided_by_parts_and_what_one_does_not_use_is_the_others() -> None:
    """With parts of 3 and 1, three turns of four are the first one's; while it has nothing to do, all are the other's."""
    turns = Turns[str]({"a": 3.0, "b": 1.0}.__getitem__)
    order = []
    for ready in [("a", "b")] * 8 + [("b",)] * 3 + [("a", "b")] * 4:
        order.append(turns.next(ready))
        turns.took(order[-1], 1.0)
    assert (order[:8].count("a"), order[:8].count("b")) == (6, 2)
    assert order[8:] == ["b", "b", "b", "a", "a", "a", "a"]


def test_each_of_many_functions_is_called_before_any_is_called_much() -> None:
    """So one method of a class does not take the time that the others need."""
    both = _StandIn()
    calls = FunctionCalls(cast("BothVersions", both))
    for number in range(8):
        calls.put(f"f{number}", _calls(f"f{number}", 300))
    for _ in range(8):
        list(calls.turn(0.0))
    assert [both.made.count(f"f{number}") for number in range(8)] == [FIRST] * 8


def test_a_dear_function_gets_no_more_of_the_time_than_a_cheap_one() -> None:
    """Its turns are as long and its calls are fewer."""
    both = _StandIn()
    calls = FunctionCalls(cast("BothVersions", both))
    calls.put("dear", _calls("dear", 300))
    calls.put("cheap", _calls("cheap", 300))
    calls._turns.took("dear", 1000.0)
    for _ in range(3):
        list(calls.turn(0.0))
    assert set(both.made) == {"cheap"} and calls.left() == ["dear"]


def test_calls_that_a_turn_had_no_time_for_are_made_in_the_next_ones() -> None:
    """Each once, in their order, and all are judged together."""
    both = _StandIn(most=7)
    calls, tests = FunctionCalls(cast("BothVersions", both)), TestCalls(cast("BothVersions", both))
    calls.put("f0", _calls("f0", 30))
    tests.put(_calls("test_m.py", 60))
    for one in (calls, tests):
        while one.is_left():
            list(one.turn(0.0))
    assert both.made == ["f0"] * 30 + ["test_m.py"] * 60
    assert both.judged == [("f0", 30)]


def test_a_caller_that_leads_nowhere_is_called_no_further() -> None:
    """Its first calls show that; they are counted, and nothing is left."""
    both = _StandIn(through=["near"])
    calls = FunctionCalls(cast("BothVersions", both), must_arrive=True)
    calls.put("far", _calls("far", 300))
    calls.put("near", _calls("near", 300))
    while calls.is_left():
        list(calls.turn(0.0))
    assert (both.made.count("far"), both.made.count("near")) == (FIRST, 300)
    assert sorted(both.judged) == [("far", FIRST), ("near", 300)] and not calls.left()


def test_tests_that_lead_nowhere_wait_until_there_is_nothing_else() -> None:
    """Some of each file are made at once; the rest only of files of which one went through a changed function."""
    both = _StandIn(through=["test_near.py"])
    tests = TestCalls(cast("BothVersions", both))
    tests.put([*_calls("test_far.py", 100), *_calls("test_near.py", 100)])
    while tests.is_ready():
        list(tests.turn(0.0))
    assert both.made.count("test_near.py") == 100 and both.made.count("test_far.py") < 100
    while tests.is_left():
        list(tests.turn(0.0))
    assert both.made.count("test_far.py") == 100


def test_variations_that_find_nothing_new_wait_until_there_is_nothing_else() -> None:
    """After a few turns in vain they are left and not ready; after many, or when nothing new can be made, neither."""
    both = _StandIn(through=["f0"])
    varied = VariedCalls(cast("BothVersions", both), About(), ())
    assert not varied.is_left()
    both.make(both.numbered(_calls("f0", 5)), 0.0)
    turns = {True: 0, False: 0}
    while varied.is_left():
        turns[varied.is_ready()] += 1
        list(varied.turn(0.0))
    assert 0 < turns[True] <= 10 and 0 < turns[False] <= 40
    varied.read(_calls("test_m.py", 30))
    assert varied.is_ready()


def test_calls_that_do_not_end_wait_for_those_of_other_files() -> None:
    """One of them takes the time of a turn; then the others are made, and the rest of the slow ones after them."""
    both = _StandIn(slow=["test_slow.py"])
    tests = TestCalls(cast("BothVersions", both))
    tests.put([*_calls("test_slow.py", 20), *_calls("test_m.py", 20)])
    list(tests.turn(0.0))
    list(tests.turn(0.0))
    assert both.made[:21] == ["test_slow.py", *["test_m.py"] * 20]
    while tests.is_ready():
        list(tests.turn(0.0))
    assert len(both.made) < 25
    while tests.is_left():
        list(tests.turn(0.0))
    assert len(both.made) == 40


def test_a_function_that_does_not_end_is_called_no_further() -> None:
    """Neither before nor after the change: a few calls show that, and each costs the seconds of many."""
    both = _StandIn(slow=["endless"])
    calls = FunctionCalls(cast("BothVersions", both))
    calls.put("endless", _calls("endless", 300))
    while calls.is_left():
        list(calls.turn(0.0))
    assert len(both.made) == 5 and both.judged == [("endless", 5)]


def test_variations_that_a_turn_had_no_time_for_are_made_in_the_next_ones() -> None:
    """As many are made as where there is time for all, and in the same order."""
    made = []
    for most in (1000, 7):
        both = _StandIn(most=most, through=["f0"])
        varied = VariedCalls(cast("BothVersions", both), About(), ())
        both.make(both.numbered(_calls("f0", 5)), 0.0)
        count = 0
        while varied.is_left() and len(both.made) < 40:
            count += 1
            list(varied.turn(0.0))
        made.append((both.sources[:40], count))
    (all_at_once, few), (in_parts, many) = made
    assert all_at_once == in_parts and len(in_parts) == 40 and many > few


def test_what_is_said_of_an_example_is_not_said_of_its_variations() -> None:
    """Another input may give something else, and the documentation does not speak of it."""
    expect = Expectation("value", "'b'", "example", "f('a')")
    shown = Call(1, "f0", "f(_0)", (Arg("x", "'a longer text'"),), origin="example", expect=expect)
    seeds = Seeds("f0")
    one = Outcome(1, "value", {"result": "1"}, reached=("f0",), lines=(1,))
    seeds.keep([shown], {1: (one, one)})
    made = NextCalls(About(("a", "b"))).of(seeds, 1, lambda calls: {})
    assert made and all(call.expect is None for call in made)
