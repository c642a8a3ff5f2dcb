"""Calls out of a project's tests, with what they need and without a test runner."""

from kodo.jobs.execution.calls import filled, filled_setup
from kodo.jobs.execution.calls_of_tests import TestSource, calls_of_tests

SOURCE = '''
import pytest
from .helpers import make
from pkg.shop import Cart, price

RATE = 2

def double(x):
    return x * RATE

@pytest.fixture
def cart():
    return Cart()

def test_total(cart):
    """A sentence."""
    cart.add("apple", double(3))
    assert cart.total() == 6
    with pytest.raises(ValueError):
        cart.add("", 1)

@pytest.mark.parametrize(("name", "cost"), [("a", 1), ("b", 2)])
def test_price(name, cost):
    assert price(name) == cost

def test_browser(selenium):
    assert price("a")

class TestCart:
    def setup_method(self):
        self.cart = Cart()

    def test_len(self):
        self.assertEqual(len(self.cart), 0)
'''


def lines(call):
    """The whole call as statements."""
    return [*filled_setup(call), filled(call)]


def test_what_a_test_looks_at_comes_with_the_statements_before_it():
    """Imports, helpers, constants and fixtures that are named come first; assertions are left out."""
    calls = list(calls_of_tests(TestSource(SOURCE, "pkg.tests"), {"total"}))
    total = next(call for call in calls if call.expression == "cart.total()")
    assert lines(total) == [
        "from pkg.shop import Cart", "RATE = 2", "def double(x):\n    return x * RATE",
        "def cart():\n    return Cart()", "cart = cart()", "cart.add('apple', double(3))", "cart.total()",
    ]  # fmt: skip
    refused = next(call for call in calls if filled(call) == "cart.add('', 1)")
    assert "cart.add('apple', double(3))" in lines(refused)


def test_a_block_that_expects_an_error_is_looked_at_and_left_out_after_that():
    """``assertRaises`` of unittest as well as ``pytest.raises``."""
    source = """
import unittest
from shop import Cart

class CartTest(unittest.TestCase):
    def test_add(self):
        cart = Cart()
        with self.assertRaises(ValueError):
            cart.add("", 1)
        self.assertEqual(cart.total(), 0)
"""
    calls = {filled(call): lines(call) for call in calls_of_tests(TestSource(source, ""), {"add"})}
    assert "cart.add('', 1)" in calls
    assert not any("assertRaises" in line for line in calls["cart.total()"])


def test_what_only_looks_is_no_step_of_what_comes_after():
    """A helper that is named like an assertion; there may be hundreds of such statements in a test."""
    checks = "".join(f"        self.validate_identity('SELECT {at}')\n" for at in range(40))
    source = f"class TestSql(Validator):\n    def test_all(self):\n        one = make()\n{checks}"
    calls = [lines(call) for call in calls_of_tests(TestSource(source, ""), set())]
    last = next(each for each in calls if each[-1] == "self.validate_identity('SELECT 39')")
    assert not any("validate_identity" in line for line in last[:-1]) and "one = make()" in last


def test_literals_are_arguments():
    """A literal of the setup or of the expression can be varied."""
    calls = list(calls_of_tests(TestSource(SOURCE), {"total"}))
    total = next(call for call in calls if call.expression == "cart.total()")
    assert [arg.source for arg in total.args] == ["'apple'", "3"]


def test_rows_of_parameters_and_test_classes():
    """Each of the first rows is a call; a test class is made and set up."""
    written = [lines(call) for call in calls_of_tests(TestSource(SOURCE), set())]
    assert ["from pkg.shop import price", "name = 'a'", "cost = 1", "price(name)"] in [
        one for one in written if "Cart" not in one[0]
    ]
    assert any(one[-1] == "len(self.cart)" and "self.setup_method()" in one for one in written)


def test_a_fixture_that_cannot_be_made_leaves_the_test_out():
    """Nothing is taken from a test that needs a plugin's fixture, nor from a file that does not parse."""
    assert not any(filled(call) == "price('a')" for call in calls_of_tests(TestSource(SOURCE), set()))
    assert list(calls_of_tests(TestSource("def test_(:"), set())) == []


def test_relative_imports_are_those_of_the_test_package():
    """A helper beside the tests is imported by its full name; outside of a package it is left out."""
    source = "from .helpers import make\n\ndef test_it():\n    assert make(1) == 2\n"
    (call,) = calls_of_tests(TestSource(source, "pkg.tests"), set())
    assert call.setup == ("from pkg.tests.helpers import make",)
    (call,) = calls_of_tests(TestSource(source), set())
    assert call.setup == ()


def test_fixtures_of_conftests_and_those_that_they_take_come_first():
    """A fixture of a conftest is made after the fixtures it takes itself, with the first of its parameters."""
    outer = "import pytest\n\n@pytest.fixture(params=[7, 8])\ndef base(request):\n    return request.param\n"
    inner = "import pytest\n\n@pytest.fixture(name='shop')\ndef make_shop(base):\n    yield [base]\n"
    source = TestSource("def test_it(shop):\n    assert len(shop) == 1\n", "", ((outer, ""), (inner, "")))
    (call,) = calls_of_tests(source, set())
    space: dict[str, object] = {}
    for line in filled_setup(call):
        exec(line, space)
    assert space["shop"] == [7] and call.expression == "len(shop)"


def test_rows_that_are_computed_are_taken_by_their_place():
    """A row of a parameter list that a function makes is asked for when the call is made."""
    text = "import pytest\n\ndef rows():\n    return [('a', 1)]\n\n"
    text += "@pytest.mark.parametrize('name, cost', rows())\ndef test_it(name, cost):\n    assert len(name) == cost\n"
    call = next(iter(calls_of_tests(TestSource(text), set())))
    space: dict[str, object] = {}
    for line in filled_setup(call):
        exec(line, space)
    assert (space["name"], space["cost"]) == ("a", 1)


def test_an_asynchronous_test_becomes_a_coroutine():
    """What an async test awaits is looked at in a coroutine with the statements before it."""
    text = "async def get(x):\n    return x + 1\n\nasync def test_it():\n    y = await get(1)\n    assert await get(y) == 3\n"
    last = list(calls_of_tests(TestSource(text), set()))[-1]
    assert last.expression == "in_test()"
    assert filled_setup(last)[-1] == "async def in_test():\n    y = await get(1)\n    return await get(y)"


def test_a_test_knows_its_own_path():
    """``__file__`` is bound where a test names it, to the place that was given."""
    text = "HERE = len(__file__)\n\ndef test_it():\n    assert abs(HERE) == 3\n"
    (call,) = calls_of_tests(TestSource(text, place="'abc'"), set())
    assert call.setup == ("__file__ = 'abc'", "HERE = len(__file__)")


def test_the_class_of_a_test_comes_without_its_other_tests():
    """What the other tests of a class need is not needed for one: a call stands where their imports fail, and is soon compiled."""
    source = """
from pkg.shop import Cart
from pkg.tests.browser import Browser

class TestCart:
    def test_len(self):
        assert len(Cart("apple")) == 0

    def test_shown(self):
        Browser().open(Cart("pear"))
"""
    length = next(call for call in calls_of_tests(TestSource(source), set()) if "len" in call.expression)
    assert lines(length) == [
        "from pkg.shop import Cart", "class TestCart:\n    pass", "self = TestCart()", "len(Cart('apple'))"
    ]  # fmt: skip


MIXIN = """
import unittest
from pkg.shop import Cart, Box

class HoldsItems:
    def make(self):
        raise NotImplementedError

    def test_len(self):
        self.assertEqual(len(self.make()), 0)

class CartTest(unittest.TestCase, HoldsItems):
    def make(self):
        return Cart()

class BoxTest(unittest.TestCase, HoldsItems):
    def make(self):
        return Box()
"""


def test_the_tests_of_a_mixin_run_in_the_first_class_that_derives_from_it():
    """The mixin itself lacks what they are to be run on."""
    (call,) = calls_of_tests(TestSource(MIXIN, "pkg.tests"), ())
    assert lines(call)[-2:] == ["self = CartTest()", "len(self.make())"]
    assert any(line.startswith("class HoldsItems") for line in lines(call))
