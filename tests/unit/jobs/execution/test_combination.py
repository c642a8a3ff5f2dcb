"""One call takes an argument of another one, or goes to another function of the same module."""

import random

from kodo.jobs.execution.calls import filled, filled_setup
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.combination import Combinations

SELL = Call(1, "", "shop.sell(_0, gift=_1)", (Arg("a", "'x'"), Arg("b", "True")), ("import shop",))
ORDER = Call(2, "", "shop.order(_0)", (Arg("a", "'y'"),), ("import shop",))
PACK = Call(3, "", "v1.pack(shop.Box(_0))", (Arg("a", "3"),), ("import shop", "v1 = shop.Shop(_0)"))
WRAP = Call(4, "", "v1.pack(v2)", (), ("from shop import Shop", "v1 = Shop('a')", "v2 = v1.box()"))


def _combined(call: Call, *others: Call) -> set[str]:
    rng = random.Random(0)
    made = Combinations([call, *others])
    found = [made.combined(call, number, rng) for number in range(200)]
    return {"; ".join([*filled_setup(one), filled(one)]) for one in found if one is not None}


def test_a_keyword_of_a_function_is_given_to_its_neighbour():
    """What only tests of one function use, another one of the same module takes too; each also takes the other's call."""
    found = _combined(ORDER, SELL)
    assert "import shop; shop.order('y', gift=True)" in found
    assert "import shop; shop.sell('y')" in found
    assert "import shop; shop.sell('x', gift=True)" not in found


def test_an_argument_that_is_made_by_a_call_goes_with_its_import():
    """A value of another test is put in the same place of a method, with what it has to import."""
    assert (
        "import shop; from shop import Shop; v1 = Shop('a'); v2 = v1.box(); v1.pack(shop.Box(3))"
        in _combined(WRAP, PACK)
    )


def test_what_stands_on_a_variable_stays_where_it_is():
    """A variable of one call means nothing in another."""
    assert not any("v2" in one for one in _combined(PACK, WRAP))


def test_what_never_arrives_is_not_tried_for_ever():
    """After some calls that did not reach the change, the place is left alone."""
    made = Combinations([ORDER, SELL])
    rng = random.Random(0)
    tried = 0
    for number in range(200):
        if made.combined(ORDER, number, rng) is not None:
            tried += 1
            made.learn(number, arrived=False)
    assert 0 < tried < 20
