"""One value of a call replaced in all its places at once."""

from __future__ import annotations

import random

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.replaced_values import replaced_everywhere
from kodo.jobs.execution.worker.variation import Variations

ASK = Call(
    1, "f", "made.put(_1)", (Arg("a", "{'k': 1}"), Arg("b", "['k', True]")), ("made = f(_0)",), origin="test"
)


def _made(call: Call, *sources: str) -> set[tuple[str, ...]]:
    made = (replaced_everywhere(call, 2, sources, random.Random(seed)) for seed in range(60))
    return {tuple(arg.source for arg in one.args) for one in made if one is not None}


def test_a_key_is_another_one_where_it_is_put_in_and_where_it_is_asked_for() -> None:
    """A number and a truth that is equal to it are two things."""
    assert _made(ASK, "(1, 2)") == {
        ("{(1, 2): 1}", "['k', True]".replace("'k'", "(1, 2)")),
        ("{'k': (1, 2)}", "['k', True]"),
    }


def test_a_call_without_numbers_and_texts_stays_as_it_is() -> None:
    """So it does where there is nothing to put in."""
    assert _made(Call(1, "f", "f(_0)", (Arg("a", "[None, True]"),)), "1") == set()
    assert _made(ASK) == set()


def test_variations_of_calls_do_so() -> None:
    """With what the changed code asks for."""
    vary = Variations([ASK], (), odd=("math.nan", "iter({0})"))
    found = {
        tuple(arg.source for arg in one.args) for n in range(400) if (one := vary.one(ASK, n)) is not None
    }
    assert ("{math.nan: 1}", "[math.nan, True]") in found
