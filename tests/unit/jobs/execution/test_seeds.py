"""Which calls are varied: each new way through a changed function, mostly those that run what the change touched."""

from __future__ import annotations

import random
from collections import Counter

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.both_versions import of_each_kind
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.execution.worker.seeds import Exploration, Seeds
from kodo.jobs.execution.worker.variation import Variations


def _call(number: int, origin: str = "random") -> Call:
    return Call(number, "f", "f(_0)", (Arg("x", str(number)),), origin=origin)  # type: ignore[arg-type] # one of them


def _pair(number: int, before: tuple[int, ...], after: tuple[int, ...]) -> tuple[Outcome, Outcome]:
    one, other = (Outcome(number, "value", reached=("f",), lines=lines) for lines in (before, after))
    return one, other


def test_a_call_on_a_way_that_is_known_is_no_seed():
    """Of calls on the same lines the first is kept; those that end badly or go elsewhere are not."""
    seeds = Seeds("f")
    calls = [_call(number) for number in range(5)]
    seen = {
        0: _pair(0, (1, 2), (1, 2)),
        1: _pair(1, (1, 2), (1, 2)),
        2: _pair(2, (1, 3), (1, 2)),
        3: (Outcome(3, "timeout", reached=("f",)), Outcome(3, "value", reached=("f",))),
        4: (Outcome(4, "value", reached=("g",)), Outcome(4, "value", reached=("g",))),
    }
    seeds.keep(calls, seen)
    assert [call.id for call in seeds.calls] == [0, 2]


def test_a_call_whose_arguments_do_not_fit_is_no_seed():
    """Statements before it went through the function; each made-up option would make it a program of its own, and of these
    there is no end.
    """
    seeds = Seeds("f", ((), (2,)))
    lost = Outcome(1, "raises", reached=("f",), lines=(1, 2), unbound=True)
    optioned = Call(1, "f", "f(_0, made_up=True)", (Arg("x", "1"),), origin="test")
    seeds.keep([_call(0, "test"), optioned], {0: _pair(0, (1, 2), (1, 2)), 1: (lost, lost)})
    assert [call.id for call in seeds.near] == [0]


def test_what_runs_touched_lines_is_varied_most():
    """One such call among many others is chosen far more often than its share; it may run them in one version alone."""
    seeds = Seeds("f", ((), (99,)))
    calls = [_call(number) for number in range(40)]
    seen = {number: _pair(number, (number,), (99,) if number == 7 else (number,)) for number in range(40)}
    seeds.keep(calls, seen)
    assert [call.id for call in seeds.near] == [7]
    rng = random.Random(0)
    chosen = Counter(seeds.choose(rng).id for _ in range(400))
    assert chosen[7] > 250 and len(chosen) > 5


def test_without_touched_lines_every_seed_is_chosen():
    """A change that no line of the function shows leaves all of them alike."""
    seeds = Seeds("f")
    seeds.keep([_call(number) for number in range(4)], {n: _pair(n, (n,), (n,)) for n in range(4)})
    rng = random.Random(0)
    assert {seeds.choose(rng).id for _ in range(200)} == {0, 1, 2, 3}


def test_a_variation_is_made_once():
    """When nothing new can be made of the seeds, there are no more calls."""
    seeds = Seeds("f")
    call = Call(0, "f", "f(_0)", (Arg("x", "True"),))
    seeds.keep([call], {0: _pair(0, (1,), (1,))})
    exploration = Exploration(seeds, Variations([call], ()))
    first = exploration.batch(0)
    assert {one.args[0].source for one in first} <= {"True", "False"} and len(first) <= 2
    assert exploration.batch(10) == [] or exploration.batch(20) == []


def test_of_many_differences_some_of_each_kind_are_made_sure_of():
    """Where random numbers make every result another one, the error that only one version raises is made sure of too."""
    calls = [_call(number) for number in range(40)]
    seen = {
        number: (
            Outcome(number, "value", {"result": "1"}),
            Outcome(number, "value" if number < 30 else "raises", {"result": "2"}),
        )
        for number in range(40)
    }
    chosen = [call.id for call in of_each_kind(calls, seen)]
    assert chosen == [*range(6), *range(30, 36)]
    assert [call.id for call in of_each_kind(calls[:30], seen)] == list(range(12))
